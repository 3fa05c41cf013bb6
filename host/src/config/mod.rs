//! Project file and environment become one typed, validated value.
//!
//! Reads files and nothing else. Order: default, then the file, then the environment. Every
//! problem is reported at once, each with the place where the value stands.

mod capabilities;
pub(crate) mod dot_env;
mod egress;
mod error;
mod keys;
mod models;
mod paths;
mod plugins;
mod profile;
mod settings;
mod source;
mod speech;
mod value;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};

pub use error::ConfigError;
pub use keys::DEFAULT_IMAGE;
pub use models::CredentialMode;
pub use paths::real_path;
pub use plugins::{PluginConfig, StandIn, has_switch};
pub use source::{environment, environment_with, file};

use crate::domain::{
    active_profile::Active, admins::Admins, auto_space::AutoSpace, budget::Budgets, capabilities::Known, egress::Rules,
    environment::PassThrough, limits, price::Price, trigger, words::Voice,
};
use keys::KEYS;
use settings::Settings;

/// Which OCI runtime runs the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Runc,
    /// gVisor. Never replaced by `runc` when it is missing.
    Runsc,
}

impl Runtime {
    /// The name under which Docker knows the runtime.
    pub fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Runsc => "runsc",
        }
    }
}

/// What the container's network is. Always stated in the create request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    None,
    /// Docker's default bridge.
    Bridge,
    /// None but the host's proxy, with the rules of [`Config::egress`].
    Filtered,
    /// A network that the operator made. Not for `runsc`: Docker's resolver is out of its reach.
    Named(String),
}

impl Network {
    /// What the agent's system prompt says of it: an agent that knows why it cannot reach a host
    /// tells the person, rather than try every other way.
    pub fn note_for_agent(&self) -> Option<&'static str> {
        match self {
            Self::None => Some("You have no network. Do not try to reach other machines; if a task needs one, say so."),
            Self::Filtered => Some(
                "Your network is filtered: http and https go through the proxy that the environment names, to hosts that \
                 the operator has allowed. A refusal (status 403 of the proxy) says why: pass it on to the person, and do \
                 not try to get around it.",
            ),
            Self::Bridge | Self::Named(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    pub memory_bytes: i64,
    /// Billionths of a core.
    pub nano_cpus: i64,
    pub pids: i64,
}

/// One model to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    pub provider: String,
    pub model: String,
}

impl Leg {
    /// `provider:model`, as it is stored and as people write it.
    pub fn name(&self) -> String {
        format!("{}:{}", self.provider, self.model)
    }
}

/// Files of chat platforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    pub enabled: bool,
    /// Of one file.
    pub max_bytes: u64,
    /// Of all files of all spaces together.
    pub max_disk_bytes: Option<u64>,
}

/// How long files stay that people sent and that agents made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Received files: 1 to 365 days.
    pub inbox: Duration,
    /// Produced files, and copies of what was delivered: 1 to 365 days.
    pub outbox: Duration,
    /// Between two looks: a minute to a day.
    pub every: Duration,
}

/// The validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    pub log_level: String,
    pub log_json: bool,
    /// At least one leg.
    pub model_chain: Vec<Leg>,
    /// What the operator said that models can do.
    pub capabilities: Known,
    pub model_retries_per_leg: u32,
    /// Ends at least ten seconds before the container's own time is up.
    pub model_budget: Duration,
    /// Provider → base URL.
    pub model_endpoints: BTreeMap<String, String>,
    /// `provider/model` → price, beside those that are known.
    pub model_prices: BTreeMap<String, Price>,
    pub agent_credentials: CredentialMode,
    /// `provider/model` beside those of the chain; a `*` at the end stands for anything.
    pub allowed_models: Vec<String>,
    pub budgets: Budgets,
    pub override_pi_system_prompt: bool,
    /// History goes into a run.
    pub context_enabled: bool,
    /// User turns of history: 1 to 50.
    pub context_window: u32,
    /// How far an answered message is followed back: turns, 1 to 50.
    pub reply_chain_depth: u32,
    /// Absolute.
    pub data_dir: PathBuf,
    /// `data_dir` as the Docker daemon sees it.
    pub daemon_data_dir: PathBuf,
    pub agent_image: String,
    pub agent_id: Option<String>,
    /// Absolute. Never below what a container sees.
    pub auth_path: PathBuf,
    /// Where the replaced system keeps its account of WhatsApp. Absolute.
    pub whatsapp_auth_dir: PathBuf,
    pub console_url: Option<String>,
    pub console_internal_secret: Option<SecretString>,
    /// Checked by whom it concerns (`credentials`).
    pub oauth_stand_in: Option<String>,
    pub container_timeout: Duration,
    pub runtime: Runtime,
    /// The agent runs in bubblewrap inside the container. Never with [`Runtime::Runsc`].
    pub bubblewrap: bool,
    pub network: Network,
    pub egress: Rules,
    pub limits: Limits,
    pub pass_through: PassThrough,
    /// Names of variables that pass to the agent, with or without their prefix.
    pub env_allow: Vec<String>,
    /// The `MERCURY_*` variables that may pass to the agent, if something lets them.
    pub variables: BTreeMap<String, SecretString>,
    /// The `MERCURY_*` variables that a plugin's manifest may bind as a secret.
    pub plugin_secrets: BTreeMap<String, SecretString>,
    pub max_concurrency: usize,
    /// How often people may ask.
    pub rate_limits: limits::Configured,
    /// Runs that may wait, altogether and in one space; 0 is no limit.
    pub most_queued: u32,
    pub most_queued_in_space: u32,
    /// The IANA name of the clock of tasks that name none; without one it is that of UTC.
    pub default_timezone: Option<String>,
    /// Tasks that one space may have: 1 to 1,000.
    pub most_tasks: u32,
    /// Minutes between two runs of a task at least: 1 to 1,440.
    pub task_interval: u32,
    /// How long to wait whether a person writes on; none is what the platform is like.
    pub debounce: Option<Duration>,
    pub bind: IpAddr,
    pub port: u16,
    pub bot_username: String,
    /// What calls the bot in a group.
    pub trigger: trigger::Rules,
    pub media: Media,
    pub retention: Retention,
    /// Direct conversations get spaces by themselves; those of the people named here are linked to `main`.
    pub auto_space: Option<AutoSpace>,
    /// How people are spoken to where there is no answer.
    pub voice: Voice,
    pub admins: Admins,
    /// What of a profile holds.
    pub profile: Option<Active>,
    pub api_secret: Option<SecretString>,
    pub chat_api_key: Option<SecretString>,
    pub docker_host: Option<String>,
    pub plugins: BTreeMap<String, PluginConfig>,
    /// Plugins that come first, in this order, where they change a run or its result one after the other.
    pub plugin_order: Vec<String>,
    /// Name → public key of those whose signatures on plugins count.
    pub trusted_keys: BTreeMap<String, String>,
    /// Folders of plugins that are loaded though nobody agreed to them; `*` for all.
    pub unlocked_folders: Vec<String>,
    /// What is said under the dotted keys of the file, no secret among it, as plugins may read it.
    pub dotted: BTreeMap<&'static str, String>,
    /// Said once at start: what was ignored, and what does nothing yet.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the configuration of the project folder `project` with the variables `environment`.
    ///
    /// # Errors
    /// [`ConfigError`], naming file or variable, the reason, and what is allowed.
    pub fn load(project: &Path, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        Self::read(project, &source::File::load(project, environment)?, environment)
    }

    /// The same with `text` in the place of what the configuration file at `path` says.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with(
        project: &Path,
        environment: &BTreeMap<String, String>,
        path: &Path,
        text: &str,
    ) -> Result<Self, ConfigError> {
        Self::read(project, &source::File::parse(path.to_owned(), text)?, environment)
    }

    fn read(project: &Path, file: &source::File, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        Settings::read(file, environment)?.into_config(project, file, environment)
    }

    /// The leg of the chain that somebody has chosen, by its [`Leg::name`]; none where it is not in it.
    pub fn active_leg(&self, chosen: Option<&str>) -> Option<&Leg> {
        chosen.and_then(|chosen| self.model_chain.iter().find(|leg| leg.name() == chosen))
    }

    pub fn global_dir(&self) -> PathBuf {
        self.data_dir.join("global")
    }

    pub fn spaces_dir(&self) -> PathBuf {
        self.data_dir.join("spaces")
    }

    /// Who may do what concerns all spaces: whom `permissions.admins` and `dm_auto_space.admin_ids` name.
    pub fn global_admins(&self) -> Admins {
        self.auto_space.as_ref().map_or_else(|| self.admins.clone(), |auto| self.admins.and(&auto.admins))
    }

    pub fn database_path(&self) -> PathBuf {
        self.data_dir.join("state.db")
    }

    /// `path`, which lies below the data directory, as the Docker daemon sees it.
    pub fn for_daemon(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.data_dir) {
            Ok(relative) => self.daemon_data_dir.join(relative),
            Err(_) => path.to_owned(),
        }
    }
}

impl Config {
    /// A listener that others can reach needs secrets: the replaced system was open by default.
    fn check_exposure(&self) -> Result<(), ConfigError> {
        let long_enough =
            |secret: &Option<SecretString>| secret.as_ref().is_some_and(|s| s.expose_secret().len() >= 16);
        if self.bind.is_loopback() || (long_enough(&self.api_secret) && long_enough(&self.chat_api_key)) {
            return Ok(());
        }
        Err(ConfigError::Invalid {
            problems: vec![format!(
                "server.bind / MERCURY_BIND is {}, which others can reach: set MERCURY_API_SECRET and MERCURY_CHAT_API_KEY \
                 (16 characters or more each), or bind to 127.0.0.1",
                self.bind
            )],
        })
    }
}

/// Those of the host's own variables that are credentials for others. Not among them is what lets others in.
pub fn secret_variables() -> impl Iterator<Item = &'static str> {
    let lets_in = ["api_secret", "chat_api_key", "caller_token_key"];
    KEYS.iter().filter(move |key| key.secret && !lets_in.contains(&key.name)).filter_map(|key| key.env)
}

/// What a key of the file is where nothing is said of it.
pub fn default_of(yaml: &str) -> Option<&'static str> {
    KEYS.iter().find(|key| key.yaml == Some(yaml)).and_then(|key| key.default)
}

/// Names of the variables that are settings of the host itself.
pub fn own_variables() -> &'static [&'static str] {
    static NAMES: std::sync::LazyLock<Vec<&'static str>> =
        std::sync::LazyLock::new(|| KEYS.iter().filter_map(|key| key.env).collect());
    &NAMES
}

#[cfg(test)]
mod tests;
