//! Model credentials: where they come from, and which of them one run needs.
//!
//! At present API keys of the environment only; OAuth comes with its own file. Values live in a
//! zeroising type and leave it in one place, [`Credentials::for_run`].

use std::{collections::BTreeMap, time::Duration};

use secrecy::{ExposeSecret, SecretString};

/// Provider, as `pi` names it → the variables that `pi` reads for it, in its order of preference
/// (pi 0.87.1, docs/providers.md). The operator sets them with `MERCURY_` in front.
const PROVIDERS: &[(&str, &[&str])] = &[
    ("anthropic", &["ANTHROPIC_OAUTH_TOKEN", "ANTHROPIC_API_KEY"]),
    ("openai", &["OPENAI_API_KEY"]),
    ("google", &["GEMINI_API_KEY"]),
    ("google-vertex", &["GOOGLE_CLOUD_API_KEY"]),
    ("groq", &["GROQ_API_KEY"]),
    ("mistral", &["MISTRAL_API_KEY"]),
    ("cerebras", &["CEREBRAS_API_KEY"]),
    ("xai", &["XAI_API_KEY"]),
    ("openrouter", &["OPENROUTER_API_KEY"]),
    ("vercel-ai-gateway", &["AI_GATEWAY_API_KEY"]),
    ("zai", &["ZAI_API_KEY"]),
    ("huggingface", &["HF_TOKEN"]),
    ("kimi-coding", &["KIMI_API_KEY"]),
    ("minimax", &["MINIMAX_API_KEY"]),
    ("minimax-cn", &["MINIMAX_CN_API_KEY"]),
    ("deepseek", &["DEEPSEEK_API_KEY"]),
    ("azure-openai-responses", &["AZURE_OPENAI_API_KEY"]),
    ("amazon-bedrock", &["AWS_BEARER_TOKEN_BEDROCK"]),
    ("github-copilot", &["COPILOT_GITHUB_TOKEN"]),
];

/// The old name under which operators give the Copilot token (container.md W17).
const COPILOT_OLD: &str = "MERCURY_GITHUB_COPILOT_OAUTH_TOKEN";

/// What a provider takes as proof: for as long as one request needs it.
#[derive(Clone, Debug)]
pub struct Token {
    pub secret: SecretString,
    pub kind: TokenKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    ApiKey,
    /// The access token of an account.
    OAuth,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error("no credential for the model provider `{provider}` is configured")]
    Missing { provider: String },
}

/// The variable that an operator would set for `provider`.
pub fn variable_for(provider: &str) -> Option<String> {
    let (_, variables) = PROVIDERS.iter().find(|(name, _)| *name == provider)?;
    variables.last().map(|name| format!("MERCURY_{name}"))
}

/// The credentials that are configured.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The agent's variable name → its value.
    values: BTreeMap<&'static str, SecretString>,
}

impl Credentials {
    pub fn from_environment(environment: &BTreeMap<String, String>) -> Self {
        let mut values = BTreeMap::new();
        for name in PROVIDERS.iter().flat_map(|(_, names)| *names) {
            let old = (*name == "COPILOT_GITHUB_TOKEN").then(|| environment.get(COPILOT_OLD)).flatten();
            let value = environment.get(&format!("MERCURY_{name}")).or(old).map(|value| value.trim());
            // JSON is a credential with its refresh token: that one must never enter a container.
            if let Some(value) = value.filter(|value| !value.is_empty() && !value.starts_with('{')) {
                values.insert(*name, SecretString::from(value.to_owned()));
            }
        }
        Self { values }
    }

    /// Names of variables that hold a credential which this version cannot use.
    pub fn unusable(environment: &BTreeMap<String, String>) -> Vec<String> {
        PROVIDERS
            .iter()
            .flat_map(|(_, names)| *names)
            .map(|name| format!("MERCURY_{name}"))
            .filter(|name| environment.get(name).is_some_and(|value| value.trim().starts_with('{')))
            .collect()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Names of the providers that have a credential.
    pub fn providers(&self) -> Vec<&'static str> {
        PROVIDERS
            .iter()
            .filter(|(_, names)| names.iter().any(|name| self.values.contains_key(name)))
            .map(|(provider, _)| *provider)
            .collect()
    }

    pub fn has(&self, provider: &str) -> bool {
        PROVIDERS
            .iter()
            .any(|(name, names)| *name == provider && names.iter().any(|name| self.values.contains_key(name)))
    }

    /// A token for `provider` that is good for `min_validity` at least, where its source can give such a one.
    ///
    /// # Errors
    /// Where there is none that a request could be tried with.
    pub async fn token(&self, provider: &str, _min_validity: Duration) -> Result<Token, CredentialError> {
        let names = PROVIDERS.iter().filter(|(name, _)| *name == provider).flat_map(|(_, names)| *names);
        let found = names.into_iter().find_map(|name| self.values.get(name).map(|value| (*name, value)));
        let (name, value) = found.ok_or_else(|| CredentialError::Missing { provider: provider.to_owned() })?;
        let kind =
            if name.contains("OAUTH") || name.starts_with("COPILOT") { TokenKind::OAuth } else { TokenKind::ApiKey };
        Ok(Token { secret: value.clone(), kind })
    }

    /// Says that `provider` refused `token` (HTTP 401), so the next [`Credentials::token`] is another
    /// one if there is any.
    pub async fn refused(&self, _provider: &str, _token: &Token) {}

    /// What a run that asks `providers` needs, and nothing else.
    pub fn for_run<'a>(&self, providers: impl IntoIterator<Item = &'a str>) -> mercury_protocol::io::Credentials {
        let mut environment = BTreeMap::new();
        for wanted in providers {
            for (_, names) in PROVIDERS.iter().filter(|(provider, _)| *provider == wanted) {
                for name in *names {
                    if let Some(value) = self.values.get(name) {
                        environment.insert((*name).to_owned(), value.expose_secret().to_owned());
                    }
                }
            }
        }
        mercury_protocol::io::Credentials { environment }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(pairs: &[(&str, &str)]) -> Credentials {
        Credentials::from_environment(
            &pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        )
    }

    #[test]
    fn a_run_gets_only_what_its_models_need() {
        let credentials =
            configured(&[("MERCURY_ANTHROPIC_API_KEY", "a"), ("MERCURY_OPENAI_API_KEY", "o"), ("MERCURY_OTHER", "x")]);
        let given = credentials.for_run(["anthropic"]).environment;
        assert_eq!(given.into_iter().collect::<Vec<_>>(), [("ANTHROPIC_API_KEY".to_owned(), "a".to_owned())]);
        assert_eq!(credentials.providers(), ["anthropic", "openai"]);
    }

    #[test]
    fn a_blob_with_a_refresh_token_never_enters_a_container() {
        let blob = [("MERCURY_ANTHROPIC_OAUTH_TOKEN", "{\"refresh\":\"r\"}")];
        assert!(configured(&blob).is_empty());
        let environment = blob.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        assert_eq!(Credentials::unusable(&environment), ["MERCURY_ANTHROPIC_OAUTH_TOKEN"]);
    }

    #[test]
    fn secrets_are_not_printed() {
        assert!(!format!("{:?}", configured(&[("MERCURY_GROQ_API_KEY", "gsk-canary")])).contains("canary"));
    }
}
