//! Why a run has no answer, in words for the operator. The person's words are in [`super::words`].

use serde::{Deserialize, Serialize};

use super::{
    budget::{self, Scope},
    sensitive,
};

/// What went wrong. The operator reads [`Failure::for_operator`] with the next step, the person in
/// the chat what [`super::words::Voice`] makes of it; neither sees the other's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Failure {
    Timeout {
        seconds: u64,
    },
    OutOfMemory {
        limit_mb: u64,
    },
    Aborted,
    /// The container ended without a result.
    Crashed {
        exit_code: Option<i64>,
        output: String,
    },
    /// The entry program reported an error; `category` tells what to say about it.
    Agent {
        error: String,
        category: Category,
    },
    /// What the agent left as its result cannot be read.
    BadResult {
        detail: String,
    },
    /// The agent wrote a result in place of `entry`.
    ForgedResult,
    NoCredentials {
        provider: String,
        /// What was looked for, and where.
        #[serde(default)]
        detail: String,
        /// The variable by which one can be given.
        #[serde(default)]
        variable: Option<String>,
    },
    /// An account's sign-in has come to its end: only signing in again helps.
    Reconnect {
        provider: String,
        detail: String,
        /// Where a person can do it, if anywhere.
        link: Option<String>,
    },
    /// An account's access token has ended and could not be renewed just now.
    RefreshFailed {
        provider: String,
        detail: String,
    },
    /// A budget stopped the run's model calls.
    OutOfBudget {
        scope: Scope,
        limit_micro_usd: u64,
    },
    /// There are budgets, and nobody knows what the model costs.
    NoPrice {
        model: String,
    },
    ImageMissing {
        image: String,
    },
    RuntimeMissing {
        runtime: String,
    },
    DockerUnavailable {
        detail: String,
    },
    /// Docker refused to create or start the container.
    Refused {
        detail: String,
    },
    /// The host could not write what the run needs.
    Storage {
        detail: String,
    },
    /// The host ended while the run was at work, and nothing was left of it.
    Lost,
    /// A required processor failed, so the answer was withheld.
    Withheld {
        plugin: String,
    },
    /// A run hook decided that nothing runs; the person reads its reason.
    Blocked {
        plugin: String,
        said: String,
    },
    /// While the run waited, a connection to somebody's own service became active, or others came to read along.
    Sensitive {
        connections: String,
        /// The space allows it, but its person was not asked.
        unasked: bool,
        /// In the language of the space.
        said: String,
    },
    /// A run hook that is not optional failed. What it said is in the log only.
    HookFailed {
        plugin: String,
    },
}

/// Kinds of error that a model provider causes, told apart by the text that `pi` reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    Auth,
    KeyLimit,
    Credits,
    RateLimit,
    ServerError,
    Generic,
}

/// HTTP statuses are those of a gateway: the request was fine, what is behind it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 403: it may not be.
    Forbidden,
    /// 409: somebody stopped it.
    Conflict,
    /// 429: an allowance is used up.
    TooManyRequests,
    /// 502: the agent or its model failed.
    BadGateway,
    /// 503: something that the host needs is not there.
    Unavailable,
    /// 504
    GatewayTimeout,
    /// 507: disk full.
    InsufficientStorage,
}

/// The most of a program's output that a message carries, in characters.
const OUTPUT_KEPT: usize = 500;

impl Failure {
    pub fn agent(error: &str) -> Self {
        Self::Agent { error: shorten(error), category: Category::of(error) }
    }

    pub fn crashed(exit_code: Option<i64>, output: &str) -> Self {
        Self::Crashed { exit_code, output: shorten(output) }
    }

    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::Aborted => "aborted",
            Self::Crashed { .. } => "container_crashed",
            Self::Agent { category: Category::Auth, .. } => "model_auth",
            Self::Agent { category: Category::KeyLimit, .. } => "model_key_limit",
            Self::Agent { category: Category::Credits, .. } => "model_credits",
            Self::Agent { category: Category::RateLimit, .. } => "model_rate_limit",
            Self::Agent { category: Category::ServerError, .. } => "model_unavailable",
            Self::Agent { category: Category::Generic, .. } => "agent_failed",
            Self::BadResult { .. } => "bad_result",
            Self::ForgedResult => "forged_result",
            Self::NoCredentials { .. } => "no_credentials",
            Self::Reconnect { .. } => "reconnect_needed",
            Self::RefreshFailed { .. } => "credential_refresh_failed",
            Self::OutOfBudget { .. } => "out_of_budget",
            Self::NoPrice { .. } => "no_price",
            Self::ImageMissing { .. } => "image_missing",
            Self::RuntimeMissing { .. } => "runtime_missing",
            Self::DockerUnavailable { .. } => "docker_unavailable",
            Self::Refused { .. } => "container_refused",
            Self::Storage { .. } => "storage",
            Self::Lost => "lost",
            Self::Withheld { .. } => "withheld",
            Self::Blocked { .. } => "blocked",
            Self::Sensitive { unasked: false, .. } => "sensitive_disabled",
            Self::Sensitive { unasked: true, .. } => "sensitive_confirm",
            Self::HookFailed { .. } => "hook_failed",
        }
    }

    pub fn status(&self) -> Status {
        match self {
            Self::Timeout { .. } => Status::GatewayTimeout,
            Self::Aborted => Status::Conflict,
            Self::Blocked { .. } | Self::Sensitive { .. } => Status::Forbidden,
            Self::OutOfBudget { .. } => Status::TooManyRequests,
            Self::NoCredentials { .. }
            | Self::Reconnect { .. }
            | Self::RefreshFailed { .. }
            | Self::NoPrice { .. }
            | Self::ImageMissing { .. }
            | Self::RuntimeMissing { .. }
            | Self::DockerUnavailable { .. }
            | Self::Refused { .. } => Status::Unavailable,
            Self::Storage { .. } => Status::InsufficientStorage,
            _ => Status::BadGateway,
        }
    }

    /// The thing and the reason.
    pub fn for_operator(&self) -> String {
        match self {
            Self::Timeout { seconds } => format!("the run was stopped after {seconds} s"),
            Self::OutOfMemory { limit_mb } => {
                format!("the container was killed at its memory limit of {limit_mb} MiB (exit code 137)")
            }
            Self::Aborted => "the run was stopped".into(),
            Self::Crashed { exit_code: Some(code), output } if output.is_empty() => {
                format!("the container ended with exit code {code}, without a result and without output")
            }
            Self::Crashed { exit_code: Some(code), output } => {
                format!("the container ended with exit code {code} without a result: {output}")
            }
            Self::Crashed { exit_code: None, output } => {
                format!("the container vanished without a result{}{output}", if output.is_empty() { "" } else { ": " })
            }
            Self::Agent { error, .. } => format!("the agent failed: {error}"),
            Self::BadResult { detail } => format!("the agent's result cannot be used: {detail}"),
            Self::ForgedResult => {
                "the agent put a result of its own in the place of the run's result; it was refused".into()
            }
            Self::NoCredentials { provider, detail, .. } if detail.is_empty() => {
                format!("no credential for the model provider `{provider}`: the run was refused")
            }
            Self::NoCredentials { detail, .. }
            | Self::Reconnect { detail, .. }
            | Self::RefreshFailed { detail, .. } => format!("{detail}: the run was refused"),
            Self::OutOfBudget { scope, limit_micro_usd } => {
                format!("the {} of {} are spent", budget::dollars(*limit_micro_usd), scope.owner())
            }
            Self::NoPrice { model } => {
                format!("the price of `{model}` is not known, so the budgets could not be kept: its calls were refused")
            }
            Self::ImageMissing { image } => format!("the agent image `{image}` is not on this Docker daemon"),
            Self::RuntimeMissing { runtime } => {
                format!("the runtime `{runtime}` is not registered with Docker, and another is never used in its place")
            }
            Self::DockerUnavailable { detail } => format!("Docker does not answer: {detail}"),
            Self::Refused { detail } => format!("Docker refused the container: {detail}"),
            Self::Storage { detail } => format!("the run's files could not be written: {detail}"),
            Self::Lost => "the host ended during the run, and its container is gone".into(),
            Self::Withheld { plugin } => {
                format!("the required processor `{plugin}` failed, so the answer was withheld")
            }
            Self::Blocked { plugin, said } => format!("the plugin `{plugin}` blocked the run: {said}"),
            Self::Sensitive { connections, .. } => {
                format!(
                    "{connections} can be reached, and several people read along in the space: the run was not begun"
                )
            }
            Self::HookFailed { plugin } => {
                format!("the run hook of `{plugin}` failed, so nothing was run; the host's log has its words")
            }
        }
    }

    /// What the operator can do about it.
    pub fn next_step(&self) -> String {
        match self {
            Self::Timeout { .. } => "Raise agent.container_timeout_ms / MERCURY_CONTAINER_TIMEOUT_MS if such runs are wanted".into(),
            Self::OutOfMemory { .. } => "Raise agent.memory_mb / MERCURY_AGENT_MEMORY_MB if such runs are wanted".into(),
            Self::Aborted => "Send the message again to start over".into(),
            Self::Crashed { .. } | Self::BadResult { .. } => "Run `mercury doctor`, then read the host's log for this run".into(),
            Self::ForgedResult => "Look at who wrote to this space and what the agent was told: it tried to deceive the host".into(),
            Self::Agent { category: Category::Auth, .. } => "Check the provider's key in .env, for example MERCURY_ANTHROPIC_API_KEY".into(),
            Self::Agent { .. } => "Read the host's log for this run; a model provider's own message is quoted above".into(),
            Self::NoCredentials { provider, variable: Some(variable), .. } => format!(
                "Set {variable} in .env and restart, or sign in with `mercury auth login {provider}` in the project's folder where the provider has accounts; `mercury demo` shows the whole path without a key"
            ),
            Self::NoCredentials { .. } => "Use a model of a provider that takes a key, or take this one out of model.chain; `mercury demo` shows the whole path without a key".into(),
            Self::Reconnect { provider, .. } => format!(
                "Sign in again: reconnect in the console that gave the credential, or run `mercury auth login {provider}` on the host, in the project that owns it; or set the provider's API key in .env"
            ),
            Self::RefreshFailed { provider, .. } => format!(
                "Send the message again in a minute. If it lasts, check the host's way to the provider and `mercury auth status`, then sign in again with `mercury auth login {provider}`, or set its API key in .env"
            ),
            Self::OutOfBudget { scope: Scope::Run, .. } => {
                format!("Ask for a smaller step, or raise {} and restart", Scope::Run.setting())
            }
            Self::OutOfBudget { scope, .. } => format!("Raise {} and restart, or wait until the budget is renewed", scope.setting()),
            Self::NoPrice { model } => format!("Set model.prices / MERCURY_MODEL_PRICES, such as {{\"{model}\": {{\"input\": 1, \"output\": 5}}}} in US dollars per million tokens, and restart"),
            Self::ImageMissing { image } => format!("Build it with `./dev image` or pull it with `docker pull {image}`; agent.image / MERCURY_AGENT_IMAGE names another"),
            Self::RuntimeMissing { .. } => "Run `mercury doctor`: it prints the lines for /etc/docker/daemon.json".into(),
            Self::DockerUnavailable { .. } => "Start Docker (`systemctl start docker`), or point MERCURY_DOCKER_HOST at its socket; `mercury doctor` checks it".into(),
            Self::Refused { .. } => "Run `mercury doctor`; it makes the same request with a probe container".into(),
            Self::Storage { .. } => "Check the data directory's free space and owner (`mercury doctor`), then send the message again".into(),
            Self::Lost => "Send the message again".into(),
            Self::Blocked { plugin, .. } => format!("Look at the settings of `{plugin}`: `mercury plugins settings {plugin}`"),
            Self::Sensitive { unasked: false, .. } => {
                format!("Unlink its groups, or open the space with {}", sensitive::ALLOW)
            }
            Self::Sensitive { unasked: true, .. } => "Send the message again, and say yes to the question".into(),
            Self::Withheld { plugin } | Self::HookFailed { plugin } => {
                format!("Read the log of `{plugin}`, or set plugins.{plugin}.enabled: false")
            }
        }
    }
}

impl Category {
    /// By the text of the error; the first rule that matches decides (container.md section 11).
    fn of(error: &str) -> Self {
        let text = error.to_lowercase();
        let has = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
        let number = |wanted: &str| text.split(|c: char| !c.is_ascii_digit()).any(|run| run == wanted);
        if number("401")
            || number("403")
            || has(&[
                "invalid api key",
                "incorrect api key",
                "invalid x-api-key",
                "no api key found",
                "authentication failed",
                "invalid authentication",
                "unauthorized",
                "access denied",
            ])
        {
            Self::Auth
        } else if has(&["quota", "billing", "usage limit", "spending limit"]) {
            Self::KeyLimit
        } else if number("402")
            || has(&[
                "insufficient credit",
                "not enough credit",
                "purchase credit",
                "purchase more credit",
                "no credit",
            ])
        {
            Self::Credits
        } else if number("429") || has(&["rate limit", "rate_limit"]) {
            Self::RateLimit
        } else if number("500")
            || number("502")
            || number("503")
            || number("504")
            || number("529")
            || has(&[
                "timeout",
                "timed out",
                "etimedout",
                "econnreset",
                "econnrefused",
                "connection error",
                "temporarily unavailable",
                "overload",
                "service unavailable",
                "bad gateway",
                "gateway timeout",
                "internal server error",
            ])
        {
            Self::ServerError
        } else {
            Self::Generic
        }
    }
}

fn shorten(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(OUTPUT_KEPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// container.md #42, pipeline.md #44: the category by the text, the first rule that matches.
    #[test]
    fn categories() {
        for (text, expected) in [
            ("Error 401 Unauthorized", Category::Auth),
            ("invalid api key", Category::Auth),
            ("No API key found for anthropic", Category::Auth),
            ("your billing quota is exhausted", Category::KeyLimit),
            ("quota exceeded", Category::KeyLimit),
            ("402 payment required", Category::Credits),
            ("not enough credits", Category::Credits),
            ("429 too many", Category::RateLimit),
            ("rate_limit_error", Category::RateLimit),
            ("502", Category::ServerError),
            ("503", Category::ServerError),
            ("ETIMEDOUT", Category::ServerError),
            ("", Category::Generic),
            ("something else", Category::Generic),
            ("401 rate limit", Category::Auth),
            ("line 4010", Category::Generic),
        ] {
            assert_eq!(Category::of(text), expected, "{text}");
        }
    }

    /// container.md #40: long output is cut, the exit code stays.
    #[test]
    fn output_is_cut() {
        let failure = Failure::crashed(Some(3), &"ä".repeat(1000));
        let text = failure.for_operator();
        assert!(text.chars().count() < 600 && text.contains("exit code 3"), "{text}");
    }

    /// oauth.md #52: the operator is told what to do about it; the person's words are in `words.rs`.
    #[test]
    fn reconnecting() {
        let failure =
            Failure::Reconnect { provider: "anthropic".into(), detail: "x (`invalid_grant`)".into(), link: None };
        assert!(failure.for_operator().contains("invalid_grant"));
        assert!(failure.next_step().contains("mercury auth login anthropic"));
    }

    /// A row that an older host wrote.
    #[test]
    fn an_older_failure_is_read() {
        let failure: Failure = serde_json::from_str(r#"{"reason":"no-credentials","provider":"x"}"#).unwrap();
        assert!(failure.for_operator().contains("`x`") && !failure.next_step().is_empty());
    }

    /// container.md #41: each kind has its code, and says to the operator what the old kinds said.
    #[test]
    fn kinds_have_their_code_and_words() {
        let missing = Failure::NoCredentials { provider: "anthropic".into(), detail: String::new(), variable: None };
        for (failure, code, word) in [
            (Failure::Timeout { seconds: 5 }, "timeout", "stopped after 5 s"),
            (Failure::OutOfMemory { limit_mb: 128 }, "out_of_memory", "killed"),
            (Failure::Aborted, "aborted", "stopped"),
            (Failure::crashed(Some(3), "boom"), "container_crashed", "exit code 3"),
            (missing, "no_credentials", "the run was refused"),
        ] {
            assert_eq!(failure.code(), code);
            assert!(failure.for_operator().contains(word), "{}", failure.for_operator());
        }
    }

    #[test]
    fn every_failure_says_what_to_do() {
        for failure in
            [Failure::agent("401"), Failure::Lost, Failure::ImageMissing { image: "registry/agent:1".into() }]
        {
            assert!(!failure.next_step().is_empty() && !failure.code().is_empty());
        }
    }
}
