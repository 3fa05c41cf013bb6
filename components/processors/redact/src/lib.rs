//! The built-in redactor: no secret and no path of the host leaves in a reply.
//!
//! It owns what such texts look like ([`secrets`], [`paths`]) and changes nothing else in a
//! reply. It is a net under the real measures (the agent holds few secrets and sees few host
//! paths): it knows shapes, not values.

pub mod paths;
pub mod secrets;

#[cfg(target_family = "wasm")]
mod component;

/// The whole rule: secrets first, so that a path inside one does not break its shape.
pub fn redact(text: &str, space: &str, host_paths: &[String]) -> String {
    paths::remove(&secrets::remove(text), space, host_paths)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::redact;

    fn once(text: &str) -> String {
        redact(text, "main", &["/srv/mercury-data".to_owned()])
    }

    proptest! {
        #[test]
        fn twice_is_once(text in "\\PC{0,200}") {
            let first = once(&text);
            prop_assert_eq!(once(&first), first);
        }

        #[test]
        fn twice_is_once_for_what_matches(
            parts in prop::collection::vec(prop::sample::select(vec![
                "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWx", "ghp_0123456789abcdefghijABCDEFGHIJ012345", "/srv/mercury-data", "/x.txt",
                "/run/mercury-io/a", "/spaces/main/", "outbox/a.pdf", " ", "\n", "`", "Bearer ", "AKIAIOSFODNN7EXAMPLE", "=", "\"", ".",
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
                "aws_secret_access_key", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00",
            ]), 0..8),
        ) {
            let text = parts.concat();
            let first = once(&text);
            prop_assert_eq!(once(&first), first);
        }

        #[test]
        fn plain_words_are_left_alone(text in "[a-z ,.\\n#*`-]{0,300}") {
            prop_assert_eq!(once(&text), text);
        }
    }
}
