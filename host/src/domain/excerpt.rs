//! A glimpse of a tool call for records that are kept: bounded, and without what looks like a secret.

/// Characters of an excerpt, at most.
const MOST: usize = 240;
/// A word of letters and digits from this length on is taken for a key. Hashes are lost as well.
const KEY_LENGTH: usize = 20;
/// What a value's name contains where the value is a secret.
const NAMES: &[&str] = &["secret", "token", "passw", "apikey", "api_key", "api-key", "credential", "authorization"];
const REMOVED: &str = "[removed]";

/// Cuts `text` to what a record may hold.
pub fn excerpt(text: &str) -> String {
    // Read on past the bound: a secret that is cut in two would not be recognised.
    let seen: String = text.chars().take(MOST * 4).collect();
    let redacted = redact(&seen);
    match redacted.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &redacted[..end]),
        None => redacted,
    }
}

/// Takes out long words of letters and digits, the password of a URL, and the value that follows
/// a name such as `password`.
fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // Set by a telling name, until its value has passed.
    let mut expected = false;
    while let Some(first) = rest.chars().next() {
        // What stands between a name and its value.
        if matches!(first, ' ' | '=' | ':' | '"' | '\'' | '\\') {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        if expected && !matches!(word.to_ascii_lowercase().as_str(), "bearer" | "basic") {
            let end = rest.find(|c: char| c.is_whitespace() || "\"'\\,;&|}".contains(c)).unwrap_or(rest.len());
            out.push_str(if end == 0 { "" } else { REMOVED });
            expected = false;
            rest = &rest[end..];
            if end > 0 {
                continue;
            }
        }
        if word.is_empty() {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        rest = &rest[word.len()..];
        let lower = word.to_ascii_lowercase();
        expected |= NAMES.iter().any(|name| lower.contains(name));
        let in_url = out.ends_with(':') && rest.starts_with('@');
        out.push_str(if in_url || is_key(word) { REMOVED } else { word });
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '%' | '!' | '~')
}

fn is_key(word: &str) -> bool {
    word.len() >= KEY_LENGTH
        && word.bytes().any(|b| b.is_ascii_digit())
        && word.bytes().any(|b| b.is_ascii_alphabetic())
        && !word.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_not_kept() {
        for (text, secret) in [
            ("curl -H 'Authorization: Bearer abc.def' x", "abc.def"),
            ("{\"password\":\"hunter2\"}", "hunter2"),
            ("mysql --password hunter2", "hunter2"),
            ("login password='p@$$w0rd,x' now", "w0rd"),
            ("login password=$ecret; ls", "ecret"),
            ("export GITHUB_TOKEN=ghp_16C7e42F292c6912", "ghp_16C7"),
            ("echo sk-ant-api03-4f9a1c7e2b8d", "4f9a1c7e2b8d"),
            ("git clone https://me:hunter2@example.org/x", "hunter2"),
        ] {
            let kept = excerpt(text);
            assert!(!kept.contains(secret) && kept.contains(REMOVED), "{kept}");
        }
        assert_eq!(excerpt("rm -rf ./build && ls -la notes.md"), "rm -rf ./build && ls -la notes.md");
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_keeps_no_key(before in "\\PC{0,300}", key in "[a-z]{12}[0-9]{12}") {
            let kept = excerpt(&format!("{before} {key}"));
            prop_assert!(kept.chars().count() <= MOST + 1);
            prop_assert!(!kept.contains(&key));
        }
    }
}
