//! Checked values by key name, and how they become the [`Config`].

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;
use serde_json::Value as Json;

use super::{
    Config, ConfigError, Limits, Media, Network, Retention, Runtime, capabilities,
    keys::{KEYS, Key, Kind, Status},
    models,
    paths::auth_path,
    plugins, profile, source,
    value::{self, Value},
};
use crate::domain::{
    admins::Admins,
    auto_space::AutoSpace,
    cron,
    environment::{self, PassThrough},
    limits, roles, trigger,
    words::{Keys, Locale, Voice},
};

/// Checked values by key name, before they take their final types.
pub(super) struct Settings {
    pub(super) values: BTreeMap<&'static str, Value>,
    pub(super) warnings: Vec<String>,
}

/// Variables that differ from one of the host's by a letter, or by two that changed places: a misspelt secret
/// leaves a door open. Other names belong to agents and plugins.
fn misspelt(environment: &BTreeMap<String, String>) -> Vec<String> {
    let known: Vec<&str> = KEYS.iter().filter_map(|key| key.env).collect();
    let ours = environment.keys().filter(|name| name.starts_with("MERCURY_") && !known.contains(&name.as_str()));
    ours.filter_map(|name| {
        let meant = known.iter().find(|known| strsim::osa_distance(name, known) == 1)?;
        Some(format!("{name} is no variable of the host's; did you mean {meant}?"))
    })
    .collect()
}

impl Settings {
    pub(super) fn read(file: &source::File, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
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
        settings.warnings.extend(misspelt(environment));
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
                Ok(Some(set)) => {
                    if matches!(key.kind, Kind::Bool) && !value::is_plain_flag(raw) {
                        self.warnings
                            .push(format!("{name} is `{}`, which means off: only `true` and `1` mean on", raw.trim()));
                    }
                    value = Some(set);
                }
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

    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.values.get(name) {
            Some(Value::Text(text)) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            _ => None,
        }
    }

    pub(super) fn secret(&self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    pub(super) fn int(&self, name: &str) -> i64 {
        match self.values.get(name) {
            Some(Value::Int(number)) => *number,
            _ => 0,
        }
    }

    pub(super) fn number(&self, name: &str) -> f64 {
        match self.values.get(name) {
            Some(Value::Number(number)) => *number,
            _ => 0.0,
        }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(Value::Bool(true)))
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        match self.values.get(name) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn json(&self, name: &str) -> Option<&Json> {
        match self.values.get(name) {
            Some(Value::Json(value)) => Some(value),
            _ => None,
        }
    }

    pub(super) fn into_config(
        mut self,
        project: &Path,
        file: &source::File,
        environment: &BTreeMap<String, String>,
    ) -> Result<Config, ConfigError> {
        let data_dir = self.data_dir(project).map_err(invalid)?;
        let daemon_data_dir = self.text("host_data_dir").map_or_else(|| data_dir.clone(), PathBuf::from);
        let runtime = self.runtime();
        let said = self.json("model_capabilities").cloned();
        let capabilities = capabilities::read(said.as_ref(), &data_dir, &mut self.warnings);
        let named = self.text("profile");
        let profile = profile::read(&data_dir, named.as_deref(), &mut self.warnings).map_err(invalid)?;
        let mut config = Config {
            log_level: self.text("log_level").unwrap_or_default(),
            log_json: self.text("log_format").as_deref() == Some("json"),
            model_chain: self.model_chain(file, environment).map_err(invalid)?,
            capabilities,
            model_retries_per_leg: self.int("model_max_retries_per_leg") as u32,
            model_budget: self.model_budget(),
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
            whatsapp_auth_dir: match self.text("whatsapp_auth_dir") {
                Some(path) => {
                    std::path::absolute(project.join(path)).unwrap_or_else(|_| data_dir.join("whatsapp-auth"))
                }
                None => data_dir.join("whatsapp-auth"),
            },
            data_dir,
            daemon_data_dir,
            agent_image: self.text("agent_image").unwrap_or_default(),
            agent_id: self.text("agent_id"),
            console_url: self.text("console_url"),
            console_internal_secret: self.secret("console_internal_secret"),
            oauth_stand_in: self.text("oauth_stand_in"),
            container_timeout: self.container_timeout(),
            runtime,
            bubblewrap: self.bubblewrap(runtime),
            network: self.network(runtime),
            egress: self.egress()?,
            limits: self.limits(),
            pass_through: self.pass_through(),
            env_allow: self.list("agent_env_allow"),
            variables: variables(environment, |name| !environment::is_blocked(name)),
            plugin_secrets: variables(environment, |name| !environment::is_hosts_own(name)),
            max_concurrency: self.int("max_concurrency") as usize,
            rate_limits: self.rate_limits(),
            most_queued: self.int("max_queued") as u32,
            most_queued_in_space: self.int("max_queued_per_space") as u32,
            default_timezone: self.timezone().map_err(invalid)?,
            most_tasks: self.int("max_tasks_per_space") as u32,
            task_interval: self.int("task_min_interval") as u32,
            debounce: self.debounce(),
            bind: self.bind().map_err(invalid)?,
            port: self.int("port") as u16,
            trigger: self.trigger(),
            bot_username: self.text("bot_username").unwrap_or_default(),
            media: self.media(),
            retention: self.retention(),
            auto_space: self.flag("dm_auto_space_enabled").then(|| self.auto_space()),
            voice: self.voice(),
            admins: Admins::new(self.list("admins")),
            profile,
            api_secret: self.secret("api_secret"),
            chat_api_key: self.secret("chat_api_key"),
            docker_host: self
                .text("docker_host")
                .or_else(|| environment.get("DOCKER_HOST").filter(|h| !h.is_empty()).cloned()),
            plugins: self.plugins(file).map_err(invalid)?,
            plugin_order: plugins::order(file).map_err(invalid)?,
            trusted_keys: plugins::trusted_keys(self.json("plugin_trusted_keys")).map_err(invalid)?,
            unlocked_folders: self.list("plugin_unlocked_folders"),
            dotted: self.dotted(),
            warnings: std::mem::take(&mut self.warnings),
        };
        config.check_exposure()?;
        config.warn_of_plugins();
        Ok(config)
    }

    /// Weakness C10: a name that no task could have is refused at once.
    fn timezone(&self) -> Result<Option<String>, String> {
        let Some(name) = self.text("default_timezone") else { return Ok(None) };
        match cron::zone(&name) {
            Ok(_) => Ok(Some(name)),
            Err(reason) => Err(format!("scheduling.default_timezone / MERCURY_DEFAULT_TIMEZONE: {reason}")),
        }
    }

    fn data_dir(&self, project: &Path) -> Result<PathBuf, String> {
        let named = self.text("data_dir").unwrap_or_else(|| ".mercury".into());
        let data_dir =
            std::path::absolute(project.join(named)).map_err(|error| format!("MERCURY_DATA_DIR: {error}"))?;
        // Docker separates source and target of a mount by it.
        match data_dir.to_string_lossy().contains(':') {
            true => Err(format!("MERCURY_DATA_DIR: {} contains a colon, which no mount can have", data_dir.display())),
            false => Ok(data_dir),
        }
    }

    fn runtime(&self) -> Runtime {
        match self.text("container_runtime").as_deref() {
            Some("runsc") => Runtime::Runsc,
            _ => Runtime::Runc,
        }
    }

    fn container_timeout(&self) -> Duration {
        Duration::from_millis(self.int("container_timeout_ms") as u64)
    }

    /// It ends before the container's time does.
    fn model_budget(&self) -> Duration {
        let most = self.container_timeout().saturating_sub(Duration::from_secs(10)).max(Duration::from_secs(5));
        Duration::from_millis(self.int("model_chain_budget_ms") as u64).min(most)
    }

    fn limits(&self) -> Limits {
        Limits {
            memory_bytes: self.int("agent_memory_mb") << 20,
            nano_cpus: (self.number("agent_cpus") * 1e9) as i64,
            pids: self.int("agent_pids"),
        }
    }

    fn pass_through(&self) -> PassThrough {
        match self.text("container_env_passthrough").as_deref() {
            Some("all") => PassThrough::All,
            _ => PassThrough::Claimed,
        }
    }

    fn debounce(&self) -> Option<Duration> {
        match self.values.get("debounce_ms") {
            Some(Value::Int(time)) => Some(Duration::from_millis(time.unsigned_abs())),
            _ => None,
        }
    }

    fn bind(&self) -> Result<IpAddr, String> {
        let bind = self.text("bind").unwrap_or_default();
        bind.parse().map_err(|_| format!("server.bind / MERCURY_BIND: `{bind}` is not an IP address"))
    }

    fn media(&self) -> Media {
        let disk = Some(self.int("max_disk_mb")).filter(|&mb| mb > 0);
        Media {
            enabled: self.flag("media_enabled"),
            max_bytes: (self.number("media_max_size_mb") * f64::from(1 << 20)) as u64,
            max_disk_bytes: disk.map(|mb| mb.unsigned_abs().saturating_mul(1 << 20)),
        }
    }

    fn retention(&self) -> Retention {
        Retention {
            inbox: Duration::from_secs_f64(self.number("inbox_ttl_days") * 86_400.0),
            outbox: Duration::from_secs_f64(self.number("outbox_ttl_days") * 86_400.0),
            every: Duration::from_millis(self.int("cleanup_interval_ms") as u64),
        }
    }

    fn voice(&self) -> Voice {
        Voice {
            locale: match self.text("messages_locale").as_deref() {
                Some("he") => Locale::Hebrew,
                _ => Locale::English,
            },
            keys: match self.text("api_key_mode").as_deref() {
                Some("byok") => Keys::Own,
                _ => Keys::Platform,
            },
            console: self.text("console_url").map(|url| url.trim_end_matches('/').to_owned()),
        }
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
        let named = self.text("trigger_match").as_deref().and_then(trigger::Mode::named);
        let mode = named.unwrap_or(trigger::Mode::Mention);
        let bot_name = self.text("bot_username").unwrap_or_default();
        trigger::Rules::new(mode, self.list("trigger_patterns"), &bot_name)
    }

    fn auto_space(&self) -> AutoSpace {
        let permissions = self.list("dm_auto_space_default_member_permissions");
        AutoSpace {
            admins: Admins::new(self.list("dm_auto_space_admin_ids")),
            member_permissions: (!permissions.is_empty()).then(|| roles::with_media(permissions)),
            system_prompt: self.text("dm_auto_space_default_system_prompt"),
        }
    }

    fn dotted(&self) -> BTreeMap<&'static str, String> {
        let keys = KEYS.iter().filter(|key| !key.secret);
        keys.filter_map(|key| Some((key.yaml?, self.values.get(key.name)?.to_string()))).collect()
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

fn invalid(problem: String) -> ConfigError {
    ConfigError::Invalid { problems: vec![problem] }
}

fn variables(environment: &BTreeMap<String, String>, takes: impl Fn(&str) -> bool) -> BTreeMap<String, SecretString> {
    let set = environment
        .iter()
        .filter(|(name, value)| name.starts_with(environment::PREFIX) && takes(name) && !value.trim().is_empty());
    set.map(|(name, value)| (name.clone(), SecretString::from(value.clone()))).collect()
}
