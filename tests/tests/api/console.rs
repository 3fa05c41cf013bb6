//! The console's control plane: what the operator changes of the host from afar, and its new beginning.

use std::{os::unix::fs::PermissionsExt, path::Path, time::Duration};

use bytes::Bytes;
use mercury_tests::{
    docker,
    host::{Answer, Host, Setup},
    plugins::{fixture, install_with},
    telegram::{TOKEN, Telegram},
};
use serde_json::{Value, json};

use super::{CHAT_KEY, ask, closed, closed_setup, refused};

fn read(host: &Host, name: &str) -> String {
    std::fs::read_to_string(host.folder().join(name)).unwrap_or_default()
}

/// A host that was started with an `.env`.
async fn with_env(setup: Setup, env: &str) -> Host {
    let mut host = setup.prepare();
    std::fs::write(host.folder().join(".env"), env).unwrap();
    host.start().await;
    host
}

async fn post(host: &Host, path: &str, body: Value) -> Answer {
    ask(host, "", "POST", path, body).await
}

/// How often the host has begun and was ready.
fn begun(host: &Host) -> usize {
    host.log().lines().filter(|line| line.contains(" ready ")).count()
}

/// Waits until it was so for the `count`th time.
async fn ready_again(host: &Host, count: usize) {
    for _ in 0..6_000 {
        let health = host.health().await.unwrap_or_default();
        if begun(host) >= count && !health["queue"].is_null() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the host did not begin anew; its log:\n{}", host.log());
}

/// http-api.md W19 and 1.1: the host begins anew by itself, in the same process, and what is at work goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_begins_anew() {
    let host = closed_setup().start().await;
    let pid = host.pid();
    let key = format!("Bearer {CHAT_KEY}");
    let headers = [("authorization", key.as_str())];
    let message = || Bytes::from(json!({ "text": "!sleep 3000\n!reply survived", "messageId": "1" }).to_string());
    let mut waiting = Box::pin(host.exchange("POST", "/chat", &headers, message()));
    tokio::select! {
        answer = &mut waiting => panic!("answered: {answer:?}"),
        () = host.until("SELECT state FROM runs", "running") => {}
    }
    docker::at_work(&host.instance(), 1).await;
    docker::pause_all(&host.instance(), true).await;
    // With files that do not work it goes on as it is.
    std::fs::write(host.folder().join("mercury.yaml"), "server: 1\n").unwrap();
    let broken = post(&host, "/api/console/restart", Value::Null).await;
    assert_eq!(refused(&broken), (409, "would_not_start"));
    assert!(broken.body["error"].as_str().unwrap().contains("server"), "{:#}", broken.body);
    std::fs::write(host.folder().join("mercury.yaml"), "").unwrap();

    let answer = post(&host, "/api/console/restart", Value::Null).await;
    assert_eq!(answer.body, json!({ "ok": true, "restarting": true }));
    ready_again(&host, 2).await;
    assert_eq!(host.pid(), pid, "it is the same process");
    docker::pause_all(&host.instance(), false).await;
    drop(waiting);
    let answer = host.request("POST", "/chat", &headers, message()).await.unwrap();
    assert_eq!(answer.reply(), "survived");
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs"), Some(1), "the run of before");
}

/// http-api.md #31: what may be written into `.env`, and how it stays as it was else.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_written() {
    let setup = closed_setup().set("MERCURY_MISTRAL_API_KEY", "of-the-service");
    let host = with_env(setup, "# keys\nMERCURY_GROQ_API_KEY=old # mine\n\nMERCURY_BOT_USERNAME=Bo\n").await;
    std::fs::set_permissions(host.folder().join(".env"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let set = |name: &'static str, value: &'static str, restart: Value| {
        let host = &host;
        async move {
            let mut body = json!({ "envVar": name, "value": value });
            if !restart.is_null() {
                body["restart"] = restart;
            }
            post(host, "/api/console/credentials", body).await
        }
    };
    let before = read(&host, ".env");
    for (name, value, expected) in [
        ("mercury_groq_api_key", "x", "bad_variable"),
        ("", "x", "bad_variable"),
        ("MERCURY_GROQ_API_KEY=x\nMERCURY_ADMINS", "x", "bad_variable"),
        ("MERCURY_GROQ_API_KEY", "x\nMERCURY_ADMINS=api:eve", "bad_value"),
        ("MERCURY_ADMINS", "api:eve", "not_a_credential"),
        ("MERCURY_API_SECRET", "x", "not_a_credential"),
        ("MERCURY_CHAT_API_KEY", "x", "not_a_credential"),
        ("MERCURY_CONFIG_FILE", "x", "not_a_credential"),
        ("MERCURY_OAUTH_STAND_IN", "x", "not_a_credential"),
        ("LD_PRELOAD", "x", "not_a_credential"),
    ] {
        assert_eq!(refused(&set(name, value, json!(false)).await), (400, expected), "{name}");
    }
    assert_eq!(read(&host, ".env"), before, "nothing was written");

    let answer = set("MERCURY_GROQ_API_KEY", "it's $new", json!(false)).await;
    assert_eq!(answer.body, json!({ "ok": true, "envVar": "MERCURY_GROQ_API_KEY", "restarting": false }));
    assert_eq!(read(&host, ".env"), "# keys\nMERCURY_GROQ_API_KEY=\"it's \\$new\"\n\nMERCURY_BOT_USERNAME=Bo\n");
    let mode = std::fs::metadata(host.folder().join(".env")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only for the operator");
    assert_eq!(set("MERCURY_GROQ_API_KEY", "", Value::Null).await.body["restarting"], false, "taken out, that is all");
    assert_eq!(read(&host, ".env"), "# keys\n\nMERCURY_BOT_USERNAME=Bo\n");
    assert_eq!(begun(&host), 1);

    let elsewhere = set("MERCURY_MISTRAL_API_KEY", "", json!(false)).await;
    assert_eq!(refused(&elsewhere), (409, "set_elsewhere"), "it would be used on: {:#}", elsewhere.body);

    assert_eq!(set("MERCURY_XAI_API_KEY", "a-key", Value::Null).await.body["restarting"], true);
    ready_again(&host, 2).await;
    assert!(read(&host, ".env").ends_with("MERCURY_XAI_API_KEY=a-key\n"));
    assert!(!host.log().contains("a-key") && !host.log().contains("it's $new"), "no secret is logged");
}

/// Where the files were unfit before, a change is made all the same, so the answer is none of a change that was not: who
/// rotates a key has to know which one is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_waits_is_no_refusal() {
    let host = closed_setup().yaml("").start().await;
    std::fs::write(host.folder().join("mercury.yaml"), "plugins:\n  telegram:\n    enabled: true\n").unwrap();
    let key = json!({ "envVar": "MERCURY_GROQ_API_KEY", "value": "rotated" });
    let adapters = json!({ "adapters": { "__model_providers": { "env": { "MERCURY_XAI_API_KEY": "new" } } } });
    for (path, body, written) in [
        ("/api/console/credentials", key, "MERCURY_GROQ_API_KEY=rotated\n"),
        ("/api/console/adapters/configure", adapters, "MERCURY_XAI_API_KEY=new\n"),
    ] {
        let answer = post(&host, path, body).await;
        let said = (answer.status, &answer.body["ok"], &answer.body["restarting"]);
        assert_eq!(said, (200, &json!(true), &json!(false)), "{path}: {:#}", answer.body);
        let waits = answer.body["waits"].as_str().unwrap();
        assert!(waits.contains("MERCURY_TELEGRAM_BOT_TOKEN") && waits.contains("mercury doctor"), "{waits}");
        assert!(read(&host, ".env").ends_with(written), "{path}");
    }
    let broken = post(&host, "/api/console/restart", Value::Null).await;
    assert_eq!(refused(&broken), (409, "would_not_start"), "which changes nothing");
    assert_eq!(begun(&host), 1);
}

/// http-api.md #32
#[tokio::test(flavor = "multi_thread")]
async fn adapters_are_switched() {
    let fake = Telegram::start().await;
    let yaml = format!("# mine\nplugins:\n  telegram:\n    stand_ins:\n      api.telegram.org: \"{}\"\n", fake.url());
    let host = closed_setup().yaml(&yaml).start().await;
    let configure = |adapters: Value| {
        let host = &host;
        async move { post(host, "/api/console/adapters/configure", json!({ "adapters": adapters })).await }
    };
    let shown = || async { ask(&host, "", "GET", "/api/console/adapters", Value::Null).await.body["adapters"].clone() };
    let of = |adapters: &Value| {
        let telegram = &adapters["telegram"];
        (telegram["enabled"].clone(), telegram["credentials"]["MERCURY_TELEGRAM_BOT_TOKEN"].clone())
    };
    assert_eq!(of(&shown().await), (json!(false), json!(false)));
    let with = |name: &str, value: &str| json!({ "telegram": { "enabled": true, "env": { name: value } } });
    for (adapters, expected) in [
        (json!({}), "bad_adapters"),
        (json!({ "telegram": { "enabled": true } }), "missing_credential"),
        (with("MERCURY_TELEGRAM_BOT_TOKEN", " "), "missing_credential"),
        (json!({ "pigeon": { "enabled": true } }), "unknown_adapter"),
        (with("MERCURY_ADMINS", "api:eve"), "not_a_credential"),
        (with("MERCURY_OPENAI_API_KEY", "x"), "not_a_credential"),
        (with("MERCURY_TELEGRAM_BOT_TOKEN", "x\ny"), "bad_value"),
    ] {
        assert_eq!(refused(&configure(adapters.clone()).await), (400, expected), "{adapters}");
    }
    assert_eq!(
        (read(&host, ".env"), read(&host, "mercury.yaml")),
        (String::new(), yaml.clone()),
        "nothing was written"
    );

    let answer = configure(with("MERCURY_TELEGRAM_BOT_TOKEN", TOKEN)).await;
    assert_eq!(answer.body, json!({ "ok": true, "restarting": true }), "{:#}", answer.body);
    ready_again(&host, 2).await;
    assert_eq!(read(&host, ".env"), format!("MERCURY_ENABLE_TELEGRAM=true\nMERCURY_TELEGRAM_BOT_TOKEN={TOKEN}\n"));
    assert_eq!(read(&host, "mercury.yaml"), format!("{yaml}ingress:\n  telegram: true\n"));
    assert_eq!(of(&shown().await), (json!(true), json!(true)));
    assert!(!fake.sent("getUpdates", 1).await.is_empty(), "it is at work");

    assert_eq!(configure(json!({ "telegram": { "enabled": false } })).await.status, 200);
    ready_again(&host, 3).await;
    assert_eq!(of(&shown().await), (json!(false), json!(true)), "the token is kept");
    assert!(read(&host, "mercury.yaml").ends_with("ingress:\n  telegram: false\n"));
    // Keys of model providers come under a name that is no adapter's.
    let keys = configure(json!({ "__model_providers": { "env": { "MERCURY_XAI_API_KEY": "a-key" } } })).await;
    assert_eq!(keys.status, 200, "{:#}", keys.body);
    ready_again(&host, 4).await;
    assert!(read(&host, ".env").ends_with("MERCURY_XAI_API_KEY=a-key\n"));
}

/// A package's folder: a processor that takes secrets out of replies.
fn package(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let manifest = "name = \"tidy\"\nversion = \"1.0.0\"\ncomponent = \"tidy.wasm\"\nprovides = [\"result-processor\"]\ndescription = \"Tidies\"\n";
    std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    std::fs::copy(fixture("redact"), folder.join("tidy.wasm")).unwrap();
}

/// http-api.md 6, W1 and W17: a plugin comes in by what was agreed to, and in no other way.
#[tokio::test(flavor = "multi_thread")]
async fn plugins_come_and_go() {
    let host = closed_setup().set("MERCURY_PLUGIN_UNLOCKED_FOLDERS", "").start().await;
    let install = |body: Value| {
        let host = &host;
        async move { post(host, "/api/console/extensions/install", body).await }
    };
    let remove = |name: &'static str| {
        let host = &host;
        async move { ask(host, "", "DELETE", &format!("/api/console/extensions/{name}"), Value::Null).await }
    };
    let names = |path: &'static str| {
        let host = &host;
        async move {
            let body = ask(host, "", "GET", path, Value::Null).await.body;
            let all = body["extensions"].as_array().unwrap_or_else(|| panic!("{body:#}")).clone();
            all.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    let folder = host.folder().join("source");
    package(&folder);
    let source = folder.to_str().unwrap();
    for (body, expected) in [
        (json!({}), (400, "bad_source")),
        (json!({ "source": "/nowhere" }), (400, "bad_source")),
        (json!({ "catalogName": "nothing" }), (400, "unknown_extension")),
        (json!({ "catalogName": "telegram" }), (400, "is_an_adapter")),
    ] {
        assert_eq!(refused(&install(body.clone()).await), expected, "{body}");
    }
    let shown = install(json!({ "source": source })).await.body;
    assert_eq!((&shown["ok"], &shown["name"]), (&json!(false), &json!("tidy")));
    assert!(!shown["plugin"]["may"].as_array().unwrap().is_empty(), "what it may do is said: {shown:#}");
    let digest = &shown["plugin"]["digest"];
    let unsigned = install(json!({ "source": source, "digest": digest })).await;
    assert_eq!(refused(&unsigned), (409, "not_vouched_for"));
    let agreed = json!({ "source": source, "digest": digest, "allowUnsigned": true });
    std::fs::write(folder.join("README.md"), "something else").unwrap();
    assert_eq!(refused(&install(agreed.clone()).await), (409, "changed"), "it is not what was shown");
    std::fs::remove_file(folder.join("README.md")).unwrap();
    assert!(!names("/api/console/extensions").await.contains(&"tidy".to_owned()));
    let installed = install(agreed.clone()).await;
    assert_eq!((installed.status, &installed.body["ok"]), (200, &json!(true)), "{:#}", installed.body);
    assert!(names("/api/console/extensions").await.contains(&"tidy".to_owned()), "it is at work at once");
    assert_eq!(refused(&install(agreed).await), (409, "installed"));
    assert_eq!(remove("tidy").await.body["ok"], true);
    assert!(!names("/api/console/extensions").await.contains(&"tidy".to_owned()));
    assert_eq!(refused(&remove("tidy").await), (404, "not_installed"));
    assert_eq!(refused(&remove("permission-guard").await), (409, "by_hand"), "no guard is switched off from afar");
    // What cannot be used is not there afterwards, and one that lacks something says what.
    let manifest = std::fs::read_to_string(folder.join("plugin.toml")).unwrap();
    let lacks = "[[secrets]]\nname = \"token\"\nvariable = \"MERCURY_TIDY_TOKEN\"\n";
    for (more, expected) in [("depends = [\"nothing\"]\n", Err((409, "needed"))), (lacks, Ok("MERCURY_TIDY_TOKEN"))] {
        std::fs::write(folder.join("plugin.toml"), format!("{manifest}{more}")).unwrap();
        let digest = install(json!({ "source": source })).await.body["plugin"]["digest"].clone();
        let answer = install(json!({ "source": source, "digest": digest, "allowUnsigned": true })).await;
        match expected {
            Err(expected) => assert_eq!(refused(&answer), expected),
            Ok(reason) => {
                assert_eq!((&answer.body["ok"], &answer.body["restart"]), (&json!(true), &json!(true)));
                assert!(answer.body["waits"].as_str().unwrap().contains(reason), "{:#}", answer.body);
                assert_eq!(remove("tidy").await.body["ok"], true);
            }
        }
        assert_eq!(refused(&remove("tidy").await), (404, "not_installed"));
    }
    let in_place = manifest.replace("\"tidy\"", "\"permission-guard\"");
    std::fs::write(folder.join("plugin.toml"), in_place).unwrap();
    let digest = install(json!({ "source": source })).await.body["plugin"]["digest"].clone();
    let replaced = json!({ "source": source, "digest": digest, "allowUnsigned": true, "replace": true });
    assert_eq!(refused(&install(replaced).await), (409, "by_hand"), "nor is one put in the place of a guard");
    let needs = install(json!({ "catalogName": "web-search" })).await;
    assert_eq!(refused(&needs), (409, "needed"), "there is no web-browser");

    assert!(names("/api/console/extensions/catalog").await.contains(&"charts".to_owned()));
    let on = install(json!({ "catalogName": "charts" })).await;
    assert_eq!(on.body, json!({ "ok": true, "name": "charts", "restart": true }));
    assert_eq!(read(&host, "mercury.yaml"), "plugins:\n  charts:\n    enabled: true\n");
    assert_eq!(post(&host, "/api/console/restart", Value::Null).await.status, 200);
    ready_again(&host, 2).await;
    assert!(names("/api/console/extensions").await.contains(&"charts".to_owned()));
    assert_eq!(remove("charts").await.body, json!({ "ok": true, "restart": true }));
    assert_eq!(read(&host, "mercury.yaml"), "plugins:\n  charts:\n    enabled: false\n");
}

/// http-api.md #30 in its last part, the others being in `callers` and `matrix`: what is not there is removed
/// already, and nothing beside it goes.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_forgotten() {
    let host = closed().await;
    let purge = || post(&host, "/api/console/adapters/whatsapp/purge", Value::Null);
    assert_eq!(purge().await.body, json!({ "wiped": true, "alreadyAbsent": true }));
    let folder = host.data_dir().join("whatsapp-auth");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("creds.json"), "{}").unwrap();
    assert_eq!(purge().await.body, json!({ "wiped": true }));
    assert!(!folder.exists());
    drop(host);
    let host = closed_setup().set("MERCURY_WHATSAPP_AUTH_DIR", ".").start().await;
    let all = post(&host, "/api/console/adapters/whatsapp/purge", Value::Null).await;
    assert_eq!(refused(&all), (409, "purge_failed"));
    assert!(host.data_dir().exists());
}

/// http-api.md #11 and W20: what is set is shown, and what is no setting, or no value of one, is refused by every
/// way in.
#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked() {
    let mut host = closed_setup().set("MERCURY_ADMINS", "api:root").prepare();
    let provider = "[settings.orders]\n[settings.provider]\ntype = \"choice\"\nchoices = [\"local\", \"cloud\"]\ndefault = \"local\"\n\
        description = \"Who is asked\"\n";
    install_with(&host, "around", "\"run-hook\"", provider, &fixture("around"));
    host.start().await;
    for (caller, path, write) in [
        ("api:root", "/api/config", "/api/config"),
        ("", "/api/config?space=main", "/api/console/spaces/main/config"),
        ("", "/api/console/spaces/main/config", "/api/console/spaces/main/config"),
    ] {
        let set = |key: &'static str, value: Value| {
            let host = &host;
            async move { ask(host, caller, "PUT", write, json!({ "key": key, "value": value })).await }
        };
        for (key, value) in [
            ("context.window_size", json!("25")),
            ("context.mode", json!("clear")),
            ("ambient.enabled", json!("false")),
            ("messages.locale", json!("he")),
            ("rate_limit", json!("0")),
            ("rate_limit.member", json!("10000")),
            ("around.provider", json!("cloud")),
        ] {
            let answer = set(key, value.clone()).await;
            assert_eq!(answer.status, 200, "{write} {key}: {:#}", answer.body);
            let shown = ask(&host, caller, "GET", path, Value::Null).await.body;
            assert_eq!(shown["config"][key], value, "{path} {key}");
        }
        for (key, value, expected) in [
            ("context.window_size", json!("51"), "bad_setting"),
            ("context.window_size", json!("12abc"), "bad_setting"),
            ("context.mode", json!("sometimes"), "bad_setting"),
            ("messages.locale", json!("fr"), "bad_setting"),
            ("paused", json!("true"), "unknown_setting"),
            ("role.member.permissions", json!("stop"), "unknown_setting"),
            ("around.provider", json!("sky"), "bad_setting"),
            ("around.nothing", json!("x"), "unknown_setting"),
            ("", json!("x"), "bad_setting"),
        ] {
            assert_eq!(refused(&set(key, value).await), (400, expected), "{write} {key}");
        }
        let available = ask(&host, caller, "GET", path, Value::Null).await.body["available"].clone();
        let provider = available.as_array().unwrap().iter().find(|it| it["key"] == "around.provider");
        let provider = provider.unwrap_or_else(|| panic!("{available:#}"));
        let expected = (&json!("local"), &json!("Who is asked"));
        assert_eq!((&provider["default"], &provider["description"]), expected);
    }
    for method in ["GET", "PUT"] {
        let body = json!({ "key": "messages.locale", "value": "en" });
        let answer = ask(&host, "", method, "/api/console/spaces/nowhere/config", body).await;
        assert_eq!(refused(&answer), (404, "space_not_found"), "{method}");
    }
    assert_eq!(refused(&ask(&host, "api:ada", "GET", "/api/config", Value::Null).await), (403, "forbidden"));
}
