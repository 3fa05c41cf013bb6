//! Project file and environment become one typed, validated value.
//!
//! Reads files and nothing else. Order: default, then the file, then the environment. Every
//! problem is reported at once, each with the place where the value stands.

mod capabilities;
mod egress;
mod error;
mod keys;
mod models;
mod plugins;
mod source;
mod speech;
mod value;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

pub use error::ConfigError;
pub use keys::DEFAULT_IMAGE;
pub use models::CredentialMode;
pub use plugins::StandIn;
pub use source::environment;

use crate::domain::{
    admins::Admins,
    budget::Budgets,
    capabilities::Known,
    egress::Rules,
    limits,
    price::Price,
    trigger,
    words::{Keys, Locale, Voice},
};
use keys::{KEYS, Key, Status};
use value::Value;

use crate::domain::environment::{self, PassThrough};

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

/// Chat platforms that `ingress.<platform>` switches on; the plugin has the platform's name.
const PLATFORMS: [&str; 5] = ["discord", "slack", "teams", "telegram", "whatsapp"];

/// A plugin's entry under `plugins:` of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginConfig {
    /// `false` switches a plugin off, also a built-in one.
    pub enabled: Option<bool>,
    pub settings: BTreeMap<String, String>,
    /// Networks that the plugin may reach although they are not public, of hosts that it was granted.
    pub private: Vec<IpNet>,
    /// Granted hosts, each with the server that is asked in its place.
    pub stand_ins: Vec<StandIn>,
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
    pub auto_space: Option<Admins>,
    /// How people are spoken to where there is no answer.
    pub voice: Voice,
    pub admins: Admins,
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
        let file = source::File::load(project, environment)?;
        let settings = Settings::read(&file, environment)?;
        settings.into_config(project, &file, environment)
    }

    /// What is configured of plugins, each part with a digest of it: for who wants to know whether a running
    /// host has the same.
    pub fn plugin_fingerprints(&self) -> BTreeMap<String, String> {
        let digest = |part: &dyn std::fmt::Debug| {
            let digest = Sha256::digest(format!("{part:?}"));
            digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let plugins = self.plugins.iter().map(|(name, plugin)| (format!("plugins.{name}"), digest(plugin)));
        let others = [
            ("plugins.order", digest(&self.plugin_order)),
            ("plugins.trusted_keys", digest(&self.trusted_keys)),
            ("plugins.unlocked_folders", digest(&self.unlocked_folders)),
        ];
        plugins.chain(others.map(|(name, digest)| (name.to_owned(), digest))).collect()
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
        self.auto_space.as_ref().map_or_else(|| self.admins.clone(), |more| self.admins.and(more))
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

/// Checked values by key name, before they take their final types.
struct Settings {
    values: BTreeMap<&'static str, Value>,
    warnings: Vec<String>,
}

impl Settings {
    fn read(file: &source::File, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut settings = Self { values: BTreeMap::new(), warnings: Vec::new() };
        let mut problems = Vec::new();
        for key in KEYS {
            match settings.resolve(key, file, environment) {
                Ok(Some(value)) => {
                    settings.values.insert(key.name, value);
                }
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            }
        }
        if let Some(path) = &file.path {
            problems.extend(file.misshapen().into_iter().map(|problem| format!("{}: {problem}", path.display())));
            for name in file.unknown() {
                settings.warnings.push(format!("{}: unknown key {name} is ignored", path.display()));
            }
        }
        if problems.is_empty() { Ok(settings) } else { Err(ConfigError::Invalid { problems }) }
    }

    fn resolve(
        &mut self,
        key: &Key,
        file: &source::File,
        environment: &BTreeMap<String, String>,
    ) -> Result<Option<Value>, String> {
        let mut value = None;
        if let (Some(path), Some(raw)) = (key.yaml, key.yaml.and_then(|path| file.get(path))) {
            let place = file.path.as_deref().unwrap_or(Path::new("mercury.yaml")).display();
            value = value::from_file(key.kind, raw).map_err(|reason| format!("{place}: {path} {reason}"))?;
        }
        if let Some((name, raw)) = key.env.and_then(|name| environment.get_key_value(name)) {
            match value::from_env(key.kind, raw) {
                Ok(Some(set)) => value = Some(set),
                Ok(None) if key.secret => {}
                Ok(None) => self.warnings.push(format!("{name} is set but empty: taken as unset")),
                Err(_) if key.secret => return Err(format!("{name} is not valid")),
                Err(reason) => return Err(format!("{name}: {reason}")),
            }
        }
        if let (Some(_), Status::Later(missing)) = (&value, key.status) {
            let name = if key.secret { key.env.unwrap_or(key.name) } else { key.yaml.or(key.env).unwrap_or(key.name) };
            self.warnings.push(format!("{name} is accepted but does nothing yet: this version has no {missing}"));
        }
        match (value, key.default) {
            (None, Some(default)) => value::from_env(key.kind, default),
            (value, _) => Ok(value),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.values.get(name) {
            Some(Value::Text(text)) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            _ => None,
        }
    }

    fn secret(&self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    fn int(&self, name: &str) -> i64 {
        match self.values.get(name) {
            Some(Value::Int(number)) => *number,
            _ => 0,
        }
    }

    fn number(&self, name: &str) -> f64 {
        match self.values.get(name) {
            Some(Value::Number(number)) => *number,
            _ => 0.0,
        }
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(Value::Bool(true)))
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.values.get(name) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    fn json(&self, name: &str) -> Option<&Json> {
        match self.values.get(name) {
            Some(Value::Json(value)) => Some(value),
            _ => None,
        }
    }

    fn into_config(
        mut self,
        project: &Path,
        file: &source::File,
        environment: &BTreeMap<String, String>,
    ) -> Result<Config, ConfigError> {
        let invalid = |problem: String| ConfigError::Invalid { problems: vec![problem] };
        let container_timeout = self.int("container_timeout_ms") as u64;
        let budget =
            (self.int("model_chain_budget_ms") as u64).min(container_timeout.saturating_sub(10_000).max(5_000));
        let data_dir = std::path::absolute(project.join(self.text("data_dir").unwrap_or_else(|| ".mercury".into())))
            .map_err(|error| invalid(format!("MERCURY_DATA_DIR: {error}")))?;
        let daemon_data_dir = self.text("host_data_dir").map_or_else(|| data_dir.clone(), PathBuf::from);
        if data_dir.to_string_lossy().contains(':') {
            // Docker separates source and target of a mount by it.
            return Err(invalid(format!(
                "MERCURY_DATA_DIR: {} contains a colon, which no mount can have",
                data_dir.display()
            )));
        }
        let runtime = match self.text("container_runtime").as_deref() {
            Some("runsc") => Runtime::Runsc,
            _ => Runtime::Runc,
        };
        let bind = self.text("bind").unwrap_or_default();
        let said = self.json("model_capabilities").cloned();
        let capabilities = capabilities::read(said.as_ref(), &data_dir, &mut self.warnings);
        let mut config = Config {
            log_level: self.text("log_level").unwrap_or_default(),
            log_json: self.text("log_format").as_deref() == Some("json"),
            model_chain: self.model_chain(file, environment).map_err(invalid)?,
            capabilities,
            model_retries_per_leg: self.int("model_max_retries_per_leg") as u32,
            model_budget: Duration::from_millis(budget),
            model_endpoints: models::endpoints(self.json("model_endpoints")).map_err(invalid)?,
            model_prices: models::prices(self.json("model_prices")).map_err(invalid)?,
            agent_credentials: models::credential_mode(self.text("agent_credentials").as_deref()),
            allowed_models: models::allowed(self.list("allowed_models")).map_err(invalid)?,
            budgets: self.budgets(),
            override_pi_system_prompt: self.flag("override_pi_system_prompt"),
            context_enabled: self.text("context_mode").as_deref() != Some("clear"),
            context_window: self.int("context_window_size") as u32,
            reply_chain_depth: self.int("context_reply_chain_depth") as u32,
            auth_path: auth_path(self.text("auth_path"), project, &data_dir).map_err(invalid)?,
            data_dir,
            daemon_data_dir,
            agent_image: self.text("agent_image").unwrap_or_default(),
            agent_id: self.text("agent_id"),
            console_url: self.text("console_url"),
            console_internal_secret: self.secret("console_internal_secret"),
            oauth_stand_in: self.text("oauth_stand_in"),
            container_timeout: Duration::from_millis(container_timeout),
            runtime,
            bubblewrap: self.bubblewrap(runtime),
            network: self.network(runtime),
            egress: self.egress()?,
            limits: Limits {
                memory_bytes: self.int("agent_memory_mb") << 20,
                nano_cpus: (self.number("agent_cpus") * 1e9) as i64,
                pids: self.int("agent_pids"),
            },
            pass_through: match self.text("container_env_passthrough").as_deref() {
                Some("all") => PassThrough::All,
                _ => PassThrough::Claimed,
            },
            env_allow: self.list("agent_env_allow"),
            variables: variables(environment, |name| !environment::is_blocked(name)),
            plugin_secrets: variables(environment, |name| !environment::is_hosts_own(name)),
            max_concurrency: self.int("max_concurrency") as usize,
            rate_limits: self.rate_limits(),
            most_queued: self.int("max_queued") as u32,
            most_queued_in_space: self.int("max_queued_per_space") as u32,
            debounce: match self.values.get("debounce_ms") {
                Some(Value::Int(time)) => Some(Duration::from_millis(time.unsigned_abs())),
                _ => None,
            },
            bind: bind
                .parse()
                .map_err(|_| invalid(format!("server.bind / MERCURY_BIND: `{bind}` is not an IP address")))?,
            port: self.int("port") as u16,
            trigger: self.trigger(),
            bot_username: self.text("bot_username").unwrap_or_default(),
            media: Media {
                enabled: self.flag("media_enabled"),
                max_bytes: (self.number("media_max_size_mb") * f64::from(1 << 20)) as u64,
                max_disk_bytes: Some(self.int("max_disk_mb"))
                    .filter(|&mb| mb > 0)
                    .map(|mb| mb.unsigned_abs().saturating_mul(1 << 20)),
            },
            retention: Retention {
                inbox: Duration::from_secs_f64(self.number("inbox_ttl_days") * 86_400.0),
                outbox: Duration::from_secs_f64(self.number("outbox_ttl_days") * 86_400.0),
                every: Duration::from_millis(self.int("cleanup_interval_ms") as u64),
            },
            auto_space: self.flag("dm_auto_space_enabled").then(|| Admins::new(self.list("dm_auto_space_admin_ids"))),
            voice: Voice {
                locale: match self.text("messages_locale").as_deref() {
                    Some("he") => Locale::Hebrew,
                    _ => Locale::English,
                },
                keys: match self.text("api_key_mode").as_deref() {
                    Some("byok") => Keys::Own,
                    _ => Keys::Platform,
                },
                console: self.text("console_url").map(|url| url.trim_end_matches('/').to_owned()),
            },
            admins: Admins::new(self.list("admins")),
            api_secret: self.secret("api_secret"),
            chat_api_key: self.secret("chat_api_key"),
            docker_host: self
                .text("docker_host")
                .or_else(|| environment.get("DOCKER_HOST").filter(|h| !h.is_empty()).cloned()),
            plugins: self.plugins(file).map_err(invalid)?,
            plugin_order: plugin_order(file).map_err(invalid)?,
            trusted_keys: trusted_keys(self.json("plugin_trusted_keys")).map_err(invalid)?,
            unlocked_folders: self.list("plugin_unlocked_folders"),
            dotted: self.dotted(),
            warnings: std::mem::take(&mut self.warnings),
        };
        config.check_exposure()?;
        config.warn_of_plugins();
        Ok(config)
    }

    fn rate_limits(&self) -> limits::Configured {
        limits::Configured {
            window: self.int("rate_limit_window_ms"),
            per_user: self.int("rate_limit_per_user") as u32,
            per_space: self.int("rate_limit_per_space") as u32,
            total: self.int("rate_limit_total") as u32,
            daily_member: self.int("rate_limit_daily_member") as u32,
            daily_admin: self.int("rate_limit_daily_admin") as u32,
        }
    }

    fn trigger(&self) -> trigger::Rules {
        let mode = match self.text("trigger_match").as_deref() {
            Some("prefix") => trigger::Mode::Prefix,
            Some("always") => trigger::Mode::Always,
            _ => trigger::Mode::Mention,
        };
        let bot_name = self.text("bot_username").unwrap_or_default();
        trigger::Rules::new(mode, self.list("trigger_patterns"), &bot_name)
    }

    fn dotted(&self) -> BTreeMap<&'static str, String> {
        let keys = KEYS.iter().filter(|key| !key.secret);
        keys.filter_map(|key| Some((key.yaml?, self.values.get(key.name)?.to_string()))).collect()
    }

    /// `ingress.<platform>` is another spelling of `plugins.<platform>.enabled: true`.
    fn plugins(&self, file: &source::File) -> Result<BTreeMap<String, PluginConfig>, String> {
        let mut plugins = read_plugins(file, self.json("extension_defaults"))?;
        for platform in PLATFORMS {
            if self.flag(&format!("enable_{platform}")) {
                plugins.entry(platform.to_owned()).or_default().enabled.get_or_insert(true);
            }
        }
        self.speech(&mut plugins);
        Ok(plugins)
    }

    fn bubblewrap(&mut self, runtime: Runtime) -> bool {
        let wanted = self.flag("agent_bubblewrap") || self.flag("container_bwrap_docker_compat");
        if wanted && runtime == Runtime::Runsc {
            self.warnings.push("agent.bubblewrap is ignored under runsc: gVisor isolates more than it could".into());
        }
        wanted && runtime == Runtime::Runc
    }

    fn network(&mut self, runtime: Runtime) -> Network {
        match self.text("agent_network").as_deref() {
            Some("none") => return Network::None,
            Some("filtered") => return Network::Filtered,
            _ => {}
        }
        match self.text("container_network") {
            Some(name) if runtime == Runtime::Runc => Network::Named(name),
            Some(name) => {
                self.warnings.push(format!(
                    "MERCURY_CONTAINER_NETWORK={name} is ignored under runsc: gVisor cannot reach Docker's resolver there"
                ));
                Network::Bridge
            }
            None => Network::Bridge,
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

/// Where sign-ins are kept: outside of everything that is mounted into a container.
fn auth_path(configured: Option<String>, project: &Path, data_dir: &Path) -> Result<PathBuf, String> {
    let global = data_dir.join("global");
    let path = configured.map_or_else(|| global.join("auth.json"), |path| project.join(path));
    let path = std::path::absolute(&path).map_err(|error| format!("MERCURY_AUTH_PATH: {error}"))?;
    // Where it really lies: neither `..` nor a link makes another place of it.
    let (real, data) = (real_path(&path), real_path(data_dir));
    let in_global = real.strip_prefix(data.join("global")).is_ok_and(|inside| inside.components().count() > 1);
    if in_global || ["spaces", "io", "run"].iter().any(|name| real.starts_with(data.join(name))) {
        return Err(format!(
            "MERCURY_AUTH_PATH / runtime.auth_path: {} lies where agents can read; keep it outside of {}, or leave it unset",
            path.display(),
            data_dir.display()
        ));
    }
    Ok(path)
}

/// `path` without links and `..`, as far as it exists.
fn real_path(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            let mut whole = real;
            for part in rest.components() {
                match part {
                    std::path::Component::ParentDir => drop(whole.pop()),
                    part => whole.push(part),
                }
            }
            return whole;
        }
    }
    path.to_owned()
}

/// Names of the variables that are settings of the host itself.
pub fn own_variables() -> &'static [&'static str] {
    static NAMES: std::sync::LazyLock<Vec<&'static str>> =
        std::sync::LazyLock::new(|| KEYS.iter().filter_map(|key| key.env).collect());
    &NAMES
}

fn variables(environment: &BTreeMap<String, String>, takes: impl Fn(&str) -> bool) -> BTreeMap<String, SecretString> {
    let set = environment
        .iter()
        .filter(|(name, value)| name.starts_with(environment::PREFIX) && takes(name) && !value.trim().is_empty());
    set.map(|(name, value)| (name.clone(), SecretString::from(value.clone()))).collect()
}

/// Keys under `plugins` that are no plugin's name: none has an underscore.
const OF_ALL_PLUGINS: &[&str] = &["trusted_keys", "unlocked_folders"];

fn trusted_keys(value: Option<&Json>) -> Result<BTreeMap<String, String>, String> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let wrong = || "plugins.trusted_keys must be a mapping of names to keys such as `ed25519:…`".to_owned();
    let keys = value.as_object().ok_or_else(wrong)?;
    keys.iter().map(|(name, key)| Ok((name.clone(), key.as_str().ok_or_else(wrong)?.trim().to_owned()))).collect()
}

/// `plugins.<name>.{enabled, settings.<key>, private, stand_ins}` of the file, and `<name>.<key>` pairs of
/// `extensions` (the old spelling), which the environment's JSON replaces as a whole.
fn read_plugins(file: &source::File, from_env: Option<&Json>) -> Result<BTreeMap<String, PluginConfig>, String> {
    let mut plugins: BTreeMap<String, PluginConfig> = BTreeMap::new();
    let sections = file.get("extensions").and_then(Json::as_object).into_iter().flatten();
    match from_env.and_then(Json::as_object) {
        Some(flat) => {
            for (name, value) in flat {
                if let (Some((plugin, key)), Some(value)) = (name.split_once('.'), scalar(value)) {
                    plugins.entry(plugin.to_owned()).or_default().settings.insert(key.to_owned(), value);
                }
            }
        }
        None => {
            for (plugin, settings) in sections {
                for (key, value) in settings.as_object().into_iter().flatten() {
                    if let Some(value) = scalar(value) {
                        plugins.entry(plugin.clone()).or_default().settings.insert(key.clone(), value);
                    }
                }
            }
        }
    }
    let entries = file.get("plugins").and_then(Json::as_object).into_iter().flatten();
    let of_all = |name: &str, entry: &Json| OF_ALL_PLUGINS.contains(&name) || (name == ORDER && entry.is_array());
    for (name, entry) in entries.filter(|(name, entry)| !of_all(name, entry)) {
        let plugin = plugins.entry(name.clone()).or_default();
        for (key, value) in entry.as_object().ok_or_else(|| format!("plugins.{name} must be a mapping"))? {
            match (key.as_str(), value) {
                ("enabled", Json::Bool(enabled)) => plugin.enabled = Some(*enabled),
                ("enabled", _) => return Err(format!("plugins.{name}.enabled must be true or false")),
                ("settings", Json::Object(settings)) => {
                    for (key, value) in settings {
                        let value = scalar(value)
                            .ok_or_else(|| format!("plugins.{name}.settings.{key} must be text, a number or a flag"))?;
                        plugin.settings.insert(key.clone(), value);
                    }
                }
                ("settings", _) => return Err(format!("plugins.{name}.settings must be a mapping")),
                ("private", value) => plugin.private = plugins::private(name, value)?,
                ("stand_ins", value) => plugin.stand_ins = plugins::stand_ins(name, value)?,
                _ => {
                    return Err(format!(
                        "plugins.{name}.{key} is unknown; allowed are `enabled`, `settings`, `private` and `stand_ins`"
                    ));
                }
            }
        }
    }
    Ok(plugins)
}

/// Under `plugins:`, where it is a list; a mapping is a plugin of that name.
const ORDER: &str = "order";

fn plugin_order(file: &source::File) -> Result<Vec<String>, String> {
    let names = file.get("plugins").and_then(|plugins| plugins.get(ORDER)).and_then(Json::as_array);
    let text = |name: &Json| name.as_str().map(str::to_owned).ok_or("plugins.order must be a list of names".to_owned());
    names.into_iter().flatten().map(text).collect()
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
