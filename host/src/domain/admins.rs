//! Who the configuration names as an admin: one rule for roles, for what concerns all spaces, and for
//! direct conversations.

use super::identity::Identity;

/// Platforms whose ids are phone numbers: only there a `+…` names somebody.
const BY_PHONE: &[&str] = &[WHATSAPP, "signal", "sms"];
const WHATSAPP: &str = "whatsapp";
/// What WhatsApp puts behind a number, and what the number is then. Nothing else is cut off: `ada@example.com`
/// and `ada@evil.test` are two people.
const SUFFIXES: &[(&str, Number)] =
    &[("@s.whatsapp.net", Number::Phone), ("@c.us", Number::Phone), ("@lid", Number::Opaque)];

/// Digits are a telephone's, or WhatsApp's own for somebody. Without a suffix they may be either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Phone,
    Opaque,
}

/// Ids as an operator writes them: `api:ada`, `whatsapp:+49 …`, `+49…`, `49…@s.whatsapp.net`, `49…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admins(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    whole: String,
    platform: Option<String>,
    native: String,
    number: Option<Number>,
}

impl Entry {
    fn new(text: &str) -> Self {
        let (platform, given) = split(text);
        let (native, number) = normal(given);
        Self { whole: text.to_owned(), platform: platform.map(str::to_owned), native: native.to_owned(), number }
    }

    fn matches(&self, caller: &str) -> bool {
        let (platform, native) = split(caller);
        let there = match (&self.platform, platform) {
            (Some(named), found) => found == Some(named.as_str()),
            (None, Some(found)) => match self.number {
                Some(Number::Phone) => BY_PHONE.contains(&found),
                Some(Number::Opaque) => found == WHATSAPP,
                None => true,
            },
            (None, None) => true,
        };
        let (native, number) = normal(native);
        let differ = self.number.zip(number).is_some_and(|(named, found)| named != found);
        self.whole == caller || (there && !differ && !self.native.is_empty() && self.native == native)
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

fn normal(native: &str) -> (&str, Option<Number>) {
    let (native, plus) = match native.strip_prefix('+') {
        Some(native) => (native, Some(Number::Phone)),
        None => (native, None),
    };
    let cut = SUFFIXES.iter().find_map(|(suffix, number)| Some((native.strip_suffix(suffix)?, Some(*number))));
    cut.unwrap_or((native, plus))
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

    /// The same under any of the ids that count for somebody.
    pub fn names(&self, who: &Identity) -> bool {
        who.ids().any(|id| self.contains(id))
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
            // The digits of a LID are nobody's telephone number.
            ("+24417056866472", "whatsapp:24417056866472@lid", false),
            ("24417056866472@s.whatsapp.net", "whatsapp:24417056866472@lid", false),
            ("24417056866472@lid", "whatsapp:24417056866472@s.whatsapp.net", false),
            ("24417056866472@lid", "telegram:24417056866472", false),
            ("24417056866472", "whatsapp:24417056866472@lid", true),
            ("24417056866472@lid", "whatsapp:24417056866472@lid", true),
            ("+", "whatsapp:", false),
            ("whatsapp:", "whatsapp:+", false),
        ] {
            assert_eq!(Admins::new([entry]).contains(caller), expected, "{entry} {caller}");
        }
        assert!(Admins::new([" ", ""]).is_empty());
    }

    /// permissions.md #9 #12: who is named by one id is named by the other as soon as they are known to be one
    /// person's, and not before.
    #[test]
    fn aliases_count_both_ways() {
        let (phone, lid) = ("whatsapp:972542341444@s.whatsapp.net", "whatsapp:24417056866472@lid");
        let of = |id: &str, person: Option<&str>, alias: Option<&str>| {
            Identity::new(id, person.map(str::to_owned), alias.map(str::to_owned))
        };
        for named in ["24417056866472", "24417056866472@lid", lid] {
            let admins = Admins::new([named]);
            assert!(!admins.names(&of(phone, None, None)), "{named}");
            assert!(!admins.names(&of(phone, None, Some("whatsapp:7@lid"))), "{named}");
            assert!(admins.names(&of(phone, None, Some(lid))), "{named}");
        }
        for named in ["+972542341444", "972542341444", phone] {
            let admins = Admins::new([named]);
            assert!(!admins.names(&of(lid, None, None)), "{named}");
            assert!(admins.names(&of(lid, Some(phone), None)), "{named}");
        }
        assert!(!Admins::default().names(&of(phone, None, Some(lid))));
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
