//! Every setting once: its place in the file, its variable, its kind and its default.
//!
//! One table yields the parser, the defaults, the warnings and (later) the documentation, so that
//! none of them can drift from the others. Names, ranges and defaults are those of the replaced
//! system unless a comment says otherwise.

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Bool,
    Int {
        min: i64,
        max: i64,
    },
    Number {
        min: f64,
        max: f64,
    },
    Choice(&'static [&'static str]),
    Text,
    /// Comma-separated in the environment, a sequence or comma-separated text in the file.
    List,
    Url,
    /// A mapping or sequence in the file, JSON text in the environment.
    Json,
}

/// Whether the present version acts on the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Works,
    /// Read and checked, then warned about: the text names what is missing.
    Later(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub name: &'static str,
    /// Dotted path in the file.
    pub yaml: Option<&'static str>,
    pub env: Option<&'static str>,
    pub kind: Kind,
    /// As it would be written in the environment; `None` means unset.
    pub default: Option<&'static str>,
    /// Never taken from the file, never printed.
    pub secret: bool,
    pub status: Status,
}

const fn key(
    name: &'static str,
    yaml: Option<&'static str>,
    env: Option<&'static str>,
    kind: Kind,
    default: Option<&'static str>,
) -> Key {
    Key { name, yaml, env, kind, default, secret: false, status: Status::Works }
}

const fn secret(name: &'static str, env: &'static str) -> Key {
    Key { name, yaml: None, env: Some(env), kind: Kind::Text, default: None, secret: true, status: Status::Works }
}

const fn later(mut key: Key, missing: &'static str) -> Key {
    key.status = Status::Later(missing);
    key
}

const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max }
}

const DOLLARS: Kind = Kind::Number { min: 0.0, max: 1_000_000.0 };

const ADAPTERS: &str = "chat adapters";
const CONSOLE: &str = "the management console";
const SERVICE_ACCOUNTS: &str =
    "service accounts for speech; set MERCURY_GOOGLE_TTS_API_KEY to an API key of Text-to-Speech instead";

/// The image that is used where nobody chose one.
pub const DEFAULT_IMAGE: &str = "ghcr.io/avishai-tsabari/mercury-agent:latest";

/// The sections that the file may have, for the warning about unknown keys.
pub(super) const SECTIONS: &[&str] = &[
    "server",
    "model",
    "model_chain",
    "ingress",
    "runtime",
    "scheduling",
    "trigger",
    "context",
    "agent",
    "discord",
    "telegram",
    "media",
    "permissions",
    "messages",
    "budgets",
    "dm_auto_space",
    "extensions",
    "plugins",
];

/// Sections whose keys are free.
pub(super) const FREE_SECTIONS: &[&str] = &["extensions", "plugins", "model_chain"];

pub(super) const KEYS: &[Key] = &[
    key(
        "api_key_mode",
        Some("messages.api_key_mode"),
        Some("MERCURY_API_KEY_MODE"),
        Kind::Choice(&["platform", "byok"]),
        Some("platform"),
    ),
    key(
        "log_level",
        Some("runtime.log_level"),
        Some("MERCURY_LOG_LEVEL"),
        Kind::Choice(&["debug", "info", "warn", "error", "silent"]),
        Some("info"),
    ),
    key(
        "log_format",
        Some("runtime.log_format"),
        Some("MERCURY_LOG_FORMAT"),
        Kind::Choice(&["text", "json"]),
        Some("text"),
    ),
    key("model_provider", Some("model.provider"), Some("MERCURY_MODEL_PROVIDER"), Kind::Text, Some("anthropic")),
    key("model", Some("model.model"), Some("MERCURY_MODEL"), Kind::Text, Some("claude-opus-4-8")),
    key(
        "model_fallback_provider",
        Some("model.fallback_provider"),
        Some("MERCURY_MODEL_FALLBACK_PROVIDER"),
        Kind::Text,
        None,
    ),
    key("model_fallback", Some("model.fallback"), Some("MERCURY_MODEL_FALLBACK"), Kind::Text, None),
    key("model_chain", Some("model.chain"), Some("MERCURY_MODEL_CHAIN"), Kind::Json, None),
    key("model_chain_top", Some("model_chain"), None, Kind::Json, None),
    key(
        "model_max_retries_per_leg",
        Some("model.max_retries_per_leg"),
        Some("MERCURY_MODEL_MAX_RETRIES_PER_LEG"),
        int(0, 5),
        Some("2"),
    ),
    key(
        "model_chain_budget_ms",
        Some("model.chain_budget_ms"),
        Some("MERCURY_MODEL_CHAIN_BUDGET_MS"),
        int(5_000, 3_300_000),
        Some("120000"),
    ),
    // New: where a provider's API is, for proxies and compatible servers (`{anthropic: URL}`).
    key("model_endpoints", Some("model.endpoints"), Some("MERCURY_MODEL_ENDPOINTS"), Kind::Json, None),
    // New: what models cost that pi's registry does not know, in US dollars per million tokens
    // (`{provider/model: {input, output, cache_read, cache_write}}`).
    key("model_prices", Some("model.prices"), Some("MERCURY_MODEL_PRICES"), Kind::Json, None),
    key("model_capabilities", Some("model.capabilities"), Some("MERCURY_MODEL_CAPABILITIES"), Kind::Json, None),
    key(
        "trigger_patterns",
        Some("trigger.patterns"),
        Some("MERCURY_TRIGGER_PATTERNS"),
        Kind::List,
        Some("@Mercury,Mercury"),
    ),
    key(
        "trigger_match",
        Some("trigger.match"),
        Some("MERCURY_TRIGGER_MATCH"),
        Kind::Choice(crate::domain::trigger::Mode::NAMES),
        Some("mention"),
    ),
    key(
        "context_mode",
        Some("context.mode"),
        Some("MERCURY_CONTEXT_MODE"),
        Kind::Choice(&["clear", "context"]),
        Some("context"),
    ),
    key(
        "context_window_size",
        Some("context.window_size"),
        Some("MERCURY_CONTEXT_WINDOW_SIZE"),
        int(1, 50),
        Some("10"),
    ),
    key(
        "context_reply_chain_depth",
        Some("context.reply_chain_depth"),
        Some("MERCURY_CONTEXT_REPLY_CHAIN_DEPTH"),
        int(1, 50),
        Some("10"),
    ),
    key("data_dir", Some("runtime.data_dir"), Some("MERCURY_DATA_DIR"), Kind::Text, Some(".mercury")),
    // What the spaces' files may take; 0: any amount. Over it, no file of a chat is taken.
    key("max_disk_mb", Some("runtime.max_disk_mb"), Some("MERCURY_MAX_DISK_MB"), int(0, i64::MAX), None),
    key(
        "inbox_ttl_days",
        Some("runtime.inbox_ttl_days"),
        Some("MERCURY_INBOX_TTL_DAYS"),
        Kind::Number { min: 1.0, max: 365.0 },
        Some("7"),
    ),
    key(
        "outbox_ttl_days",
        Some("runtime.outbox_ttl_days"),
        Some("MERCURY_OUTBOX_TTL_DAYS"),
        Kind::Number { min: 1.0, max: 365.0 },
        Some("3"),
    ),
    key(
        "cleanup_interval_ms",
        Some("runtime.cleanup_interval_ms"),
        Some("MERCURY_CLEANUP_INTERVAL_MS"),
        int(60_000, 86_400_000),
        Some("3600000"),
    ),
    key("auth_path", Some("runtime.auth_path"), Some("MERCURY_AUTH_PATH"), Kind::Text, None),
    // New, for tests: one server on the loopback in the place of the providers' sign-in servers.
    key("oauth_stand_in", None, Some("MERCURY_OAUTH_STAND_IN"), Kind::Text, None),
    later(
        key(
            "whatsapp_auth_dir",
            Some("runtime.whatsapp_auth_dir"),
            Some("MERCURY_WHATSAPP_AUTH_DIR"),
            Kind::Text,
            None,
        ),
        ADAPTERS,
    ),
    key("agent_image", Some("agent.image"), Some("MERCURY_AGENT_IMAGE"), Kind::Text, Some(DEFAULT_IMAGE)),
    key(
        "container_timeout_ms",
        Some("agent.container_timeout_ms"),
        Some("MERCURY_CONTAINER_TIMEOUT_MS"),
        int(10_000, 3_600_000),
        Some("300000"),
    ),
    key(
        "container_runtime",
        Some("agent.container_runtime"),
        Some("MERCURY_CONTAINER_RUNTIME"),
        Kind::Choice(&["runc", "runsc"]),
        Some("runc"),
    ),
    // Unset is `claimed`, not `all` as in the replaced system: what nobody declared stays with the host.
    key(
        "container_env_passthrough",
        Some("agent.env_passthrough"),
        Some("MERCURY_CONTAINER_ENV_PASSTHROUGH"),
        Kind::Choice(&["all", "claimed"]),
        None,
    ),
    // New: variables that pass in either mode.
    key("agent_env_allow", Some("agent.env_allow"), Some("MERCURY_AGENT_ENV_ALLOW"), Kind::List, Some("")),
    // New name, and without the privilege that the old one meant.
    key("agent_bubblewrap", Some("agent.bubblewrap"), Some("MERCURY_AGENT_BUBBLEWRAP"), Kind::Bool, Some("false")),
    key(
        "container_bwrap_docker_compat",
        Some("agent.container_bwrap_docker_compat"),
        Some("MERCURY_CONTAINER_BWRAP_DOCKER_COMPAT"),
        Kind::Bool,
        Some("false"),
    ),
    key("container_network", Some("agent.container_network"), Some("MERCURY_CONTAINER_NETWORK"), Kind::Text, None),
    later(
        key(
            "container_api_host",
            Some("agent.container_api_host"),
            Some("MERCURY_CONTAINER_API_HOST"),
            Kind::Text,
            None,
        ),
        "an API host name (the agent always reaches the host by the run's socket)",
    ),
    // New: `open` is the bridge or the named network, `none` no network at all, `filtered` no network
    // but the host's proxy.
    key(
        "agent_network",
        Some("agent.network"),
        Some("MERCURY_AGENT_NETWORK"),
        Kind::Choice(&["open", "none", "filtered"]),
        Some("open"),
    ),
    key("agent_egress", Some("agent.egress"), Some("MERCURY_AGENT_EGRESS"), Kind::List, Some("")),
    key(
        "agent_egress_private",
        Some("agent.egress_private"),
        Some("MERCURY_AGENT_EGRESS_PRIVATE"),
        Kind::List,
        Some(""),
    ),
    key(
        "agent_egress_plugins",
        Some("agent.egress_plugins"),
        Some("MERCURY_AGENT_EGRESS_PLUGINS"),
        Kind::List,
        Some(""),
    ),
    // MiB that one run may send and receive through the proxy.
    key("agent_egress_mb", Some("agent.egress_mb"), Some("MERCURY_AGENT_EGRESS_MB"), int(1, 1_048_576), Some("2048")),
    // New: who holds the model credentials. Unset is `gateway`, and `env` for providers that the
    // gateway cannot serve.
    key(
        "agent_credentials",
        Some("agent.credentials"),
        Some("MERCURY_AGENT_CREDENTIALS"),
        Kind::Choice(&["gateway", "env"]),
        None,
    ),
    // New: models beside the chain's that agents may ask the gateway for (`provider/model`, `provider/claude-*`).
    key("allowed_models", Some("agent.allowed_models"), Some("MERCURY_AGENT_ALLOWED_MODELS"), Kind::List, None),
    // New: what may be spent on models, in US dollars; days are those of UTC. Unset means no limit.
    key("budget_run", Some("budgets.run_usd"), Some("MERCURY_BUDGET_RUN_USD"), DOLLARS, None),
    key("budget_person_day", Some("budgets.person_day_usd"), Some("MERCURY_BUDGET_PERSON_DAY_USD"), DOLLARS, None),
    key("budget_space_day", Some("budgets.space_day_usd"), Some("MERCURY_BUDGET_SPACE_DAY_USD"), DOLLARS, None),
    key("budget_day", Some("budgets.day_usd"), Some("MERCURY_BUDGET_DAY_USD"), DOLLARS, None),
    key("agent_memory_mb", Some("agent.memory_mb"), Some("MERCURY_AGENT_MEMORY_MB"), int(128, 1_048_576), Some("2048")),
    key("agent_cpus", Some("agent.cpus"), Some("MERCURY_AGENT_CPUS"), Kind::Number { min: 0.1, max: 256.0 }, Some("2")),
    key("agent_pids", Some("agent.pids"), Some("MERCURY_AGENT_PIDS"), int(32, 65_536), Some("512")),
    key("max_concurrency", Some("runtime.max_concurrency"), Some("MERCURY_MAX_CONCURRENCY"), int(1, 32), Some("2")),
    key(
        "override_pi_system_prompt",
        Some("agent.override_pi_system_prompt"),
        Some("MERCURY_OVERRIDE_PI_SYSTEM_PROMPT"),
        Kind::Bool,
        Some("false"),
    ),
    key(
        "rate_limit_per_user",
        Some("runtime.rate_limit_per_user"),
        Some("MERCURY_RATE_LIMIT_PER_USER"),
        int(0, 1_000),
        Some("10"),
    ),
    // New: what a whole space, and all together, may ask in the window; 0 is no limit.
    key(
        "rate_limit_per_space",
        Some("runtime.rate_limit_per_space"),
        Some("MERCURY_RATE_LIMIT_PER_SPACE"),
        int(0, 100_000),
        Some("0"),
    ),
    key(
        "rate_limit_total",
        Some("runtime.rate_limit_total"),
        Some("MERCURY_RATE_LIMIT_TOTAL"),
        int(0, 100_000),
        Some("0"),
    ),
    key(
        "rate_limit_window_ms",
        Some("runtime.rate_limit_window_ms"),
        Some("MERCURY_RATE_LIMIT_WINDOW_MS"),
        int(1_000, 3_600_000),
        Some("60000"),
    ),
    key(
        "rate_limit_daily_member",
        Some("runtime.rate_limit_daily_member"),
        Some("MERCURY_RATE_LIMIT_DAILY_MEMBER"),
        int(0, 10_000),
        Some("0"),
    ),
    key(
        "rate_limit_daily_admin",
        Some("runtime.rate_limit_daily_admin"),
        Some("MERCURY_RATE_LIMIT_DAILY_ADMIN"),
        int(0, 10_000),
        Some("0"),
    ),
    // New: how many runs may wait, altogether and in one space; 0 is no limit.
    key("max_queued", Some("runtime.max_queued"), Some("MERCURY_MAX_QUEUED"), int(0, 100_000), Some("500")),
    key(
        "max_queued_per_space",
        Some("runtime.max_queued_per_space"),
        Some("MERCURY_MAX_QUEUED_PER_SPACE"),
        int(0, 100_000),
        Some("50"),
    ),
    // New: how long to wait whether a person writes on; unset is what the platform is like.
    key("debounce_ms", Some("trigger.debounce_ms"), Some("MERCURY_DEBOUNCE_MS"), int(0, 10_000), None),
    key("port", Some("server.port"), Some("MERCURY_PORT"), int(1, 65_535), Some("8787")),
    // New: the address to listen on. Wider than loopback needs secrets.
    key("bind", Some("server.bind"), Some("MERCURY_BIND"), Kind::Text, Some("127.0.0.1")),
    key("bot_username", Some("server.bot_username"), Some("MERCURY_BOT_USERNAME"), Kind::Text, Some("mercury")),
    later(
        key("enable_discord", Some("ingress.discord"), Some("MERCURY_ENABLE_DISCORD"), Kind::Bool, Some("false")),
        ADAPTERS,
    ),
    later(
        key("enable_slack", Some("ingress.slack"), Some("MERCURY_ENABLE_SLACK"), Kind::Bool, Some("false")),
        ADAPTERS,
    ),
    later(
        key("enable_teams", Some("ingress.teams"), Some("MERCURY_ENABLE_TEAMS"), Kind::Bool, Some("false")),
        ADAPTERS,
    ),
    later(
        key("enable_whatsapp", Some("ingress.whatsapp"), Some("MERCURY_ENABLE_WHATSAPP"), Kind::Bool, Some("false")),
        ADAPTERS,
    ),
    key("enable_telegram", Some("ingress.telegram"), Some("MERCURY_ENABLE_TELEGRAM"), Kind::Bool, Some("false")),
    later(
        key(
            "discord_gateway_duration_ms",
            Some("discord.gateway_duration_ms"),
            Some("MERCURY_DISCORD_GATEWAY_DURATION_MS"),
            int(60_000, 3_600_000),
            Some("600000"),
        ),
        ADAPTERS,
    ),
    later(secret("discord_gateway_secret", "MERCURY_DISCORD_GATEWAY_SECRET"), ADAPTERS),
    // Read by the plugin, whose manifest names it.
    key(
        "telegram_format_enabled",
        Some("telegram.format_enabled"),
        Some("MERCURY_TELEGRAM_FORMAT_ENABLED"),
        Kind::Bool,
        Some("true"),
    ),
    key("media_enabled", Some("media.enabled"), Some("MERCURY_MEDIA_ENABLED"), Kind::Bool, Some("true")),
    key(
        "media_max_size_mb",
        Some("media.max_size_mb"),
        Some("MERCURY_MEDIA_MAX_SIZE_MB"),
        Kind::Number { min: 1.0, max: 100.0 },
        Some("10"),
    ),
    key("admins", Some("permissions.admins"), Some("MERCURY_ADMINS"), Kind::List, Some("")),
    key(
        "messages_locale",
        Some("messages.locale"),
        Some("MERCURY_MESSAGES_LOCALE"),
        Kind::Choice(&["en", "he"]),
        Some("en"),
    ),
    // Only reminds of a profile that is not active (`config/profile.rs`).
    key("profile", None, Some("MERCURY_PROFILE"), Kind::Text, None),
    secret("api_secret", "MERCURY_API_SECRET"),
    later(secret("caller_token_key", "MERCURY_CALLER_TOKEN_KEY"), "caller tokens (a run is known by its socket)"),
    secret("chat_api_key", "MERCURY_CHAT_API_KEY"),
    key("console_url", None, Some("MERCURY_CONSOLE_URL"), Kind::Url, None),
    later(key("console_user_id", None, Some("MERCURY_CONSOLE_USER_ID"), Kind::Text, None), CONSOLE),
    secret("console_internal_secret", "MERCURY_CONSOLE_INTERNAL_SECRET"),
    key("default_timezone", Some("scheduling.default_timezone"), Some("MERCURY_DEFAULT_TIMEZONE"), Kind::Text, None),
    // New: how many tasks people may schedule in one space, and how often each may run.
    key(
        "max_tasks_per_space",
        Some("scheduling.max_tasks_per_space"),
        Some("MERCURY_MAX_TASKS_PER_SPACE"),
        int(1, 1_000),
        Some("100"),
    ),
    key(
        "task_min_interval",
        Some("scheduling.min_interval_minutes"),
        Some("MERCURY_TASK_MIN_INTERVAL_MINUTES"),
        int(1, 1_440),
        Some("1"),
    ),
    later(
        key("ts_allow_live_orders", None, Some("MERCURY_TS_ALLOW_LIVE_ORDERS"), Kind::Bool, Some("false")),
        "trading",
    ),
    // Those of `voice-synth`, by the names of the replaced system (`config/speech.rs`).
    key("tts_provider", None, Some("MERCURY_TTS_PROVIDER"), Kind::Choice(&["google", "azure", "auto"]), None),
    secret("azure_speech_key", "MERCURY_AZURE_SPEECH_KEY"),
    key("azure_speech_region", None, Some("MERCURY_AZURE_SPEECH_REGION"), Kind::Text, None),
    later(
        key("google_application_credentials", None, Some("MERCURY_GOOGLE_APPLICATION_CREDENTIALS"), Kind::Text, None),
        SERVICE_ACCOUNTS,
    ),
    key("tts_max_chars", None, Some("MERCURY_TTS_MAX_CHARS"), int(500, 10_000), None),
    key(
        "dm_auto_space_enabled",
        Some("dm_auto_space.enabled"),
        Some("MERCURY_DM_AUTO_SPACE_ENABLED"),
        Kind::Bool,
        Some("false"),
    ),
    key(
        "dm_auto_space_admin_ids",
        Some("dm_auto_space.admin_ids"),
        Some("MERCURY_DM_AUTO_SPACE_ADMIN_IDS"),
        Kind::List,
        Some(""),
    ),
    key(
        "dm_auto_space_default_system_prompt",
        Some("dm_auto_space.default_system_prompt"),
        Some("MERCURY_DM_AUTO_SPACE_DEFAULT_SYSTEM_PROMPT"),
        Kind::Text,
        None,
    ),
    // Unlike in the replaced system none by default: members hold there what they hold everywhere, plugins of
    // theirs among it.
    key(
        "dm_auto_space_default_member_permissions",
        Some("dm_auto_space.default_member_permissions"),
        Some("MERCURY_DM_AUTO_SPACE_DEFAULT_MEMBER_PERMISSIONS"),
        Kind::List,
        None,
    ),
    key("extension_defaults", None, Some("MERCURY_EXTENSION_DEFAULTS"), Kind::Json, None),
    // New: whose signatures on plugins count, and which folders are loaded without a lock.
    key("plugin_trusted_keys", Some("plugins.trusted_keys"), Some("MERCURY_PLUGIN_TRUSTED_KEYS"), Kind::Json, None),
    key(
        "plugin_unlocked_folders",
        Some("plugins.unlocked_folders"),
        Some("MERCURY_PLUGIN_UNLOCKED_FOLDERS"),
        Kind::List,
        None,
    ),
    // Outside the old schema, read from the environment there.
    key("agent_id", None, Some("MERCURY_AGENT_ID"), Kind::Text, None),
    key("host_data_dir", None, Some("MERCURY_HOST_DATA_DIR"), Kind::Text, None),
    key("docker_host", Some("runtime.docker_host"), Some("MERCURY_DOCKER_HOST"), Kind::Text, None),
];
