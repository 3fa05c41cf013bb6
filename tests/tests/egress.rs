//! What an agent reaches, by each kind of network, under both runtimes.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD};
use mercury_tests::{
    docker::{Network, gateway, require_runsc},
    full_image,
    host::{Host, Setup},
    model::{Model, Turn},
    required,
    site::Site,
};

const RUNTIMES: [&str; 2] = ["runc", "runsc"];

/// An agent that may reach one address: this machine's on the bridge.
async fn filtered(runtime: &str, image: Option<&str>, allowed: &[String]) -> Setup {
    let setup = image.map_or_else(|| Setup::scripted(runtime), |image| Setup::with_image(runtime, image));
    setup
        .set("MERCURY_AGENT_NETWORK", "filtered")
        .set("MERCURY_AGENT_EGRESS", &allowed.join(","))
        .set("MERCURY_AGENT_EGRESS_PRIVATE", &format!("{}/32", gateway("bridge").await))
}

fn get(target: &str) -> String {
    let host = target.trim_start_matches("http://").split('/').next().unwrap();
    format!("!http GET {target} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n")
}

fn connect(target: &str) -> String {
    format!("!http CONNECT {target} HTTP/1.1\\r\\nHost: {target}\\r\\nConnection: close\\r\\n\\r\\n")
}

async fn reply(host: &Host, orders: &str) -> String {
    host.ask(orders).await.reply().to_owned()
}

/// What became of each order, all of one run.
async fn each<const N: usize>(host: &Host, orders: [String; N]) -> Vec<String> {
    const NEXT: &str = "-- next --";
    let said = reply(host, &orders.join(&format!("\n!reply {NEXT}\n"))).await;
    let parts: Vec<_> = said.split(NEXT).map(str::to_owned).collect();
    assert_eq!(parts.len(), N, "{said}");
    parts
}

/// `none`: nothing is reached, by no way.
#[tokio::test(flavor = "multi_thread")]
async fn none_reaches_nothing() {
    require_runsc().await;
    let site = Site::start().await;
    let bridge = gateway("bridge").await;
    for runtime in RUNTIMES {
        let host = Setup::scripted(runtime).set("MERCURY_AGENT_NETWORK", "none").start().await;
        for target in [format!("{bridge}:{}", site.port()), format!("host.docker.internal:{}", site.port())] {
            let said = reply(&host, &format!("!connect {target}")).await;
            assert!(said.starts_with("error: "), "{runtime} {target}: {said}");
        }
        assert_eq!(reply(&host, "!env HTTP_PROXY").await, "(unset)");
    }
    assert!(site.seen().is_empty());
}

/// `filtered`: the listed address by plain HTTP and by CONNECT, others refused with the reason, and
/// no way around the proxy.
#[tokio::test(flavor = "multi_thread")]
async fn filtered_reaches_what_is_listed() {
    require_runsc().await;
    let site = Site::start().await;
    let allowed = format!("{}:{}", gateway("bridge").await, site.port());
    for runtime in RUNTIMES {
        let host = filtered(runtime, None, std::slice::from_ref(&allowed)).await.start().await;
        let said = reply(&host, &get(&format!("http://{allowed}/plain"))).await;
        assert!(said.contains("200 OK") && said.contains("was asked GET /plain"), "{runtime}: {said}");
        let tunnel = format!(
            "!http CONNECT {allowed} HTTP/1.1\\r\\n\\r\\nGET /tunnel HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n"
        );
        let said = reply(&host, &tunnel).await;
        assert!(said.contains("was asked GET /tunnel"), "{runtime}: {said}");

        let said = reply(&host, &format!("!connect {allowed}")).await;
        assert!(said.starts_with("error: "), "directly: {runtime}: {said}");
        let port = site.port();
        let refused = [
            (connect("other.example:443"), "egress_not_listed"),
            (get("http://other.example/?token=hidden-query"), "egress_not_listed"),
            (connect(&format!("127.0.0.1:{port}")), "egress_not_listed"),
            (get("http://localhost/api/whoami"), "egress_not_listed"),
            (connect(&format!("2130706433:{port}")), "egress_malformed"),
            (connect(&format!("user@{allowed}")), "egress_malformed"),
            (get("https://other.example/"), "egress_scheme"),
        ];
        for (said, (order, code)) in each(&host, refused.clone().map(|(order, _)| order)).await.iter().zip(refused) {
            assert!(said.contains("403 ") && said.contains(code), "{runtime} {order}: {said}");
        }
        let log = host.log();
        assert!(log.contains("egress refused") && log.contains("other.example:443"), "{log}");
        assert!(!log.contains("hidden-query"), "no query in the log");
        assert!(log.contains("egress of the run"), "what a run carried is summed up");
    }
    let seen = site.seen();
    assert_eq!(seen, ["GET /plain", "GET /tunnel", "GET /plain", "GET /tunnel"]);
}

/// A listed host whose address is not public is refused until the operator opens its network.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_needs_a_word_of_its_own() {
    let site = Site::start().await;
    let target = format!("{}:{}", gateway("bridge").await, site.port());
    let host = filtered("runc", None, &["*".into(), format!("*:{}", site.port())])
        .await
        .set("MERCURY_AGENT_EGRESS_PRIVATE", "")
        .start()
        .await;
    let orders = [
        get(&format!("http://{target}/")),
        // The machine's own names and services, by whatever name they are called.
        connect(&format!("localhost:{}", site.port())),
        connect(&format!("127.0.0.1:{}", site.port())),
        get("http://169.254.169.254/latest/meta-data/"),
    ];
    for said in each(&host, orders).await {
        assert!(said.contains("403 ") && said.contains("egress_address"), "{said}");
        assert!(said.contains("MERCURY_AGENT_EGRESS_PRIVATE"), "{said}");
    }
    assert!(site.seen().is_empty());
}

/// `open`: runc in a network that the operator made (container.md #3), runsc on the bridge (#4).
#[tokio::test(flavor = "multi_thread")]
async fn open_reaches_its_network() {
    require_runsc().await;
    let site = Site::start().await;
    let network = Network::create();
    for runtime in RUNTIMES {
        let host = Setup::scripted(runtime).set("MERCURY_CONTAINER_NETWORK", &network.name).start().await;
        let near = if runtime == "runc" { gateway(&network.name).await } else { "host.docker.internal".into() };
        let said = reply(&host, &format!("!connect {near}:{}", site.port())).await;
        assert_eq!(said, "connected", "{runtime}");
        assert_eq!(reply(&host, "!env HTTPS_PROXY").await, "(unset)");
        if runtime == "runsc" {
            assert!(host.log().contains("is ignored under runsc"), "the operator is told");
        }
    }
}

fn install_rules(host: &Host) {
    let binary = PathBuf::from(required("MERCURY_BIN"));
    let wasm = binary.ancestors().nth(2).unwrap().join("carried/wasm32-wasip2/release/egress_rules.wasm");
    let folder = host.data_dir().join("plugins/rules");
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = "name = \"rules\"\nversion = \"0.1.0\"\ncomponent = \"rules.wasm\"\nprovides = [\"egress-guard\"]\n\
                    [settings]\ndeny = {}\nopen = {}\nread-only = {}\nask = {}\n";
    std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    std::fs::copy(wasm, folder.join("rules.wasm")).unwrap();
}

/// A guard may close what is listed; it opens more only where the operator let it.
#[tokio::test(flavor = "multi_thread")]
async fn guards_decide_after_the_list() {
    let site = Site::start().await;
    let port = site.port();
    // Every address of the loopback leads to the site, so each can have a rule of its own.
    let settings = "deny: 127.0.0.2\n      open: 127.0.0.3\n      read-only: 127.0.0.4\n      ask: 127.0.0.5\n";
    let listed = [2, 4, 5, 6].map(|n| format!("127.0.0.{n}:{port}"));
    let prepare = |opener: &str| {
        let host = Setup::scripted("runc")
            .set("MERCURY_AGENT_NETWORK", "filtered")
            .set("MERCURY_AGENT_EGRESS", &listed.join(","))
            .set("MERCURY_AGENT_EGRESS_PRIVATE", "127.0.0.0/8")
            .set("MERCURY_AGENT_EGRESS_PLUGINS", opener)
            .yaml(&format!("plugins:\n  rules:\n    settings:\n      {settings}"))
            .prepare();
        install_rules(&host);
        host
    };
    let at = |n: u8| get(&format!("http://127.0.0.{n}:{port}/x"));
    let post = at(4).replace("GET", "POST").replace("Connection", "Content-Length: 0\\r\\nConnection");
    let mut host = prepare("rules");
    host.start().await;
    let expected = [
        (at(2), "127.0.0.2 is closed to member"),
        (at(3), "was asked GET /x"),
        (at(4), "was asked GET /x"),
        (post, "127.0.0.4/x may only be read"),
        (at(5), "wants somebody's approval"),
        (at(6), "was asked GET /x"),
        (at(7), "127.0.0.7 is neither listed nor open"),
    ];
    for (said, (order, expected)) in each(&host, expected.clone().map(|(order, _)| order)).await.iter().zip(expected) {
        assert!(said.contains(expected), "{order}: {said}");
    }
    let mut host = prepare("");
    host.start().await;
    let said = each(&host, [at(3), at(6)]).await;
    assert!(said[0].contains("egress_not_listed") && said[1].contains("was asked GET /x"), "{said:?}");
    assert_eq!(site.seen().len(), 4);
}

/// The real agent and its tools, through the proxy.
async fn real_pi_filtered(runtime: &str) {
    let site = Site::start().await;
    let bridge = gateway("bridge").await;
    let allowed = format!("{bridge}:{}", site.port());
    let tools = format!(
        "exec > outbox/seen.txt 2>&1\n\
         echo plain; curl -sS http://{allowed}/curl\n\
         echo tunnel; curl -sS -p http://{allowed}/curl-tunnel\n\
         echo python; python3 -c 'import urllib.request as u; print(u.urlopen(\"http://{allowed}/python\").read())'\n\
         echo node; node -e 'fetch(\"http://{allowed}/node\").then(r => r.text()).then(console.log)'\n\
         echo git; git ls-remote http://{allowed}/git\n\
         echo refused; curl -sS -o /dev/null -w '%{{http_code}}\\n' http://other.example/\n\
         echo https; curl -sS https://other.example/\n\
         echo pip; python3 -c 'import urllib.request as u; u.urlopen(\"https://other.example/\")' 2>&1 | tail -n 1\n\
         echo direct; curl -sS -m 5 --noproxy '*' http://{allowed}/direct || echo unreachable\n"
    );
    let model = Model::start([Turn::Bash(tools), Turn::Text("Looked around.".into())]).await;
    let at_bridge = model.url().replace("host.docker.internal", &bridge);
    let model_host = at_bridge.trim_start_matches("http://").to_owned();
    let host = filtered(runtime, Some(&full_image()), &[allowed, model_host])
        .await
        .set("MERCURY_MODEL_ENDPOINTS", &format!("{{\"anthropic\":\"{at_bridge}\"}}"))
        .start()
        .await;
    let answer = host.ask("Look around").await;
    assert_eq!(answer.reply(), "Looked around.", "{:#}", answer.body);
    assert!(model.requests()[0].to_string().contains("Your network is filtered"), "the agent knows");
    let file = &answer.body["files"][0];
    assert_eq!(file["filename"], "seen.txt");
    let seen = String::from_utf8(STANDARD.decode(file["data"].as_str().unwrap()).unwrap()).unwrap();
    let asked = site.seen();
    for path in ["/curl", "/curl-tunnel", "/python", "/node", "/git/info/refs?service=git-upload-pack"] {
        assert!(asked.iter().any(|line| *line == format!("GET {path}")), "{path} in {asked:?}\n{seen}");
    }
    assert!(!asked.iter().any(|line| line.contains("direct")), "{asked:?}");
    let after = |label: &str| seen.split(&format!("{label}\n")).nth(1).unwrap_or_default().to_owned();
    assert!(after("refused").starts_with("403"), "{seen}");
    assert!(after("https").starts_with("curl:") && after("https").contains("403"), "{seen}");
    assert!(after("pip").contains("is not among the hosts"), "the reason is where Python shows it: {seen}");
    assert!(after("direct").contains("unreachable"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_agent_filtered_under_runc() {
    real_pi_filtered("runc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_agent_filtered_under_runsc() {
    require_runsc().await;
    real_pi_filtered("runsc").await;
}

/// The real agent answers without any network: its model is served by the host.
#[tokio::test(flavor = "multi_thread")]
async fn the_real_agent_without_network() {
    require_runsc().await;
    for runtime in RUNTIMES {
        let host = Setup::with_image(runtime, &full_image())
            .set("MERCURY_ANTHROPIC_API_KEY", "")
            .set("MERCURY_AGENT_NETWORK", "none")
            .prepare();
        let mut command = host.command(&["demo"]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains("\"callerId\": \"cli:user\""), "{runtime}: {out}{err}");
    }
}
