//! Who the configuration names as an admin: one rule for roles, for what concerns all spaces, and for
//! direct conversations.

/// Platforms whose ids are phone numbers: only there a `+…` names somebody.
const BY_PHONE: &[&str] = &["whatsapp", "signal", "sms"];
/// What WhatsApp puts behind a number. Nothing else is cut off: `ada@example.com` and `ada@evil.test` are
/// two people.
const SUFFIXES: &[&str] = &["@s.whatsapp.net", "@c.us", "@lid"];

/// Ids as an operator writes them: `api:ada`, `whatsapp:+49 …`, `+49…`, `49…@s.whatsapp.net`, `49…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admins(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    whole: String,
    platform: Option<String>,
    native: String,
    is_phone: bool,
}

impl Entry {
    fn new(text: &str) -> Self {
        let (platform, native) = split(text);
        Self {
            whole: text.to_owned(),
            platform: platform.map(str::to_owned),
            is_phone: native.starts_with('+'),
            native: normal(native),
        }
    }

    fn matches(&self, caller: &str) -> bool {
        let (platform, native) = split(caller);
        let there = match (&self.platform, platform) {
            (Some(named), found) => found == Some(named.as_str()),
            (None, Some(found)) if self.is_phone => BY_PHONE.contains(&found),
            (None, _) => true,
        };
        self.whole == caller || (there && !self.native.is_empty() && self.native == normal(native))
    }
}

/// The platform, where there is one, and the platform's own id.
fn split(id: &str) -> (Option<&str>, &str) {
    let is_platform = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    match id.split_once(':') {
        Some((platform, native)) if is_platform(platform) => (Some(platform), native),
        _ => (None, id),
    }
}

fn normal(native: &str) -> String {
    let native = native.strip_prefix('+').unwrap_or(native);
    SUFFIXES.iter().find_map(|suffix| native.strip_suffix(suffix)).unwrap_or(native).to_owned()
}

impl Admins {
    pub fn new<S: AsRef<str>>(ids: impl IntoIterator<Item = S>) -> Self {
        let ids = ids.into_iter().map(|id| id.as_ref().trim().to_owned()).filter(|id| !id.is_empty());
        Self(ids.map(|id| Entry::new(&id)).collect())
    }

    /// A caller without a platform in front of a bare number is taken for any platform's; one named for a
    /// platform is that platform's alone.
    pub fn contains(&self, caller: &str) -> bool {
        self.0.iter().any(|entry| entry.matches(caller))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of both.
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// permissions.md #8 #10 #12 #36, http-api.md #6: one rule for all forms of an id.
    #[test]
    fn the_forms_of_an_id() {
        for (entry, caller, expected) in [
            ("api:ada", "api:ada", true),
            ("api:ada", "telegram:ada", false),
            ("ada", "ada", true),
            ("+972542341444", "whatsapp:972542341444@s.whatsapp.net", true),
            ("972542341444", "whatsapp:972542341444@s.whatsapp.net", true),
            ("whatsapp:+972542341444", "whatsapp:972542341444@s.whatsapp.net", true),
            ("972542341444@s.whatsapp.net", "whatsapp:972542341444@s.whatsapp.net", true),
            ("972542341444", "telegram:972542341444", true),
            // permissions.md W8: a phone number is nobody's id on a platform without phone numbers.
            ("+972542341444", "telegram:972542341444", false),
            ("+972542341444", "api:972542341444", false),
            ("whatsapp:+972542341444", "telegram:972542341444", false),
            ("+972542341444", "whatsapp:972542341445@s.whatsapp.net", false),
            ("teams:ada@example.com", "teams:ada@evil.test", false),
            ("teams:ada@example.com", "teams:ada@example.com", true),
            ("matrix:@ada:example.org", "matrix:@ada:example.org", true),
            ("+", "whatsapp:", false),
            ("whatsapp:", "whatsapp:+", false),
        ] {
            assert_eq!(Admins::new([entry]).contains(caller), expected, "{entry} {caller}");
        }
        assert!(Admins::new([" ", ""]).is_empty());
    }

    proptest! {
        /// A named platform is never left, and nobody is an admin of an empty list.
        #[test]
        fn a_platform_is_not_left(
            native in "[+]?[0-9a-z@.:]{1,12}", other in "[+]?[0-9a-z@.:]{0,12}",
            (named, found) in prop::sample::select(vec![("whatsapp", "telegram"), ("api", "whatsapp"), ("slack", "api")]),
        ) {
            let admins = Admins::new([format!("{named}:{native}")]);
            let caller = format!("{}:{}", found, other);
            prop_assert!(!admins.contains(&caller));
            let own = format!("{}:{}", named, native);
            prop_assert!(admins.contains(&own));
            prop_assert!(!Admins::default().contains(&own));
        }
    }
}
