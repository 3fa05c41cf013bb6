//! What a container holds and what it does not, and how many there are.
#![allow(clippy::unwrap_used)]

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use mercury_tests::{
    docker::{CANARY, inspect_all, require_runsc},
    host::{Host, Setup},
    proxy::Proxy,
};
use serde_json::{Value, json};

/// The container of a run that lasts as long as the test: nobody waits for its end.
async fn running_container(host: &Host) -> Value {
    host.send("!sleep 600000", "main", "1");
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "running").await;
    let run: String = host.query("SELECT id FROM runs ORDER BY id DESC LIMIT 1").unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let all = inspect_all(&host.instance()).await;
        let of_run = |found: &Value| found["Config"]["Labels"]["mercury.run"] == run.as_str();
        if let Some(found) = all.into_iter().find(|found| found["State"]["Running"] == true && of_run(found)) {
            return found;
        }
        assert!(Instant::now() < until, "no container runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the agent's side of the one run that is at work has taken what the host left for it: Docker says that
/// a container runs before its first instruction does.
async fn taken(host: &Host) {
    let io = host.data_dir().join("io");
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let runs: Vec<_> = std::fs::read_dir(&io).unwrap().map(|run| run.unwrap().path()).collect();
        // The folder of a run that is just over may go away meanwhile.
        let left = runs.first().and_then(|run| std::fs::read_dir(run).ok()).map(Iterator::count);
        if runs.len() == 1 && left == Some(0) {
            return;
        }
        assert!(Instant::now() < until, "entry deleted request and credentials: {runs:?}, {left:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The files in the folder that hold `text`. It is in no argument: other tests look for it there.
fn files_with(text: &str, folder: &Path) -> String {
    let mut grep = Command::new("grep");
    grep.args(["-rl", "-D", "skip", "-f", "-"]).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut grep = grep.spawn().unwrap();
    grep.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8_lossy(&grep.wait_with_output().unwrap().stdout).into_owned()
}

/// container.md #73 #62 #63: the hardening as the engine has it, under both runtimes.
#[tokio::test(flavor = "multi_thread")]
async fn containers_are_hardened() {
    require_runsc().await;
    for runtime in ["runc", "runsc"] {
        let host = Setup::scripted(runtime)
            .set("MERCURY_CONSOLE_URL", "https://console.invalid")
            .set("MERCURY_PATH", "/evil")
            .start()
            .await;
        let found = running_container(&host).await;
        let config = &found["HostConfig"];
        assert_eq!(config["Runtime"], runtime);
        assert_eq!(config["CapDrop"], json!(["ALL"]));
        assert_eq!(config["SecurityOpt"], json!(["no-new-privileges"]));
        assert_eq!((&config["Privileged"], &config["ReadonlyRootfs"]), (&json!(false), &json!(true)));
        assert_eq!(
            (&config["Memory"], &config["NanoCpus"], &config["PidsLimit"]),
            (&json!(2_147_483_648_u64), &json!(2_000_000_000_u64), &json!(512))
        );
        assert_eq!((&config["NetworkMode"], &found["Config"]["User"]), (&json!("bridge"), &json!("1000:1000")));
        let environment = found["Config"]["Env"].to_string();
        assert!(!environment.contains("CONSOLE") && !environment.contains("/evil"), "{environment}");
    }
}

/// Where credentials go into the container: a canary is in no request, no inspect output, no argument, no log and no file that
/// outlives the agent's start.
#[tokio::test(flavor = "multi_thread")]
async fn the_credential_is_nowhere_to_be_seen() {
    let host = Setup::scripted("runc").set("MERCURY_AGENT_CREDENTIALS", "env").start().await;
    let found = running_container(&host).await;
    assert!(!found.to_string().contains(CANARY), "docker inspect");
    taken(&host).await;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&arguments).contains(CANARY), "{}", entry.path().display());
    }
    assert_eq!(files_with(CANARY, host.folder()), "", "files that hold the canary");
    assert!(!host.log().contains(CANARY));
}

/// container.md #11 #64 (the socket in the place of a secret and a token): what the agent finds is its identity by the socket, no secret of the host's API, no other space.
#[tokio::test(flavor = "multi_thread")]
async fn the_socket_says_who_calls() {
    require_runsc().await;
    for runtime in ["runc", "runsc"] {
        let host = Setup::scripted(runtime).set("MERCURY_API_SECRET", "host-api-canary").start().await;
        host.create_space("team");
        let message = json!({ "text": "!whoami\n!env API_SECRET\n!env CALLER_TOKEN\n!ls /spaces\n!ls /run/mercury", "callerId": "api:ada", "spaceId": "team" });
        let answer = host.chat(message).await;
        let reply = answer.reply();
        assert!(reply.contains("\"callerId\": \"api:ada\"") && reply.contains("\"spaceId\": \"team\""), "{reply}");
        assert_eq!(reply.matches("(unset)").count(), 2, "{reply}");
        assert!(reply.contains("team") && !reply.contains("main"), "only its own space: {reply}");
    }
}

/// 20 messages to 5 spaces at once: all answered, each space in order, never more than the limit.
#[tokio::test(flavor = "multi_thread")]
async fn the_concurrency_limit_holds() {
    let host = Setup::scripted("runc").set("MERCURY_MAX_CONCURRENCY", "3").start().await;
    let spaces = ["a", "b", "c", "d", "e"];
    for space in spaces {
        host.create_space(space);
    }
    for n in 0..20 {
        host.send(&format!("!sleep 100\n!reply {n}"), spaces[n % 5], &n.to_string());
    }
    let until = Instant::now() + Duration::from_secs(120);
    let mut most = 0;
    loop {
        let active: i64 = host.query("SELECT count(*) FROM runs WHERE state IN ('preparing', 'running')").unwrap();
        most = most.max(active);
        let doubled: i64 = host
            .query("SELECT count(*) FROM (SELECT space FROM runs WHERE state IN ('preparing', 'running') GROUP BY space HAVING count(*) > 1)")
            .unwrap();
        assert_eq!(doubled, 0, "one run at a time in a space");
        if host.query::<i64>("SELECT count(*) FROM outbound") == Some(20) {
            break;
        }
        assert!(Instant::now() < until, "not all were answered; the log:\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(most, 3, "the limit is used and held");
    for n in 0..20 {
        let answer = host.chat(json!({ "text": "again", "spaceId": spaces[n % 5], "messageId": n.to_string() })).await;
        assert_eq!(answer.reply(), n.to_string());
    }
    assert_eq!(host.query::<i64>("SELECT count(*) FROM runs"), Some(20), "asking again ran nothing");
}

/// A proxy that carries no stream of events: exits and results are noticed all the same.
#[tokio::test(flavor = "multi_thread")]
async fn events_are_not_needed() {
    let proxy = Proxy::start().await;
    proxy.hold("/events");
    let host = Setup::scripted("runc").set("MERCURY_DOCKER_HOST", &proxy.host()).start().await;
    assert_eq!(host.ask("!reply without events").await.reply(), "without events");
}

/// `mercury doctor` proves both runtimes by a container.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_proves_the_runtimes() {
    require_runsc().await;
    let host = Setup::scripted("runsc").prepare();
    let mut command = host.command(&["doctor", "--json"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let runtimes: Vec<_> =
        findings.as_array().unwrap().iter().filter(|finding| finding["section"] == "Runtime").collect();
    assert_eq!(runtimes.len(), 2);
    for finding in &runtimes {
        assert_eq!(finding["grade"], "pass", "{finding}");
    }
    assert!(runtimes[1]["text"].as_str().unwrap().contains("kernel of its own"));
    assert!(output.status.success(), "{findings:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_how_to_mend() {
    let mut host = Setup::scripted("runc")
        .set("MERCURY_DOCKER_HOST", "unix:///nonexistent.sock")
        .set("MERCURY_ANTHROPIC_API_KEY", "")
        .set("MERCURY_ENABLE_TELEGRAM", "true")
        .prepare();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    host.set("MERCURY_PORT", &taken.local_addr().unwrap().port().to_string());
    let mut command = host.command(&["doctor"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    let parts = [
        "MERCURY_ANTHROPIC_API_KEY",
        "systemctl start docker",
        "MERCURY_TELEGRAM_BOT_TOKEN is not set",
        "server.port / MERCURY_PORT",
        "4 errors",
    ];
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

/// What a start would only warn of is said before it: a guard with a name or a setting that nobody reads guards nothing.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_knows_what_nobody_reads() {
    let yaml = "plugins:\n  permision-guard:\n    settings: { ask-before: rm }\n  permission-guard:\n    settings: { ask-befor: rm }\n  web-search:\n    enabled: true\n";
    let host = Setup::scripted("runc").yaml(yaml).prepare();
    let mut command = host.command(&["doctor"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for part in [
        "plugins.permision-guard of the configuration belongs to no plugin that is here; the nearest is `permission-guard`",
        "permission-guard has no setting ask-befor, which is set for it; the nearest is `ask-before`",
        "web-search needs the plugin web-browser, which is not in use",
    ] {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

/// A value of a guard that it would not read stops the start, with what it may be.
#[tokio::test(flavor = "multi_thread")]
async fn a_guards_values_are_checked() {
    let yaml = "plugins:\n  permission-guard:\n    settings: { ask-timeout-s: \"5\" }\n";
    let mut host = Setup::scripted("runc").yaml(yaml).prepare();
    host.spawn();
    assert_ne!(host.ended().await, Some(0));
    let log = host.log();
    assert!(log.contains("plugins.permission-guard.settings.ask-timeout-s: `5` is not between 10 and 86400"), "{log}");
}

/// A mistyped folder is no project, and does not become one.
#[test]
fn a_folder_that_is_not_there_is_named() {
    let host = Setup::scripted("runc").prepare();
    let output = host.command(&["--project", "typo", "spaces", "list"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("there is no folder typo"), "{text}");
    assert!(!host.folder().join("typo").exists());
}

/// What an agent left running ends with its answer, and writes into nobody else's reply.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_late_is_not_the_next_ones() {
    let host = Setup::scripted("runc").start().await;
    let late = "!write-later 800 outbox/late.txt secret\n!reply A done";
    let first = host.chat(json!({ "text": late, "callerId": "api:alice" })).await;
    assert!(first.reply().ends_with("A done"), "{}", first.reply());
    let second = host.chat(json!({ "text": "!sleep 1500\n!reply B done", "callerId": "api:bob" })).await;
    assert_eq!(second.reply(), "B done");
    assert!(second.body["files"].as_array().unwrap().is_empty(), "{:#}", second.body);
}

/// Ten people upload a file of one name at once: all are kept, each in its own place.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_one_name_do_not_meet() {
    let host = Setup::scripted("runc").set("MERCURY_MAX_CONCURRENCY", "8").start().await;
    let asks = (0..10).map(|n| {
        let message = json!({ "text": "!reply ok", "callerId": format!("api:{n}"), "files": [{ "name": "photo.jpg", "data": "eA==" }] });
        host.chat(message)
    });
    for answer in futures_util::future::join_all(asks).await {
        assert_eq!(answer.reply(), "ok");
    }
    let inbox = host.data_dir().join("spaces/main/inbox");
    assert_eq!(std::fs::read_dir(inbox).unwrap().count(), 10);
}

/// A web page that points a browser at the host is refused, and so is a rebound name.
#[tokio::test(flavor = "multi_thread")]
async fn web_pages_cannot_ask() {
    let host = Setup::scripted("runc").start().await;
    for headers in [[("origin", "https://evil.example")], [("host", "evil.example")]] {
        let answer = host.request("POST", "/chat", &headers, r#"{"text":"!reply x"}"#.into()).await.unwrap();
        assert_eq!((answer.status, answer.code()), (403, "foreign_origin"));
    }
    assert_eq!(host.query::<i64>("SELECT count(*) FROM inbound"), Some(0));
}

/// A host that stands by ends when it is told to.
#[tokio::test(flavor = "multi_thread")]
async fn standing_by_can_be_interrupted() {
    let first = Setup::scripted("runc").start().await;
    let mut second = first.start_second().await;
    rustix::process::kill_process(rustix::process::Pid::from_child(&second), rustix::process::Signal::TERM).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        if let Some(status) = second.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    second.kill().unwrap();
    panic!("it did not end");
}

/// container.md #13 #15 #16 #62 #63 #65: what passes to the agent, by the file that `entry` deletes; it
/// is neither in the create request nor in any other file.
#[tokio::test(flavor = "multi_thread")]
async fn variables_pass_by_declaration() {
    for (mode, listed, expected) in
        [("", "", "(unset)"), ("claimed", "BILLING_KEY", "billing-canary"), ("all", "", "billing-canary")]
    {
        let host = Setup::scripted("runc")
            .set("MERCURY_CONTAINER_ENV_PASSTHROUGH", mode)
            .set("MERCURY_AGENT_ENV_ALLOW", listed)
            .set("MERCURY_BILLING_KEY", "billing-canary")
            .set("MERCURY_CONSOLE_INTERNAL_SECRET", "console-canary")
            .set("MERCURY_TELEGRAM_BOT_TOKEN", "telegram-canary")
            .set("MERCURY_CALLER_ID", "api:root")
            // The reply names it, and would be in the next request's history.
            .set("MERCURY_CONTEXT_MODE", "clear")
            .start()
            .await;
        let orders = "!env BILLING_KEY\n!env CONSOLE_INTERNAL_SECRET\n!env TELEGRAM_BOT_TOKEN\n!env MERCURY_BILLING_KEY\n!env CALLER_ID";
        let answer = host.ask(orders).await;
        assert_eq!(answer.reply(), format!("{expected}\n(unset)\n(unset)\n(unset)\napi:anonymous"), "mode `{mode}`");
        assert_eq!(host.log().contains("BILLING_KEY"), listed.is_empty(), "the line at start: {}", host.log());
        let found = running_container(&host).await.to_string();
        assert!(!found.contains("canary"), "docker inspect");
        taken(&host).await;
        let held = files_with("billing-canary", &host.data_dir());
        assert!(!held.contains("/io/"), "{held}");
    }
}

/// container.md #5 #6 (as architecture.md has it): with bubblewrap the container stays unprivileged,
/// and what the engine was told is enough for a `bwrap` in it; under runsc nothing changes.
#[tokio::test(flavor = "multi_thread")]
async fn bubblewrap_by_opt_in() {
    require_runsc().await;
    for name in ["MERCURY_AGENT_BUBBLEWRAP", "MERCURY_CONTAINER_BWRAP_DOCKER_COMPAT"] {
        let host = Setup::scripted("runc").set(name, "true").set("MERCURY_DISABLE_BUBBLEWRAP", "1").start().await;
        let found = running_container(&host).await;
        let config = &found["HostConfig"];
        assert_eq!(
            (&config["Privileged"], &config["CapDrop"], &config["CapAdd"]),
            (&json!(false), &json!(["ALL"]), &Value::Null)
        );
        assert!(found["Config"]["Env"].to_string().contains("CONTAINER_BUBBLEWRAP=1"));
        let options: Vec<&str> =
            config["SecurityOpt"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        let (filter, rest) = options.split_last().unwrap();
        assert_eq!(rest, ["no-new-privileges"]);
        let file = host.folder().join("filter.json");
        std::fs::write(&file, filter.strip_prefix("seccomp=").unwrap()).unwrap();
        let image = mercury_tests::full_image();
        let seccomp = format!("seccomp={}", file.display());
        let bwrap = "bwrap --unshare-all --die-with-parent --ro-bind / / --ro-bind /proc /proc --dev /dev --tmpfs /tmp sh -c 'id -u; mount -t tmpfs x /tmp 2>&1 | head -c 6'";
        let run = |seccomp: Option<&str>| {
            let mut command = Command::new("docker");
            command.args([
                "run",
                "--rm",
                "--network",
                "none",
                "--cap-drop",
                "ALL",
                "--user",
                "1000:1000",
                "--read-only",
            ]);
            command.args(["--security-opt", "no-new-privileges"]);
            command.args(seccomp.into_iter().flat_map(|filter| ["--security-opt", filter]));
            let output = command.args([&image, "sh", "-c", bwrap]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        assert_eq!(run(Some(&seccomp)), "1000\nmount:", "bubblewrap works, and gives no more right to mount");
        assert_eq!(run(None), "", "Docker's own profile refuses it: the opt-in is needed");
    }
    let host = Setup::scripted("runsc").set("MERCURY_AGENT_BUBBLEWRAP", "true").start().await;
    let found = running_container(&host).await;
    assert_eq!(found["HostConfig"]["SecurityOpt"], json!(["no-new-privileges"]));
    assert!(!found["Config"]["Env"].to_string().contains("BUBBLEWRAP"));
    assert!(host.log().contains("ignored under runsc"));
}

/// container.md #9 #10: of the global folder only what is on the list and there, each read-only; with
/// another path where the daemon sees the data elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn global_resources_are_mounted_by_name() {
    let mut host = Setup::scripted("runc").prepare();
    let global = host.data_dir().join("global");
    for folder in [".pi", "skills"] {
        std::fs::create_dir_all(global.join(folder)).unwrap();
    }
    for file in ["AGENTS.md", "auth.json", "auth.json.4321.tmp", "secrets.env"] {
        std::fs::write(global.join(file), "x").unwrap();
    }
    // The same folder by another name.
    let elsewhere = host.folder().join("elsewhere");
    std::os::unix::fs::symlink(host.data_dir(), &elsewhere).unwrap();
    host.set("MERCURY_HOST_DATA_DIR", &elsewhere.display().to_string());
    host.start().await;
    let found = running_container(&host).await;
    let binds: Vec<&str> =
        found["HostConfig"]["Binds"].as_array().unwrap().iter().map(|bind| bind.as_str().unwrap()).collect();
    let of_global: Vec<&&str> = binds.iter().filter(|bind| bind.contains("/global/")).collect();
    assert_eq!(of_global.len(), 3, "{binds:?}");
    for bind in of_global {
        assert!(bind.ends_with(":ro") && bind.starts_with(&format!("{}/global/", elsewhere.display())), "{bind}");
        assert!(!bind.contains("auth.json") && !bind.contains("secrets"), "{bind}");
    }
}

/// A host that is to use gVisor proves it by a container before anybody asks, or says that it cannot.
#[tokio::test(flavor = "multi_thread")]
async fn gvisor_is_proved_at_start() {
    require_runsc().await;
    let said = async |host: &Host, words: &str| {
        let until = Instant::now() + Duration::from_secs(60);
        while !host.log().contains(words) {
            assert!(Instant::now() < until, "`{words}` is not in the log:\n{}", host.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let host = Setup::scripted("runsc").start().await;
    said(&host, "runsc is proved").await;
    let proxy = Proxy::start().await;
    proxy.refuse("/containers/create", 400, "Unknown runtime specified runsc");
    let host = Setup::scripted("runsc").set("MERCURY_DOCKER_HOST", &proxy.host()).start().await;
    said(&host, "runc is never used in its place").await;
}
