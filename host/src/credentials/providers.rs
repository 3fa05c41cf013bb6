//! What is known of each model provider: the variables that `pi` reads, and whether an account can
//! be used in place of a key.

use super::endpoints;

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

/// The provider as it stands in the tables, and the names of its variables without prefix.
pub(super) fn known() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    PROVIDERS.iter().copied()
}

/// The variables that `pi` reads for `provider`; none for one that is unknown or has none.
pub(super) fn variables(provider: &str) -> &'static [&'static str] {
    PROVIDERS.iter().find(|(name, _)| *name == provider).map_or(&[], |(_, names)| names)
}

/// The names under which an operator may set what `pi` reads as `variable`, the usual one first.
pub(super) fn operator_names(variable: &str) -> Vec<String> {
    let old = (variable == "COPILOT_GITHUB_TOKEN").then(|| COPILOT_OLD.to_owned());
    std::iter::once(format!("MERCURY_{variable}")).chain(old).collect()
}

/// Every variable by which an operator gives a model provider's credential.
pub fn operator_variables() -> impl Iterator<Item = String> {
    known().flat_map(|(_, names)| names).flat_map(|name| operator_names(name))
}

/// Whether what stands in `variable` is an account's access token rather than a key.
pub(super) fn is_oauth(variable: &str) -> bool {
    variable.contains("OAUTH") || variable.starts_with("COPILOT")
}

/// The variable that an operator would set for `provider`.
pub fn variable_for(provider: &str) -> Option<String> {
    variables(provider).last().map(|name| format!("MERCURY_{name}"))
}

/// A provider whose subscription can be used by signing in: those that the replaced system offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    Anthropic,
    GithubCopilot,
    OpenaiCodex,
}

impl Account {
    pub const ALL: [Self; 3] = [Self::Anthropic, Self::GithubCopilot, Self::OpenaiCodex];

    pub fn of(provider: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|account| account.id() == provider)
    }

    /// The provider's id, as in `pi` and in `auth.json`.
    pub fn id(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::GithubCopilot => "github-copilot",
            Self::OpenaiCodex => "openai-codex",
        }
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "Anthropic (Claude Pro/Max)",
            Self::GithubCopilot => "GitHub Copilot",
            Self::OpenaiCodex => "OpenAI (ChatGPT Plus/Pro)",
        }
    }

    /// The variable by which `pi` takes an access token; it reads none for Codex.
    pub fn variable(self) -> Option<&'static str> {
        match self {
            Self::Anthropic => Some("ANTHROPIC_OAUTH_TOKEN"),
            Self::GithubCopilot => Some("COPILOT_GITHUB_TOKEN"),
            Self::OpenaiCodex => None,
        }
    }

    /// How much earlier than the truth `expires` stands in `auth.json`, in milliseconds. `pi` writes
    /// it so (pi-ai 0.87.1, auth/oauth/anthropic.js and github-copilot.js: 5 minutes; openai-codex.js:
    /// none), and both must be able to read the file.
    pub(super) fn stored_margin(self) -> i64 {
        match self {
            Self::Anthropic | Self::GithubCopilot => 5 * 60 * 1000,
            Self::OpenaiCodex => 0,
        }
    }

    /// Where tokens are exchanged and renewed.
    pub(super) fn token_url(self) -> &'static str {
        match self {
            Self::Anthropic => endpoints::ANTHROPIC_TOKEN,
            Self::GithubCopilot => endpoints::GITHUB_TOKEN,
            Self::OpenaiCodex => endpoints::OPENAI_TOKEN,
        }
    }

    /// The public id of the client in whose name is signed in (pi-ai 0.87.1, auth/oauth/*.js).
    pub(super) fn client_id(self) -> &'static str {
        match self {
            Self::Anthropic => "9d1c250a-e61b-44d9-88ed-5944d1962f5e",
            Self::GithubCopilot => "Iv1.b507a08c87ecfe98",
            Self::OpenaiCodex => "app_EMoamEEZ73f0CkXaXp7hrann",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_variables_agree() {
        for account in Account::ALL {
            assert_eq!(Account::of(account.id()), Some(account));
            if let Some(variable) = account.variable() {
                assert!(variables(account.id()).contains(&variable) && is_oauth(variable));
            }
        }
        assert_eq!(Account::of("groq"), None);
        assert_eq!(variable_for("openai").as_deref(), Some("MERCURY_OPENAI_API_KEY"));
        assert_eq!(variable_for("openai-codex"), None);
    }
}
