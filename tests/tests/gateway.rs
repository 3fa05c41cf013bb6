//! The host asks the models on behalf of the agents: with the credential that no container has,
//! within the operator's limits, and with an account of every call.
#![allow(clippy::unwrap_used)]

use std::{
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use http_body_util::BodyExt;
use mercury_tests::{
    agent,
    docker::{CANARY, inspect_all, require_runsc},
    full_image,
    host::{Answer, Host, Setup},
    model::{Model, Turn},
    openai::OpenAi,
};
use serde_json::{Value, json};

const MESSAGES: &str = "/model/anthropic/v1/messages";

fn endpoints(provider: &str, url: &str) -> String {
    json!({ provider: url }).to_string()
}

fn real(runtime: &str, model: &Model) -> Setup {
    Setup::with_image(runtime, &full_image())
        .set("MERCURY_MODEL_ENDPOINTS", &endpoints("anthropic", &model.local_url()))
        .set("MERCURY_AGENT_NETWORK", "none")
}

/// The scripted agent, with a socket and nothing else.
fn scripted(model: &Model) -> Setup {
    Setup::scripted("runc")
        .set("MERCURY_MODEL_ENDPOINTS", &endpoints("anthropic", &model.local_url()))
        .set("MERCURY_AGENT_NETWORK", "none")
}

/// The same message again, for the answer of a run that was started by `send`.
async fn answer_of(host: &Host, text: &str, id: &str) -> Answer {
    host.chat(json!({ "text": text, "spaceId": "main", "messageId": id })).await
}

/// A run that is at work for as long as the test likes, whose socket the test uses as its agent would.
async fn held_open(setup: Setup) -> (Host, std::path::PathBuf) {
    let host = setup.start().await;
    let socket = another(&host, "1", "api:ada", "main").await;
    (host, socket)
}

async fn another(host: &Host, id: &str, caller: &str, space: &str) -> std::path::PathBuf {
    let message = json!({ "text": "!sleep 60000", "callerId": caller, "spaceId": space, "messageId": id });
    let before: i64 = host.query("SELECT count(*) FROM runs").unwrap();
    host.send_message(&message);
    host.until("SELECT CAST(count(*) AS TEXT) FROM runs", &(before + 1).to_string()).await;
    agent::socket(host).await
}

fn ask(model: &str) -> Value {
    json!({ "model": model, "max_tokens": 100, "stream": true, "messages": [{ "role": "user", "content": "hi" }] })
}

const ROWS: &str = "SELECT group_concat(provider || ' ' || state || ' ' || input || ' ' || output || ' ' || coalesce(micro_usd, 'unknown'), '; ') FROM spending";

fn rows(host: &Host) -> String {
    host.query(ROWS).unwrap_or_default()
}

/// Looks for the canary wherever the agent can read. The pattern does not match itself.
fn search() -> String {
    let pattern = format!("{}[{}]", &CANARY[..CANARY.len() - 1], &CANARY[CANARY.len() - 1..]);
    format!(
        "printf decoy-%s 4711 > /tmp/decoy; env | grep -c ^HOME=; \
         cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' > /tmp/seen; \
         grep -c API_SOCKET= /tmp/seen; \
         grep -rlsD skip -e '{pattern}' -e 'decoy-471[1]' /tmp /home /run /spaces /var /etc /opt/mercury; \
         ls -a /run/mercury-io; ls /sys/class/net; echo searched"
    )
}

async fn no_credential_in_the_container(runtime: &str) {
    let model = Model::start([Turn::Bash(search()), Turn::Held("All clear.".into())]).await;
    // No guard: what is not there needs none.
    let host = real(runtime, &model).yaml("plugins:\n  permission-guard:\n    enabled: false\n").start().await;
    host.send("Search.", "main", "1");
    let until = Instant::now() + Duration::from_secs(120);
    while model.requests().len() < 2 {
        assert!(Instant::now() < until, "the agent did not come back; the log:\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The agent waits for the end of its answer: what is there now was there all along.
    let containers = inspect_all(&host.instance()).await;
    assert_eq!(containers.len(), 1);
    assert_eq!(containers[0]["HostConfig"]["NetworkMode"], "none");
    assert!(!containers[0].to_string().contains(CANARY), "docker inspect");
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&arguments).contains(CANARY), "{}", entry.path().display());
    }
    // It is in no argument of this search either: another test may look for it there.
    let mut search = Command::new("grep");
    search.args(["-rl", "-D", "skip", "-f", "-"]).arg(host.folder()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut search = search.spawn().unwrap();
    search.stdin.take().unwrap().write_all(CANARY.as_bytes()).unwrap();
    let held = search.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&held.stdout), "", "files that hold the canary");
    model.release();
    assert_eq!(answer_of(&host, "Search.", "1").await.reply(), "All clear.");

    let told = model.requests()[1]["messages"].to_string();
    assert!(told.contains("/tmp/decoy") && told.contains("searched"), "the search works: {told}");
    assert!(!told.contains("input.json") && !told.contains("credentials.json"), "{told}");
    assert!(!told.contains("eth0"), "there is no network: {told}");
    for place in ["/tmp/seen", "/home", "/run", "/spaces", "/var", "/etc", "/opt"] {
        assert!(!told.contains(&format!("\\n{place}")), "{place} holds it: {told}");
    }
    assert!(!told.contains(CANARY), "{told}");
    assert!(model.keys().iter().all(|key| key == CANARY) && model.keys().len() == 2, "the host put it in");
    assert!(!host.log().contains(CANARY), "the log at debug level");
}

/// container.md W5, W15; agent-entry.md E15: no credential in the environment, the arguments, the
/// files or the create request, and no network either.
#[tokio::test(flavor = "multi_thread")]
async fn no_credential_in_the_container_under_runc() {
    no_credential_in_the_container("runc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_in_the_container_under_runsc() {
    require_runsc().await;
    no_credential_in_the_container("runsc").await;
}

/// agent-entry.md E8: every call is counted by the host, and what the agent says of it is not used.
#[tokio::test(flavor = "multi_thread")]
async fn real_pi_with_an_openai_compatible_provider() {
    let model = OpenAi::start([Turn::Bash("echo tool".into()), Turn::Text("Done by groq.".into())]).await;
    let host = Setup::with_image("runc", &full_image())
        .set("MERCURY_ANTHROPIC_API_KEY", "")
        .set("MERCURY_GROQ_API_KEY", CANARY)
        .set("MERCURY_MODEL_PROVIDER", "groq")
        .set("MERCURY_MODEL", "llama-3.3-70b-versatile")
        .set("MERCURY_MODEL_ENDPOINTS", &endpoints("groq", &model.url()))
        .set("MERCURY_AGENT_NETWORK", "none")
        .start()
        .await;
    let answer = host.ask("hello").await;
    assert_eq!(answer.reply(), "Done by groq.", "{:#}\n{}", answer.body, host.log());
    assert!(model.keys().iter().all(|key| *key == format!("Bearer {CANARY}")), "{:?}", model.keys());
    assert_eq!(model.requests()[0]["model"], "llama-3.3-70b-versatile");
    // 60 tokens at 0.59, 10 at 0.79 and 40 of the cache at nothing, per million.
    host.until(ROWS, "groq complete 60 10 44; groq complete 60 10 44").await;
    let result: String = host.query("SELECT result FROM runs").unwrap();
    let usage = &serde_json::from_str::<Value>(&result).unwrap()["usage"];
    assert_eq!(
        (&usage["inputTokens"], &usage["outputTokens"], &usage["cost"]),
        (&json!(120), &json!(20), &json!(0.000_088))
    );
}

/// OpenAI itself, which pi asks by another API.
#[tokio::test(flavor = "multi_thread")]
async fn real_pi_with_openai_responses() {
    let model = OpenAi::start([Turn::Bash("echo tool".into()), Turn::Text("Done by openai.".into())]).await;
    let host = Setup::with_image("runc", &full_image())
        .set("MERCURY_ANTHROPIC_API_KEY", "")
        .set("MERCURY_OPENAI_API_KEY", CANARY)
        .set("MERCURY_MODEL_PROVIDER", "openai")
        .set("MERCURY_MODEL", "gpt-5.4")
        .set("MERCURY_MODEL_ENDPOINTS", &endpoints("openai", &model.url()))
        .set("MERCURY_AGENT_NETWORK", "none")
        .start()
        .await;
    let answer = host.ask("hello").await;
    assert_eq!(answer.reply(), "Done by openai.", "{:#}\n{}", answer.body, host.log());
    assert!(model.keys().iter().all(|key| *key == format!("Bearer {CANARY}")), "{:?}", model.keys());
    let counted =
        "SELECT group_concat(state || ' ' || input || ' ' || output || ' ' || cache_read, '; ') FROM spending";
    host.until(counted, "complete 60 10 40; complete 60 10 40").await;
    assert!(host.query::<i64>("SELECT min(micro_usd) FROM spending").unwrap() > 0);
}

/// pi knows by its stand-in key that the host holds an account's token, and presents itself as that
/// account's program has to.
#[tokio::test(flavor = "multi_thread")]
async fn an_accounts_token_is_used_as_one() {
    let model = Model::start([Turn::Text("as an account".into())]).await;
    let token = "sk-ant-oat01-canary";
    let host = real("runc", &model)
        .set("MERCURY_ANTHROPIC_API_KEY", "")
        .set("MERCURY_ANTHROPIC_OAUTH_TOKEN", token)
        .start()
        .await;
    assert_eq!(host.ask("hello").await.reply(), "as an account", "{}", host.log());
    let headers = &model.headers()[0];
    assert_eq!(headers["authorization"], format!("Bearer {token}"));
    assert!(!headers.contains_key("x-api-key"), "{headers:?}");
    let beta = headers["anthropic-beta"].to_str().unwrap();
    assert!(beta.contains("oauth-2025-04-20") && beta.contains("claude-code"), "{beta}");
    assert!(model.requests()[0]["system"][0]["text"].as_str().unwrap().contains("Claude Code"));
}

/// What an agent claims to have used is not believed.
#[tokio::test(flavor = "multi_thread")]
async fn the_agents_own_word_for_its_usage_does_not_count() {
    let host = Setup::scripted("runc").set("MERCURY_AGENT_NETWORK", "none").start().await;
    assert_eq!(host.ask("!reply hello").await.reply(), "hello");
    let result: String = host.query("SELECT result FROM runs").unwrap();
    assert!(!result.contains("usage"), "the stand-in made its figures up: {result}");
}

/// With credentials in the container pi asks by itself, and nothing passes by the host.
#[tokio::test(flavor = "multi_thread")]
async fn the_old_way_is_still_there() {
    let model = Model::start([Turn::Text("directly".into())]).await;
    let host = Setup::with_image("runc", &full_image())
        .set("MERCURY_MODEL_ENDPOINTS", &endpoints("anthropic", &model.url()))
        .set("MERCURY_AGENT_CREDENTIALS", "env")
        .start()
        .await;
    assert_eq!(host.ask("hello").await.reply(), "directly");
    assert_eq!((model.keys(), rows(&host).as_str()), (vec![CANARY.to_owned()], ""));
}

/// The first word of an answer is there while its last is not yet written.
#[tokio::test(flavor = "multi_thread")]
async fn answers_are_streamed_as_they_come() {
    let model = Model::start([Turn::Held("slowly".into())]).await;
    let (host, socket) = held_open(scripted(&model)).await;
    let mut response = agent::begin(&socket, MESSAGES, &[], &ask("claude-opus-4-8")).await;
    let mut seen = String::new();
    while !seen.contains("slowly") {
        let frame = tokio::time::timeout(Duration::from_secs(60), response.frame()).await.expect("a piece at once");
        seen.push_str(&String::from_utf8_lossy(frame.unwrap().unwrap().data_ref().unwrap()));
    }
    assert!(!seen.contains("message_stop"));
    let asked = ask("claude-opus-4-8").to_string().len() / 4;
    assert_eq!(rows(&host), format!("anthropic open {asked} 0 {}", asked * 5), "written down before it is made");
    model.release();
    let rest = response.collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&rest).contains("message_stop"));
    // 12 tokens at 5 and 5 at 25 per million.
    host.until("SELECT state || ' ' || input || ' ' || output || ' ' || micro_usd FROM spending", "complete 12 5 185")
        .await;
}

/// A client that goes away before the figures came does not get its answer for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_breaks_off_is_estimated() {
    let model = Model::start([Turn::Held("x".repeat(400))]).await;
    let (host, socket) = held_open(scripted(&model)).await;
    let mut response = agent::begin(&socket, MESSAGES, &[], &ask("claude-opus-4-8")).await;
    let mut seen = String::new();
    while !seen.contains("xxx") {
        seen.push_str(&String::from_utf8_lossy(response.frame().await.unwrap().unwrap().data_ref().unwrap()));
    }
    drop(response);
    // What the provider said of the input, and a quarter of the characters that came.
    host.until(
        "SELECT state || ' ' || input || ' ' || output || ' ' || micro_usd FROM spending",
        "estimated 12 100 2560",
    )
    .await;
}

/// A client that hangs up before the answer began pays for the longest one: the provider may still
/// write it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_hung_up_at_once_is_not_free() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let setup = Setup::scripted("runc")
        .set("MERCURY_MODEL_ENDPOINTS", &endpoints("anthropic", &silent))
        .set("MERCURY_AGENT_NETWORK", "none");
    let (host, socket) = held_open(setup).await;
    let asking = tokio::spawn(async move { agent::begin(&socket, MESSAGES, &[], &ask("claude-opus-4-8")).await });
    let _connection = tokio::time::timeout(Duration::from_secs(60), listener.accept()).await.unwrap().unwrap();
    asking.abort();
    let asked = ask("claude-opus-4-8").to_string().len() / 4;
    // What was asked at 5, and `max_tokens` at 25 per million.
    let expected = format!("estimated {asked} 100 {}", asked * 5 + 2500);
    host.until("SELECT state || ' ' || input || ' ' || output || ' ' || micro_usd FROM spending", &expected).await;
}

/// The key is lent for running a permitted model, and for nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn only_permitted_models_and_endpoints_are_reached() {
    let model = Model::start([Turn::Text("ok".into())]).await;
    let setup = scripted(&model).set("MERCURY_AGENT_ALLOWED_MODELS", "anthropic/claude-haiku-*");
    let (host, socket) = held_open(setup).await;
    let with = |field: &str, value: Value| {
        let mut body = ask("claude-opus-4-8");
        body[field] = value;
        body
    };
    for (path, body, status, kind) in [
        (MESSAGES, ask("claude-fable-5"), 403, "permission_error"),
        (MESSAGES, with("fallbacks", json!([{ "model": "claude-fable-5" }])), 403, "permission_error"),
        (MESSAGES, with("models", json!(["claude-fable-5"])), 403, "permission_error"),
        (MESSAGES, with("Model", json!("claude-fable-5")), 400, "invalid_request_error"),
        (MESSAGES, with("model", json!("x".repeat(257))), 400, "invalid_request_error"),
        (MESSAGES, with("mcp_servers", json!([{ "url": "https://example.com" }])), 400, "invalid_request_error"),
        (MESSAGES, with("tools", json!([{ "type": "web_search_20250305" }])), 400, "invalid_request_error"),
        (MESSAGES, json!({ "messages": [] }), 400, "invalid_request_error"),
        (MESSAGES, json!([]), 400, "invalid_request_error"),
        ("/model/anthropic/v1/files", ask("claude-opus-4-8"), 404, "not_found_error"),
        ("/model/anthropic/v1/messages/batches", ask("claude-opus-4-8"), 404, "not_found_error"),
        ("/model/anthropic/v1/%6dessages", ask("claude-opus-4-8"), 404, "not_found_error"),
        ("/model/anthropic/chat/completions", ask("claude-opus-4-8"), 404, "not_found_error"),
        ("/model/openai/responses", ask("gpt-5.5"), 404, "not_found_error"),
    ] {
        let answer = agent::post(&socket, path, &[], &body).await;
        assert_eq!((answer.status, &answer.body["error"]["type"]), (status, &json!(kind)), "{path}: {}", answer.body);
    }
    assert!(model.requests().is_empty() && rows(&host).is_empty());
    for allowed in
        [ask("claude-opus-4-8"), ask("claude-haiku-4-5"), with("fallbacks", json!([{ "model": "claude-sonnet-4-5" }]))]
    {
        assert_eq!(agent::post(&socket, MESSAGES, &[], &allowed).await.status, 200, "{allowed}");
    }
    assert_eq!(model.requests().len(), 3);
}

/// What a client brings along to pay with stays behind, and so does what it may not choose.
#[tokio::test(flavor = "multi_thread")]
async fn a_clients_own_credentials_stay_behind() {
    let model = Model::start([Turn::Text("ok".into())]).await;
    let (_host, socket) = held_open(scripted(&model)).await;
    let headers = [
        ("authorization", "Bearer mine"),
        ("x-api-key", "mine"),
        ("cookie", "mine=1"),
        ("openai-organization", "mine"),
        ("x-forwarded-for", "mine"),
        ("anthropic-version", "2023-06-01"),
    ];
    let answer = agent::post(&socket, &format!("{MESSAGES}?key=mine"), &headers, &ask("claude-opus-4-8")).await;
    assert_eq!(answer.status, 200);
    let sent = &model.headers()[0];
    assert!(!format!("{sent:?}").contains("mine"), "{sent:?}");
    assert_eq!(
        (&sent["x-api-key"], &sent["anthropic-version"]),
        (&CANARY.parse().unwrap(), &"2023-06-01".parse().unwrap())
    );
}

/// An error of the provider arrives as it is, costs nothing, and does not quote the credential.
#[tokio::test(flavor = "multi_thread")]
async fn a_providers_errors_pass_unchanged() {
    let quoted = format!("invalid x-api-key {CANARY}");
    let model = Model::start([Turn::Error(529, "overloaded".into()), Turn::Error(401, quoted)]).await;
    let (host, socket) = held_open(scripted(&model)).await;
    let answer = agent::post(&socket, MESSAGES, &[], &ask("claude-opus-4-8")).await;
    assert_eq!((answer.status, &answer.body["error"]["message"]), (529, &json!("overloaded")));
    let answer = agent::post(&socket, MESSAGES, &[], &ask("claude-opus-4-8")).await;
    assert_eq!((answer.status, &answer.body["error"]["message"]), (401, &json!("invalid x-api-key (credential)")));
    host.until("SELECT CAST(count(*) AS TEXT) FROM spending WHERE state = 'failed' AND micro_usd = 0", "2").await;
}

/// Nobody at the other end, told at once and without the address.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_is_reported_in_seconds() {
    let host = Setup::with_image("runc", &full_image())
        .set("MERCURY_AGENT_NETWORK", "none")
        .set("MERCURY_MODEL_ENDPOINTS", &endpoints("anthropic", "http://127.0.0.1:9"))
        .set("MERCURY_MODEL_MAX_RETRIES_PER_LEG", "0")
        .start()
        .await;
    let answer = host.ask("hello").await;
    assert_eq!((answer.status, answer.code()), (502, "model_unavailable"), "{:#}", answer.body);
    let error = answer.body["error"].as_str().unwrap();
    assert!(error.contains("does not answer") && !error.contains("127.0.0.1"), "{error}");
    assert_eq!(host.log().matches("model request refused").count(), 1, "asked once; the log:\n{}", host.log());
}

async fn refusal(socket: &std::path::Path, model: &str) -> String {
    let answer = agent::post(socket, MESSAGES, &[], &ask(model)).await;
    assert_eq!((answer.status, &answer.body["error"]["type"]), (402, &json!("billing_error")), "{}", answer.body);
    answer.body["error"]["message"].as_str().unwrap().to_owned()
}

/// Each budget stops its own, before the call, and no one else's.
#[tokio::test(flavor = "multi_thread")]
async fn each_budget_stops_its_own() {
    for (variable, words, person, space, stopped) in [
        ("MERCURY_BUDGET_RUN_USD", "this run", "api:ada", "main", false),
        ("MERCURY_BUDGET_PERSON_DAY_USD", "this person", "api:ada", "team", true),
        ("MERCURY_BUDGET_PERSON_DAY_USD", "this person", "api:bob", "main", false),
        ("MERCURY_BUDGET_SPACE_DAY_USD", "this space", "api:bob", "main", true),
        ("MERCURY_BUDGET_SPACE_DAY_USD", "this space", "api:ada", "team", false),
        ("MERCURY_BUDGET_DAY_USD", "everybody", "api:bob", "team", true),
    ] {
        let model = Model::start([Turn::Text("ok".into())]).await;
        // One call costs 185 millionths.
        let mut host = scripted(&model).set(variable, "0.000185").start().await;
        host.create_space("team");
        let first = another(&host, "1", "api:ada", "main").await;
        assert_eq!(agent::post(&first, MESSAGES, &[], &ask("claude-opus-4-8")).await.status, 200);
        host.until("SELECT state FROM spending", "complete").await;
        let message = refusal(&first, "claude-opus-4-8").await;
        assert!(message.contains(words) && message.contains("out of budget: the $0.000185"), "{message}");
        assert_eq!(model.requests().len(), 1, "nobody was asked");
        // The other run is another's, or somewhere else. What is spent survives the host. A run whose container is
        // not at work yet would begin again.
        mercury_tests::docker::at_work(&host.instance(), 1).await;
        host.kill();
        mercury_tests::docker::kill_all(&host.instance()).await;
        host.start().await;
        host.until("SELECT state FROM runs", "failed").await;
        let second = another(&host, "2", person, space).await;
        match stopped {
            true => assert!(refusal(&second, "claude-opus-4-8").await.contains(words)),
            false => {
                assert_eq!(agent::post(&second, MESSAGES, &[], &ask("claude-opus-4-8")).await.status, 200, "{variable}")
            }
        }
    }
}

/// A person whose allowance is used up reads so, the operator reads which, and pi does not insist.
#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_is_told_in_plain_words() {
    let model = Model::start([Turn::Text("first".into())]).await;
    let host = real("runc", &model).set("MERCURY_BUDGET_DAY_USD", "0.000185").start().await;
    assert_eq!(host.ask("hello").await.reply(), "first");
    host.until(ROWS, "anthropic complete 12 5 185").await;
    let answer = host.ask("and again").await;
    assert_eq!((answer.status, answer.code()), (429, "out_of_budget"), "{:#}", answer.body);
    assert!(answer.body["reply"].as_str().unwrap().starts_with("The allowance for today is used up."));
    assert!(answer.body["next"].as_str().unwrap().contains("MERCURY_BUDGET_DAY_USD"));
    assert!(answer.body["error"].as_str().unwrap().contains("$0.000185 of everybody"), "{:#}", answer.body);
    assert_eq!((model.requests().len(), rows(&host).as_str()), (1, "anthropic complete 12 5 185"));
    assert_eq!(host.log().matches("model request refused").count(), 1, "pi does not insist; the log:\n{}", host.log());
}

/// Where there are budgets, a model whose price nobody knows is not asked, until somebody says it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_price_keeps_no_budget() {
    let model = Model::start([Turn::Text("ok".into())]).await;
    let setup = || scripted(&model).set("MERCURY_MODEL", "my-own");
    let (host, socket) = held_open(setup()).await;
    assert_eq!(agent::post(&socket, MESSAGES, &[], &ask("my-own")).await.status, 200, "without budgets it is used");
    host.until("SELECT state || ' ' || coalesce(micro_usd, 'unknown') FROM spending", "complete unknown").await;
    let (_host, socket) = held_open(setup().set("MERCURY_BUDGET_DAY_USD", "5")).await;
    let message = refusal(&socket, "my-own").await;
    assert!(message.contains("anthropic/my-own") && message.contains("model.prices"), "{message}");
    let prices = r#"{"anthropic/my-own":{"input":1,"output":2}}"#;
    let (host, socket) =
        held_open(setup().set("MERCURY_BUDGET_DAY_USD", "5").set("MERCURY_MODEL_PRICES", prices)).await;
    assert_eq!(agent::post(&socket, MESSAGES, &[], &ask("my-own")).await.status, 200);
    host.until("SELECT state || ' ' || coalesce(micro_usd, 'unknown') FROM spending", "complete 22").await;
}

/// A host that dies in the middle of an answer is waited for, and the run has one ending.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_restarts_within_an_answer_costs_one_attempt() {
    let model = Model::start([Turn::Held("never whole".into()), Turn::Text("at last".into())]).await;
    let mut host = real("runc", &model).start().await;
    host.send("hello", "main", "1");
    let until = Instant::now() + Duration::from_secs(60);
    while model.requests().is_empty() {
        assert!(Instant::now() < until, "the agent did not ask; the log:\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    host.kill();
    tokio::time::sleep(Duration::from_secs(2)).await;
    host.start().await;
    let answer = answer_of(&host, "hello", "1").await;
    assert_eq!(answer.reply(), "at last", "{:#}\n{}", answer.body, host.log());
    let states: String =
        host.query("SELECT group_concat(state, ' ') FROM (SELECT state FROM spending ORDER BY id)").unwrap();
    assert_eq!(states, "estimated complete");
    assert_eq!(host.query::<i64>("SELECT count(*) FROM outbound"), Some(1));
}

/// Who insists on the gateway does not get a credential in a container for want of one.
#[tokio::test(flavor = "multi_thread")]
async fn insisting_on_the_gateway_is_taken_seriously() {
    let setup = |mode: &str| {
        Setup::scripted("runc")
            .set("MERCURY_AGENT_CREDENTIALS", mode)
            .set("MERCURY_AGENT_NETWORK", "none")
            .set("MERCURY_MODEL_PROVIDER", "amazon-bedrock")
            .set("MERCURY_AWS_BEARER_TOKEN_BEDROCK", "aws-canary")
    };
    let host = setup("gateway").prepare();
    let mut command = host.command(&["run"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && text.contains("amazon-bedrock") && text.contains("agent.credentials"),
        "{text}"
    );
    let host = setup("").start().await;
    assert_eq!(host.ask("!env AWS_BEARER_TOKEN_BEDROCK").await.reply(), "aws-canary");
    assert!(host.log().contains("the gateway cannot serve the provider `amazon-bedrock`"), "{}", host.log());
}
