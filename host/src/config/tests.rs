use super::*;
use crate::domain::words::Locale;

fn load_with(yaml: Option<&str>, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let project = tempfile::tempdir().unwrap();
    if let Some(yaml) = yaml {
        std::fs::write(project.path().join("mercury.yaml"), yaml).unwrap();
    }
    let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Config::load(project.path(), &environment)
}

fn problem(yaml: Option<&str>, environment: &[(&str, &str)]) -> String {
    load_with(yaml, environment).unwrap_err().to_string()
}

/// config.md #1: nothing set.
#[test]
fn defaults() {
    let config = load_with(None, &[]).unwrap();
    assert!(config.data_dir.ends_with(".mercury"));
    assert_eq!(config.port, 8787);
    assert_eq!(config.max_concurrency, 2);
    assert_eq!(config.container_timeout, Duration::from_secs(300));
    assert_eq!(config.model_budget, Duration::from_secs(120));
    assert_eq!(config.model_retries_per_leg, 2);
    assert_eq!(config.model_chain.len(), 1);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

/// config.md #2: everything lies below the data directory.
#[test]
fn derived_paths() {
    let config = load_with(None, &[("MERCURY_DATA_DIR", "/custom/data")]).unwrap();
    for path in [config.global_dir(), config.spaces_dir(), config.database_path()] {
        assert!(path.starts_with("/custom/data"), "{}", path.display());
    }
}

/// A misspelt secret leaves a door open.
#[test]
fn misspelt_variables_are_named() {
    let environment = [
        ("MERCURY_API_SECERT", "x"),
        ("MERCURY_ADMIN", "x"),
        ("MERCURY_API_SECRET", "the-api-secret-0123"),
        ("MERCURY_SHOP_TOKEN", "x"),
        ("API_SECERT", "x"),
    ];
    let warnings = load_with(None, &environment).unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "MERCURY_ADMIN is no variable of the host's; did you mean MERCURY_ADMINS?",
            "MERCURY_API_SECERT is no variable of the host's; did you mean MERCURY_API_SECRET?",
        ]
    );
}

/// config.md #3 #7: the model's budget ends before the container's time.
#[test]
fn budget_is_clamped() {
    let config = load_with(None, &[("MERCURY_CONTAINER_TIMEOUT_MS", "120000")]).unwrap();
    assert_eq!(config.model_budget, Duration::from_secs(110));
    let config =
        load_with(None, &[("MERCURY_CONTAINER_TIMEOUT_MS", "60000"), ("MERCURY_MODEL_CHAIN_BUDGET_MS", "300000")])
            .unwrap();
    assert_eq!(config.model_budget, Duration::from_secs(50));
}

/// config.md #4: the environment's chain replaces the primary model.
#[test]
fn chain_from_the_environment() {
    let config =
        load_with(None, &[("MERCURY_MODEL_CHAIN", r#"[{"provider":"a","model":"m"},{"provider":"b","model":"n"}]"#)])
            .unwrap();
    assert_eq!(config.model_chain[1], Leg { provider: "b".into(), model: "n".into() });
}

/// config.md #5: what is said of all models counts for every leg.
#[test]
fn abilities_are_said_of_all() {
    let chain = r#"[{"provider":"a","model":"m"},{"provider":"b","model":"n"}]"#;
    let said = [("MERCURY_MODEL_CHAIN", chain), ("MERCURY_MODEL_CAPABILITIES", r#"{"tools":false}"#)];
    let config = load_with(None, &said).unwrap();
    let can = |config: &Config| {
        config.model_chain.iter().map(|leg| config.capabilities.of(&leg.provider, &leg.model).tools).collect::<Vec<_>>()
    };
    assert_eq!(can(&config), [false, false]);
    assert_eq!(can(&load_with(None, &said[..1]).unwrap()), [true, true]);
}

/// config.md #6: primary and fallback.
#[test]
fn fallback_needs_both_keys() {
    let both = [("MERCURY_MODEL_FALLBACK_PROVIDER", "openai"), ("MERCURY_MODEL_FALLBACK", "gpt")];
    assert_eq!(load_with(None, &both).unwrap().model_chain.len(), 2);
    assert_eq!(load_with(None, &both[..1]).unwrap().model_chain.len(), 1);
}

/// config.md #8: the environment beats the file, the file beats the default.
#[test]
fn precedence() {
    let yaml = Some("server:\n  port: 4000\n  bot_username: nova\n");
    let config = load_with(yaml, &[("MERCURY_PORT", "5000")]).unwrap();
    assert_eq!((config.port, config.bot_username.as_str()), (5000, "nova"));
}

/// config.md #20 keeps what the replaced system did; whoever means the other reads it.
#[test]
fn a_yes_that_means_off_is_named() {
    let warnings = |value| load_with(None, &[("MERCURY_ENABLE_TELEGRAM", value)]).unwrap().warnings.join("; ");
    let said = warnings("yes");
    assert!(said.contains("MERCURY_ENABLE_TELEGRAM is `yes`, which means off: only `true` and `1` mean on"), "{said}");
    assert!(!warnings("false").contains("means off"));
}

/// config.md #10
#[test]
fn the_language() {
    let language = |yaml, environment: &[_]| load_with(yaml, environment).unwrap().voice.locale;
    let file = Some("messages:\n  locale: he\n");
    assert_eq!(language(file, &[]), Locale::Hebrew);
    assert_eq!(language(file, &[("MERCURY_MESSAGES_LOCALE", "en")]), Locale::English);
    assert_eq!(language(None, &[]), Locale::English);
}

/// pipeline.md #7 in its configuration: permissions for files are added where the list names neither.
#[test]
fn what_new_spaces_begin_with() {
    let auto = |more: &[(&str, &str)]| {
        let on = [("MERCURY_DM_AUTO_SPACE_ENABLED", "true")];
        load_with(None, &[&on, more].concat()).unwrap().auto_space.unwrap()
    };
    assert_eq!((auto(&[]).member_permissions, auto(&[]).system_prompt), (None, None));
    let list = |list: &str| {
        let found = auto(&[("MERCURY_DM_AUTO_SPACE_DEFAULT_MEMBER_PERMISSIONS", list)]).member_permissions;
        found.map(|list| list.join(","))
    };
    assert_eq!(list("prompt, stop").as_deref(), Some("prompt,stop,media.receive,media.send"));
    assert_eq!(list("prompt,media.send").as_deref(), Some("prompt,media.send"));
    let told = auto(&[("MERCURY_DM_AUTO_SPACE_DEFAULT_SYSTEM_PROMPT", "Be brief.")]).system_prompt;
    assert_eq!(told.as_deref(), Some("Be brief."));
    assert!(load_with(None, &[]).unwrap().auto_space.is_none());
}

/// config.md #9: secrets come from the environment only.
#[test]
fn secrets_in_the_file_have_no_effect() {
    let config = load_with(Some("server:\n  api_secret: leaked\n"), &[("MERCURY_CHAT_API_KEY", "k")]).unwrap();
    assert!(config.api_secret.is_none());
    assert_eq!(config.chat_api_key.unwrap().expose_secret(), "k");
    assert!(!format!("{:?}", config.warnings).contains("leaked"));
}

/// config.md #11: the error names file, key and reason; all problems at once.
#[test]
fn errors_name_the_place() {
    let text = problem(Some("server:\n  port: abc\nruntime:\n  max_concurrency: 99\n"), &[]);
    insta::assert_snapshot!(text.replace('\\', "/").split("; ").map(|part| part.rsplit('/').next().unwrap()).collect::<Vec<_>>().join("\n"), @r"
    mercury.yaml: runtime.max_concurrency 99 is not between 1 and 32
    mercury.yaml: server.port must be a whole number
    ");
    assert!(
        problem(Some("model:\n  chain: [{provider: a, model: ''}]\n"), &[]).contains("mercury.yaml: model.chain[0]")
    );
}

/// config.md #12: unknown keys are named once, with the nearest known one.
#[test]
fn unknown_keys_are_warned_about() {
    let config = load_with(Some("sever:\n  port: 1\nserver:\n  prot: 2\n"), &[]).unwrap();
    let all = config.warnings.join("\n");
    assert_eq!(config.warnings.len(), 2, "{all}");
    assert!(
        all.contains("`sever` (did you mean `server`?)") && all.contains("`server.prot` (did you mean `server.port`?)")
    );
}

/// config.md #13: how the file is selected.
#[test]
fn file_selection() {
    let yaml = Some("server:\n  port: 4000\n");
    for none in ["", "NONE"] {
        assert_eq!(load_with(yaml, &[("MERCURY_CONFIG_FILE", none)]).unwrap().port, 8787);
    }
    assert!(problem(None, &[("MERCURY_CONFIG_FILE", "missing.yaml")]).contains("missing.yaml"));
}

/// config.md #14: which chain counts, and how long it may be.
/// agent-entry.md #12: a chain is cut or refused by where it stands, and mistakes name their place.
#[test]
fn chain_precedence_and_length() {
    let leg = "{provider: p, model: m}";
    let config = load_with(Some(&format!("model:\n  chain: [{leg}]\nmodel_chain: [{leg}, {leg}]\n")), &[]).unwrap();
    assert_eq!(config.model_chain.len(), 1);
    let config = load_with(Some(&format!("model:\n  chain: []\nmodel_chain: [{leg}, {leg}]\n")), &[]).unwrap();
    assert_eq!(config.model_chain.len(), 2);
    let eight = [leg; 8].join(",");
    assert!(problem(Some(&format!("model:\n  chain: [{eight}]\n")), &[]).contains("at most 7"));
    let eight = [r#"{"provider":"p","model":"m"}"#; 8].join(",");
    let config = load_with(None, &[("MERCURY_MODEL_CHAIN", &format!("[{eight}]"))]).unwrap();
    assert_eq!(config.model_chain.len(), 7);
    assert!(problem(None, &[("MERCURY_MODEL_CHAIN", "[]")]).contains("MERCURY_MODEL_CHAIN"));
}

#[test]
fn plugins_can_be_put_into_an_order() {
    let config = load_with(Some("plugins:\n  order: [redact, napkin]\n  napkin: { enabled: false }\n"), &[]).unwrap();
    assert_eq!(config.plugin_order, ["redact", "napkin"]);
    assert_eq!(config.plugins.keys().collect::<Vec<_>>(), ["napkin"]);
    problem(Some("plugins:\n  order: [1]\n"), &[]);
}

/// config.md #15: plugin settings from the old `extensions` section.
#[test]
fn extension_settings() {
    let yaml = Some("extensions:\n  napkin:\n    distill_interval_ms: 5\n    on: true\n");
    let config = load_with(yaml, &[]).unwrap();
    assert_eq!(config.plugins["napkin"].settings["distill_interval_ms"], "5");
    assert_eq!(config.plugins["napkin"].settings["on"], "true");
    let config = load_with(yaml, &[("MERCURY_EXTENSION_DEFAULTS", r#"{"voice.mode":"auto"}"#)]).unwrap();
    assert_eq!(config.plugins.keys().collect::<Vec<_>>(), ["voice"]);
}

/// config.md 2 (`ttsProvider` and its neighbours): the replaced system's variables set up the voice.
#[test]
fn the_voice_is_set_up_by_its_old_variables() {
    assert!(!load_with(None, &[]).unwrap().plugins.contains_key("voice-synth"), "nothing of it by default");
    let azure = [
        ("MERCURY_AZURE_SPEECH_KEY", "canary-key"),
        ("MERCURY_AZURE_SPEECH_REGION", " westeurope "),
        ("MERCURY_TTS_PROVIDER", "azure"),
        ("MERCURY_TTS_MAX_CHARS", "800"),
    ];
    let yaml = "plugins:\n  voice-synth:\n    settings: { provider: google, mode: auto }\n";
    let config = load_with(Some(yaml), &azure).unwrap();
    let voice = &config.plugins["voice-synth"];
    let expected = [("azure-region", "westeurope"), ("max-chars", "800"), ("mode", "auto"), ("provider", "azure")];
    assert_eq!(voice.settings, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert!(voice.enabled == Some(true) && config.warnings.is_empty(), "{:?}", config.warnings);
    let off = load_with(Some("plugins:\n  voice-synth: { enabled: false }\n"), &azure).unwrap();
    assert_eq!(off.plugins["voice-synth"].enabled, Some(false));
    let keyless = load_with(None, &[("MERCURY_TTS_MAX_CHARS", "800")]).unwrap();
    assert_eq!(keyless.plugins["voice-synth"].enabled, None);
    assert!(problem(None, &[("MERCURY_TTS_MAX_CHARS", "499")]).contains("MERCURY_TTS_MAX_CHARS"));
    assert!(problem(None, &[("MERCURY_TTS_PROVIDER", "espeak")]).contains("google, azure, auto"));
    let account = load_with(None, &[("MERCURY_GOOGLE_APPLICATION_CREDENTIALS", "/key.json")]).unwrap();
    assert!(account.warnings[0].contains("MERCURY_GOOGLE_TTS_API_KEY"), "{:?}", account.warnings);
}

/// config.md #21: relative and absolute paths.
#[test]
fn data_dir_is_absolute() {
    assert!(load_with(None, &[("MERCURY_DATA_DIR", "state")]).unwrap().data_dir.is_absolute());
}

/// config.md #26 #27: bad values are errors at start; an empty number counts as unset.
#[test]
fn bad_values_stop_the_start() {
    assert!(problem(None, &[("MERCURY_PORT", "5abc")]).contains("MERCURY_PORT"));
    assert!(problem(None, &[("MERCURY_TRIGGER_MATCH", "nonsense")]).contains("mention, prefix, always"));
    let config = load_with(None, &[("MERCURY_PORT", "")]).unwrap();
    assert_eq!(config.port, 8787);
    assert!(config.warnings[0].contains("MERCURY_PORT"));
}

#[test]
fn a_setting_without_its_feature_is_accepted_with_a_warning() {
    let config = load_with(Some("ingress:\n  slack: true\n"), &[]).unwrap();
    assert!(config.warnings[0].contains("ingress.slack is accepted but does nothing yet"));
}

/// adapters.md 1.1: the old switch and the new one are the same, and the new one wins.
#[test]
fn ingress_switches_plugins_on() {
    let enabled = |yaml: &str| load_with(Some(yaml), &[]).unwrap().plugins.get("telegram").and_then(|it| it.enabled);
    assert_eq!(enabled("ingress:\n  telegram: true\n"), Some(true));
    assert_eq!(enabled("ingress:\n  telegram: true\nplugins:\n  telegram:\n    enabled: false\n"), Some(false));
    assert_eq!(enabled("ingress:\n  telegram: false\n"), None);
}

#[test]
fn a_wide_listener_needs_secrets() {
    assert!(problem(None, &[("MERCURY_BIND", "0.0.0.0")]).contains("MERCURY_API_SECRET"));
    let secrets = [
        ("MERCURY_BIND", "0.0.0.0"),
        ("MERCURY_API_SECRET", "0123456789abcdef"),
        ("MERCURY_CHAT_API_KEY", "0123456789abcdef"),
    ];
    assert!(load_with(None, &secrets).is_ok());
}

/// container.md #8: sources of mounts as the daemon sees them.
#[test]
fn paths_for_the_daemon() {
    let config = load_with(None, &[("MERCURY_DATA_DIR", "/data"), ("MERCURY_HOST_DATA_DIR", "/vol")]).unwrap();
    assert_eq!(config.for_daemon(Path::new("/data/spaces/main")), Path::new("/vol/spaces/main"));
}

/// The rules of a filtered agent, from the file and from the environment.
#[test]
fn egress_rules() {
    let yaml = "agent:\n  network: filtered\n  egress: [\"*.Example.com\", registry.test:8443]\n  egress_private: [10.1.0.0/16, \"::1\"]\n  egress_mb: 5\n";
    let config = load_with(Some(yaml), &[]).unwrap();
    assert_eq!(config.network, Network::Filtered);
    let hosts: Vec<_> = config.egress.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["*.example.com", "registry.test:8443"]);
    assert_eq!((config.egress.private.len(), config.egress.most_bytes), (2, 5 << 20));
    let config = load_with(Some(yaml), &[("MERCURY_AGENT_EGRESS", "a.test, b.test")]).unwrap();
    assert_eq!(config.egress.hosts.len(), 2, "the variable replaces the list");
}

#[test]
fn egress_rules_that_mean_nothing_are_refused() {
    let said = problem(
        None,
        &[("MERCURY_AGENT_EGRESS", "https://a.test,b.test"), ("MERCURY_AGENT_EGRESS_PRIVATE", "10.0.0.1/8,nonsense")],
    );
    for part in ["MERCURY_AGENT_EGRESS: `https://a.test`", "`10.0.0.1/8` has bits", "`nonsense` is not a network"] {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
    assert!(!said.contains("b.test"), "{said}");
}

#[test]
fn egress_without_effect_or_with_too_much_is_warned_about() {
    for (environment, expected) in [
        (vec![("MERCURY_AGENT_EGRESS", "a.test")], "needs agent.network: filtered"),
        (vec![("MERCURY_AGENT_NETWORK", "filtered")], "agents reach nothing but the host"),
        (
            vec![
                ("MERCURY_AGENT_NETWORK", "filtered"),
                ("MERCURY_AGENT_EGRESS", "a.test"),
                ("MERCURY_AGENT_EGRESS_PRIVATE", "127.0.0.0/8"),
            ],
            "listens on this machine",
        ),
    ] {
        let warnings = load_with(None, &environment).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].contains(expected), "{warnings:?}");
    }
}

/// What was meant to close something must not be left out without a word.
#[test]
fn a_section_that_is_no_mapping_is_an_error() {
    for yaml in ["budgets: 5", "plugins: nope", "agent: none", "budgets: [{run_usd: 2}]"] {
        let section = yaml.split(':').next().unwrap();
        let text = problem(Some(yaml), &[]);
        assert!(text.contains(&format!("`{section}` must be a mapping")), "{text}");
    }
    assert!(load_with(Some("agent:\nmodel_chain: []\n"), &[]).is_ok());
}

/// A sign-in that agents could read or replace, however the way to it is written.
#[test]
fn sign_ins_stay_out_of_sight() {
    for path in
        [".mercury/spaces/main/auth.json", "x/../.mercury/spaces/main/auth.json", ".mercury/global/skills/auth.json"]
    {
        assert!(problem(None, &[("MERCURY_AUTH_PATH", path)]).contains("where agents can read"), "{path}");
    }
    let project = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(project.path().join(".mercury/spaces/main")).unwrap();
    std::os::unix::fs::symlink(project.path().join(".mercury/spaces/main"), project.path().join("link")).unwrap();
    let environment = [("MERCURY_AUTH_PATH".to_owned(), "link/auth.json".to_owned())].into();
    assert!(Config::load(project.path(), &environment).unwrap_err().to_string().contains("where agents can read"));
}

/// `.env` holds secrets: an error names the line and not what stands there, and none is cut at a `$`.
#[test]
fn what_is_wrong_in_env_is_not_repeated() {
    let project = tempfile::tempdir().unwrap();
    let read = |content: &str| {
        std::fs::write(project.path().join(".env"), content).unwrap();
        environment(project.path())
    };
    for content in ["# keys\nMERCURY_X=\"sk-SECRET\nMORE=sk-SECRET\n", "A=1\nexport MERCURY_X sk-SECRET\n"] {
        let text = read(content).unwrap_err().to_string();
        assert!(!text.contains("SECRET") && text.contains("line 2"), "{text}");
    }
    for value in ["abc$def", "\"abc$def\"", "${HOME}"] {
        let text = read(&format!("# a\nMERCURY_API_SECRET={value}\n")).unwrap_err().to_string();
        assert!(text.contains("line 2") && text.contains("MERCURY_API_SECRET") && !text.contains("abc"), "{text}");
    }
    let read = read("A='abc$def'\nB=abc\\$def\nC=1 # costs 5$\n").unwrap();
    assert_eq!((read["A"].as_str(), read["B"].as_str(), read["C"].as_str()), ("abc$def", "abc$def", "1"));
}

/// cli.md section 1: as `.env` was written for the replaced system. JSON has no quotes around it there.
#[test]
fn json_in_env_is_not_altered() {
    let project = tempfile::tempdir().unwrap();
    let chain = r#"[{"provider":"openai","model":"gpt-4o"}]"#;
    std::fs::write(project.path().join(".env"), format!("MERCURY_MODEL_CHAIN={chain}\n")).unwrap();
    let environment = environment(project.path()).unwrap();
    assert_eq!(environment["MERCURY_MODEL_CHAIN"], chain);
    assert_eq!(Config::load(project.path(), &environment).unwrap().model_chain[0].model, "gpt-4o");
}

/// What an operator opens for one plugin, and where it is sent instead.
#[test]
fn what_a_plugin_reaches() {
    let yaml = "plugins:\n  telegram:\n    private: [10.1.0.0/16, 192.168.1.5]\n    stand_ins:\n      api.telegram.org: http://127.0.0.1:8081/base\n";
    let config = load_with(Some(yaml), &[]).unwrap();
    let plugin = &config.plugins["telegram"];
    assert_eq!(plugin.private, ["10.1.0.0/16".parse().unwrap(), "192.168.1.5/32".parse::<ipnet::IpNet>().unwrap()]);
    assert_eq!((plugin.stand_ins[0].host.as_str(), plugin.stand_ins[0].url.path()), ("api.telegram.org", "/base"));
    assert!(
        config.warnings[0].contains("plugins.telegram.stand_ins") && config.warnings[0].contains("secrets included")
    );
    let refused = |entry: &str| problem(Some(&format!("plugins:\n  telegram:\n    {entry}\n")), &[]);
    for (entry, reason) in [
        ("private: 10.0.0.0/8", "must be a list"),
        ("private: [10.0.0.1/8]", "bits set after its prefix"),
        ("private: [intern]", "is not a network"),
        ("stand_ins: [x]", "must be a mapping"),
        ("stand_ins: {\"https://a.test\": \"http://b.test\"}", "without scheme"),
        ("stand_ins: {a.test: \"ftp://b.test\"}", "must be an http:// or https:// URL"),
        ("stand_ins: {a.test: \"http://u:p@b.test\"}", "must be an http:// or https:// URL"),
        ("standins: {}", "plugins.telegram.standins is unknown"),
    ] {
        assert!(refused(entry).contains(reason), "{entry}: {}", refused(entry));
    }
}

/// Secrets of plugins: a platform's token can be bound, the host's own cannot.
#[test]
fn which_variables_can_be_bound() {
    let set = [
        ("MERCURY_TELEGRAM_BOT_TOKEN", "t"),
        ("MERCURY_MY_KEY", "k"),
        ("MERCURY_API_SECRET", "s"),
        ("MERCURY_CHAT_API_KEY", "c"),
        ("HOME", "/"),
    ];
    let config = load_with(None, &set).unwrap();
    assert_eq!(config.plugin_secrets.keys().collect::<Vec<_>>(), ["MERCURY_MY_KEY", "MERCURY_TELEGRAM_BOT_TOKEN"]);
    assert_eq!(config.variables.keys().collect::<Vec<_>>(), ["MERCURY_MY_KEY"]);
}

/// config.md #23 (as architecture.md has it: agents reach the host by their run's socket, in any network): either of
/// the two alone is no error, and what does nothing is said to.
#[test]
fn a_network_needs_no_name_of_the_host() {
    let warned = |name: &str, value: &str| {
        let config = load_with(None, &[(name, value)]).unwrap();
        config.warnings.iter().any(|warning| warning.contains("API host name"))
    };
    assert!(!warned("MERCURY_CONTAINER_NETWORK", "agents"));
    assert!(warned("MERCURY_CONTAINER_API_HOST", "mercury.internal"));
}
