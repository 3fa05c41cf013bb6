//! What the variables of the environment say, and which of them counts for a provider. Pure.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::{
    Token, TokenKind,
    providers::{self, Account},
    token_set::TokenSet,
};

/// How the text of a variable is understood (oauth.md 5.3). There is this one reader for all of them.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// As if unset.
    Empty,
    Token(SecretString),
    /// JSON with a usable access token.
    Blob(TokenSet),
    /// It looks like JSON and has no usable access token. Never passed on: a refresh token may be in it.
    Corrupt,
}

impl Value {
    pub(super) fn interpret(raw: &str) -> Self {
        match raw.trim() {
            "" => Self::Empty,
            text if !text.starts_with('{') => Self::Token(SecretString::from(text)),
            text => serde_json::from_str(text)
                .ok()
                .and_then(|blob| TokenSet::from_blob(&blob))
                .map_or(Self::Corrupt, Self::Blob),
        }
    }
}

/// What counts for one provider.
#[derive(Clone, Debug)]
pub(super) enum Configured {
    /// Passed on as it is.
    Fixed { variable: String, token: Token, expires: Option<i64> },
    /// Given by a console or an operator, with what renews it.
    Provisioned { variable: String, account: Account, tokens: TokenSet },
}

/// What the environment gives, by provider.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    pub configured: BTreeMap<&'static str, Configured>,
    /// Provider → the variable that cannot be used.
    pub corrupt: BTreeMap<&'static str, String>,
}

impl Environment {
    /// Reads `variables`. Of several for one provider the first that `pi` would take counts, and
    /// what is corrupt or blank counts as unset (oauth.md 2.2, 5.2, W16).
    pub(super) fn read(variables: &BTreeMap<String, String>) -> Self {
        let mut environment = Self::default();
        for (provider, names) in providers::known() {
            for (name, operator_name) in
                names.iter().flat_map(|name| providers::operator_names(name).into_iter().map(move |it| (*name, it)))
            {
                let Some(raw) = variables.get(&operator_name) else { continue };
                match Value::interpret(raw) {
                    Value::Empty => continue,
                    Value::Corrupt => {
                        environment.corrupt.entry(provider).or_insert(operator_name);
                        continue;
                    }
                    Value::Token(secret) => {
                        let kind = if providers::is_oauth(name) { TokenKind::OAuth } else { TokenKind::ApiKey };
                        let token = Token { secret, kind };
                        let fixed = Configured::Fixed { variable: operator_name, token, expires: None };
                        environment.configured.insert(provider, fixed);
                    }
                    Value::Blob(tokens) => match Account::of(provider).filter(|_| tokens.is_renewable()) {
                        Some(account) => {
                            let provisioned = Configured::Provisioned { variable: operator_name, account, tokens };
                            environment.configured.insert(provider, provisioned);
                        }
                        None => {
                            let token = Token { secret: tokens.access.clone(), kind: TokenKind::OAuth };
                            let fixed = Configured::Fixed { variable: operator_name, token, expires: tokens.expires };
                            environment.configured.insert(provider, fixed);
                        }
                    },
                }
                break;
            }
        }
        environment
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Environment {
        Environment::read(&pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    const BLOB: &str = r#"{"access":"at","refresh":"rt","expires":5}"#;

    /// oauth.md #28
    #[test]
    fn interpretation() {
        for (raw, expected) in [
            ("sk-ant-oat01-x", "token"),
            ("  sk-ant-oat01-x \n", "token"),
            (BLOB, "blob"),
            (" {\"access\":\"at\"}", "blob"),
            ("{oops", "corrupt"),
            ("  ", "empty"),
            ("", "empty"),
            ("{}", "corrupt"),
            (r#"{"access":""}"#, "corrupt"),
            (r#"{"access":7,"refresh":"rt"}"#, "corrupt"),
        ] {
            let found = match Value::interpret(raw) {
                Value::Empty => "empty",
                Value::Token(secret) => {
                    assert_eq!(secret.expose_secret(), "sk-ant-oat01-x", "trimmed");
                    "token"
                }
                Value::Blob(_) => "blob",
                Value::Corrupt => "corrupt",
            };
            assert_eq!(found, expected, "{raw:?}");
        }
    }

    /// oauth.md #25, #26, #31: the first usable one counts; what is corrupt is remembered, not used.
    #[test]
    fn precedence() {
        let both = read(&[("MERCURY_ANTHROPIC_API_KEY", "key"), ("MERCURY_ANTHROPIC_OAUTH_TOKEN", "oat")]);
        let Configured::Fixed { variable, token, .. } = &both.configured["anthropic"] else { panic!("{both:?}") };
        assert_eq!((variable.as_str(), token.kind), ("MERCURY_ANTHROPIC_OAUTH_TOKEN", TokenKind::OAuth));

        let corrupt = read(&[("MERCURY_ANTHROPIC_API_KEY", "key"), ("MERCURY_ANTHROPIC_OAUTH_TOKEN", "{oops")]);
        let Configured::Fixed { variable, token, .. } = &corrupt.configured["anthropic"] else { panic!() };
        assert_eq!((variable.as_str(), token.kind), ("MERCURY_ANTHROPIC_API_KEY", TokenKind::ApiKey));
        assert_eq!(corrupt.corrupt["anthropic"], "MERCURY_ANTHROPIC_OAUTH_TOKEN");

        let legacy = read(&[("MERCURY_ANTHROPIC_API_KEY", BLOB)]);
        assert!(matches!(legacy.configured["anthropic"], Configured::Provisioned { .. }));
        let bare = read(&[("MERCURY_ANTHROPIC_API_KEY", r#"{"access":"at"}"#)]);
        let Configured::Fixed { token, .. } = &bare.configured["anthropic"] else { panic!() };
        assert_eq!((token.secret.expose_secret(), token.kind), ("at", TokenKind::OAuth));
        assert!(read(&[("MERCURY_ANTHROPIC_API_KEY", r#"{"refresh":"rt"}"#)]).configured.is_empty());
    }

    /// oauth.md #27: a blob in the variable of a provider without accounts is never a key.
    #[test]
    fn a_blob_is_no_key() {
        let environment = read(&[("MERCURY_OPENAI_API_KEY", r#"{"refresh":"rt"}"#)]);
        assert!(environment.configured.is_empty());
        assert_eq!(environment.corrupt["openai"], "MERCURY_OPENAI_API_KEY");
    }

    #[test]
    fn the_old_name_of_the_copilot_token() {
        let environment = read(&[("MERCURY_GITHUB_COPILOT_OAUTH_TOKEN", "ghu")]);
        assert!(matches!(environment.configured["github-copilot"], Configured::Fixed { .. }));
    }
}
