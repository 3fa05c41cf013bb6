//! Tasks that people schedule, from the agent's word to the answer in the conversation.
#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use mercury::store::{Admission, Store};
use mercury_tests::{
    host::{Answer, Host, Setup},
    parley::{self, bring, called, command, delivered, direct, group, link_group, until},
    plugins::{fixture, install},
    proxy::Proxy,
};
use serde_json::{Value, json};

const BEARER: &str = "Bearer the-api-secret-0123";

/// A host with the platform `parley`; Ada is the operator's admin there and her own conversation, like the
/// group, is linked to `main`.
async fn start(setup: Setup) -> Host {
    let setup = setup.set("MERCURY_ADMINS", "parley:ada").set("MERCURY_API_SECRET", "the-api-secret-0123");
    let setup = setup.set("MERCURY_DM_AUTO_SPACE_ADMIN_IDS", "parley:ada");
    let mut host = parley::prepare(setup, &[], "");
    host.start().await;
    parley::running(&host).await;
    link_group(&host).await;
    bring(&host, &[direct("first", "!reply hello")]).await;
    delivered(&host, "hello").await;
    host
}

async fn scripted() -> Host {
    start(Setup::scripted("runc")).await
}

/// As the operator, for somebody in `main`; without a name as the operator alone.
async fn ask(host: &Host, caller: &str, method: &str, path: &str, body: Value) -> Answer {
    let mut headers = vec![("authorization", BEARER)];
    if !caller.is_empty() {
        headers.extend([("x-mercury-caller", caller), ("x-mercury-space", "main")]);
    }
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    host.request(method, path, &headers, body).await.unwrap()
}

/// Makes a task of Ada's, and returns its number.
async fn plan(host: &Host, task: Value) -> i64 {
    let made = ask(host, "parley:ada", "POST", "/api/tasks", task).await;
    assert_eq!(made.status, 200, "{:#}", made.body);
    made.body["id"].as_i64().unwrap()
}

/// When a task comes again that only what a test does makes due.
const RARELY: &str = "0 8 29 2 *";

fn rarely(prompt: &str) -> Value {
    json!({ "prompt": prompt, "cron": RARELY, "timezone": "Europe/Berlin" })
}

async fn task(host: &Host, id: i64) -> Option<Value> {
    let listed = ask(host, "parley:ada", "GET", "/api/tasks", Value::Null).await;
    let tasks = listed.body["tasks"].as_array().unwrap().clone();
    tasks.into_iter().find(|task| task["id"] == id)
}

/// Lets the time of a task have come a while ago, and the host notice.
async fn make_due(host: &Host, id: i64) {
    host.execute(&format!("UPDATE tasks SET next_run_at = 1767254400000 WHERE id = {id}"));
    assert_eq!(ask(host, "parley:ada", "POST", &format!("/api/tasks/{id}/resume"), Value::Null).await.status, 200);
}

/// Moves the one time of a task, and lets the host notice: it waits for it by the clock.
async fn due_at(host: &Host, id: i64, time: i64) {
    host.execute(&format!("UPDATE tasks SET next_run_at = {time} WHERE id = {id}"));
    // Where the time has come meanwhile, the task may be over and gone.
    ask(host, "parley:ada", "POST", &format!("/api/tasks/{id}/resume"), Value::Null).await;
}

/// Lets a task run whatever its schedule says: a time of its own each time.
async fn let_run(host: &Host, id: i64) {
    let answer = ask(host, "parley:ada", "POST", &format!("/api/tasks/{id}/run"), Value::Null).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
}

/// A moment some seconds ahead, as people write it.
fn in_seconds(host: &Host, seconds: u32) -> String {
    host.query(&format!("SELECT strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '+{seconds} seconds')")).unwrap()
}

fn said(host: &Host) -> Vec<String> {
    called(host, "deliver").iter().map(|call| call["text"].as_str().unwrap().to_owned()).collect()
}

fn millis() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Waits until as many runs of tasks are over, whatever became of them.
async fn runs_over(host: &Host, count: i64) {
    let sql = "SELECT CAST(count(*) AS TEXT) FROM runs r JOIN inbound i ON i.id = r.inbound
               WHERE i.occasion IS NOT NULL AND r.answered = 1";
    host.until(sql, &count.to_string()).await;
}

/// cli.md #39, pipeline.md #46, weakness W22: an agent makes a task in its container; its answer comes into the
/// conversation and the topic in which it was asked for, and nowhere else, and the row is gone.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_schedules_a_reminder() {
    let host = scripted().await;
    let order = format!(
        "@Mercury please\n!mrctl tasks create --at {} --timezone Asia/Jerusalem --name Call --prompt ;; !reply call Bob",
        in_seconds(&host, 600)
    );
    let mut message = group("2", &order);
    message["thread"] = json!("topic-7");
    bring(&host, &[message]).await;
    let made = delivered(&host, "\"nextRunAt\"").await;
    let made = made["text"].as_str().unwrap();
    assert!(made.contains("\"timezone\": \"Asia/Jerusalem\"") && made.contains("parley:team"), "{made}");
    let kept = "SELECT created_by || ' ' || conversation || ' ' || thread || ' ' || silent FROM tasks";
    assert_eq!(host.query::<String>(kept).unwrap(), "parley:ada parley:team topic-7 0");
    due_at(&host, 1, millis() + 1000).await;
    let answer = until(&host, "the reminder", async || {
        called(&host, "deliver").into_iter().find(|call| call["text"] == "call Bob")
    })
    .await;
    assert_eq!((&answer["conversation"], &answer["thread"]), (&json!("parley:team"), &json!("topic-7")));
    assert_eq!(said(&host).iter().filter(|text| text.contains("call Bob") && !text.contains("nextRunAt")).count(), 1);
    assert_eq!(host.query::<i64>("SELECT count(*) FROM tasks"), Some(0));
    let kept: String = host
        .query(
            "SELECT group_concat(role || ':' || content, '|') FROM (SELECT * FROM messages ORDER BY id DESC LIMIT 2)",
        )
        .unwrap();
    assert!(kept.contains("assistant:call Bob") && kept.contains("user:!reply call Bob"), "{kept}");
    let who =
        "SELECT author || ' ' || role FROM runs r JOIN inbound i ON i.id = r.inbound WHERE i.occasion IS NOT NULL";
    assert_eq!(host.query::<String>(who).unwrap(), "parley:ada admin");
    // The agent that is asked later knows where its prompt comes from, and what the tasks are.
    plan(&host, rarely("!mrctl tasks list")).await;
    ask(&host, "parley:ada", "POST", "/api/tasks/2/run", Value::Null).await;
    delivered(&host, "\"createdBy\": \"parley:ada\"").await;
}

/// What a host that is killed leaves at every point from the time being due to the answer: one run, one answer.
#[tokio::test(flavor = "multi_thread")]
async fn killed_around_the_time() {
    let mut host = scripted().await;
    for (round, after) in [0, 15, 60, 150, 400].into_iter().enumerate() {
        let text = format!("round {round}");
        let id = plan(&host, json!({ "prompt": format!("!reply {text}"), "at": in_seconds(&host, 600) })).await;
        let due = millis() + 1500;
        due_at(&host, id, due).await;
        let wait = (due + after - millis()).max(0).unsigned_abs();
        tokio::time::sleep(Duration::from_millis(wait)).await;
        host.kill();
        host.start().await;
        delivered(&host, &text).await;
        let of_task = format!("SELECT count(*) FROM inbound WHERE json_extract(occasion, '$.task') = {id}");
        assert_eq!(host.query::<i64>(&of_task), Some(1), "{text}");
        host.until("SELECT CAST(count(*) AS TEXT) FROM deliveries WHERE state = 'pending'", "0").await;
        let ids: std::collections::BTreeSet<_> = called(&host, "deliver")
            .into_iter()
            .filter(|call| call["text"] == text.as_str())
            .map(|call| call["id"].to_string())
            .collect();
        assert_eq!(ids.len(), 1, "one answer, under one name: {ids:?}");
    }
    assert_eq!(host.query::<i64>("SELECT count(*) FROM tasks"), Some(0));
}

/// pipeline.md #54: the host ends right behind the decision that the task is due, and again while its container is
/// made.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_time_and_the_run() {
    let proxy = Proxy::start().await;
    let mut host = start(Setup::scripted("runc").set("MERCURY_DOCKER_HOST", &proxy.host())).await;
    plan(&host, json!({ "prompt": "!reply once", "at": in_seconds(&host, 600) })).await;
    host.kill();
    host.change("UPDATE tasks SET next_run_at = 1767254400000, at = '2026-01-01T08:00Z'");
    // The transaction of the dead host, word for word.
    let store = Store::open(&host.data_dir().join("state.db")).unwrap();
    let turns = store.turn_tasks(millis(), Admission::default()).await.unwrap();
    assert_eq!(turns.begun.len(), 1);
    drop(store);
    proxy.hold("/containers/create");
    host.start().await;
    proxy.held().await;
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "preparing").await;
    host.kill();
    proxy.release();
    host.start().await;
    delivered(&host, "once").await;
    let runs = "SELECT count(*) FROM runs r JOIN inbound i ON i.id = r.inbound WHERE i.occasion IS NOT NULL";
    assert_eq!((host.query::<i64>(runs), host.query::<i64>("SELECT count(*) FROM tasks")), (Some(1), Some(0)));
    assert_eq!(said(&host).iter().filter(|text| *text == "once").count(), 1);
}

/// Weakness W8: what was due while no host ran comes once, and says how late it is; the next time lies ahead.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_comes_once() {
    let mut host = scripted().await;
    // Half a day away from now.
    let hour: String = host.query("SELECT CAST((strftime('%H', 'now') + 12) % 24 AS TEXT)").unwrap();
    let daily = |prompt: &str| json!({ "prompt": prompt, "cron": format!("0 {hour} * * *"), "timezone": "UTC" });
    let id = plan(&host, daily("!reply the news")).await;
    let asleep = plan(&host, daily("!reply nobody wants this")).await;
    ask(&host, "parley:ada", "POST", &format!("/api/tasks/{asleep}/pause"), Value::Null).await;
    host.kill();
    host.change("UPDATE tasks SET next_run_at = next_run_at - 30 * 86400000");
    host.start().await;
    delivered(&host, "the news").await;
    runs_over(&host, 1).await;
    let (kept, now) = (task(&host, id).await.unwrap(), millis());
    assert!(kept["nextRunAt"].as_i64().unwrap() > now && kept["lastRunAt"].as_i64().unwrap() <= now, "{kept:#}");
    let due: i64 =
        host.query("SELECT json_extract(occasion, '$.due') FROM inbound WHERE occasion IS NOT NULL").unwrap();
    assert!(now - due < 25 * 3_600_000, "it is the last time that was missed, not the first");
    // Killed before it knows that it sent, it would send again.
    host.until("SELECT CAST(count(*) AS TEXT) FROM deliveries WHERE state = 'pending'", "0").await;
    host.kill();
    host.start().await;
    let resumed = ask(&host, "parley:ada", "POST", &format!("/api/tasks/{asleep}/resume"), Value::Null).await;
    assert!(resumed.body["nextRunAt"].as_i64().unwrap() > now, "what it slept through is past");
    assert_eq!(said(&host).iter().filter(|text| *text == "the news").count(), 1);
}

/// pipeline.md #46: nothing of a silent task is sent, whether it does its work or fails, and nobody is shown that it
/// is at work.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_task_says_nothing() {
    let host = scripted().await;
    for prompt in ["!write outbox/tidied.txt done\n!reply done", "!exit 3"] {
        let id =
            plan(&host, json!({ "prompt": prompt, "cron": RARELY, "silent": true, "conversation": "parley:team" }))
                .await;
        make_due(&host, id).await;
    }
    let before = called(&host, "deliver").len();
    runs_over(&host, 2).await;
    assert!(host.data_dir().join("spaces/main/outbox/tidied.txt").exists());
    let states: String = host
        .query("SELECT group_concat(o.state) FROM outbound o JOIN inbound i ON i.id = o.inbound WHERE i.occasion IS NOT NULL")
        .unwrap();
    assert_eq!(states, "suppressed,suppressed");
    // What is sent after it shows that it was not merely late.
    bring(&host, &[direct("9", "!reply after it")]).await;
    delivered(&host, "after it").await;
    assert_eq!(called(&host, "deliver").len(), before + 1, "{:?}", said(&host));
    let heard = "SELECT count(*) FROM messages WHERE content LIKE '%tidied%' OR content LIKE '%!exit%'";
    assert_eq!(host.query::<i64>(heard), Some(0), "nor is it a part of the conversation");
    let typing = called(&host, "Activity::Typing").into_iter().filter(|call| call["conversation"] == "parley:team");
    assert_eq!(typing.count(), 0);
}

/// http-api.md #9 #10, pipeline.md #45: the routes, and the words that clients know.
#[tokio::test(flavor = "multi_thread")]
async fn the_routes() {
    let host = scripted().await;
    host.create_space("other");
    let create = async |body: Value| ask(&host, "parley:ada", "POST", "/api/tasks", body).await;
    for (body, error) in [
        (json!({}), "Missing prompt"),
        (json!({ "prompt": " ", "cron": "* * * * *" }), "Missing prompt"),
        (json!({ "prompt": "x" }), "Missing cron or at"),
        (json!({ "prompt": "x", "cron": null, "at": null }), "Missing cron or at"),
        (json!({ "prompt": "x", "cron": "* * * * *", "at": "2999-01-01" }), "Cannot specify both cron and at"),
        (json!({ "prompt": "x", "cron": "61 * * * *" }), "Invalid cron expression"),
        (json!({ "prompt": "x", "at": "tomorrow" }), "Invalid at timestamp"),
        (json!({ "prompt": "x", "at": "2020-01-01T00:00:00Z" }), "at timestamp must be in the future"),
        (json!({ "prompt": "x", "cron": "* * * * *", "timezone": "Mars/Base" }), "Invalid timezone identifier"),
        (json!({ "prompt": "x".repeat(20_001), "cron": "* * * * *" }), "The prompt has more than 20000 characters"),
    ] {
        let answer = create(body.clone()).await;
        assert_eq!((answer.status, answer.code()), (400, "bad_task"), "{body}");
        assert_eq!(answer.body["error"], error, "{body}");
        assert!(answer.body["next"].is_string(), "{:#}", answer.body);
    }
    let typo = create(json!({ "prompt": "x", "cron": "* * * * *", "timzone": "UTC" })).await;
    assert_eq!((typo.status, typo.code()), (400, "bad_json"));
    for (conversation, code) in [("parley:nowhere", "conversation_unknown"), ("telegram:1", "conversation_unknown")] {
        let answer = create(json!({ "prompt": "x", "cron": "* * * * *", "conversation": conversation })).await;
        assert_eq!((answer.status, answer.code()), (400, code));
    }
    let made = create(json!({ "prompt": "!reply now", "cron": "0 8 * * 1-5", "silent": false })).await.body;
    assert_eq!(
        (&made["cron"], &made["at"], &made["timezone"], &made["silent"], &made["conversation"]),
        (&json!("0 8 * * 1-5"), &Value::Null, &Value::Null, &json!(false), &json!("parley:ada")),
        "Ada's own conversation is meant where she names none"
    );
    let once = create(json!({ "prompt": "x", "at": "2999-05-01T08:00:00+02:00", "silent": true })).await.body;
    assert_eq!((&once["at"], &once["silent"]), (&json!("2999-05-01T08:00:00+02:00"), &json!(true)));
    let listed = ask(&host, "parley:ada", "GET", "/api/tasks", Value::Null).await.body;
    let first = &listed["tasks"][0];
    for (field, value) in [
        ("id", json!(1)),
        ("spaceId", json!("main")),
        ("prompt", json!("!reply now")),
        ("active", json!(1)),
        ("silent", json!(0)),
        ("createdBy", json!("parley:ada")),
        ("timezone", Value::Null),
        ("name", Value::Null),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    assert_eq!((&listed["tasks"][1]["silent"], &listed["next"]), (&json!(1), &Value::Null));
    let page = ask(&host, "parley:ada", "GET", "/api/tasks?limit=1", Value::Null).await.body;
    let after = format!("/api/tasks?after={}", page["next"].as_str().unwrap());
    assert_eq!(ask(&host, "parley:ada", "GET", &after, Value::Null).await.body["tasks"][0]["id"], 2);

    host.execute("INSERT INTO tasks (space, prompt, cron, silent, created_by, platform, conversation, direct, next_run_at, created_at, updated_at)
        VALUES ('other', 'theirs', '0 8 * * *', 0, 'api:x', 'api', 'api:x', 1, 9999999999999, 1, 1)");
    for (method, ending) in [("POST", "/pause"), ("POST", "/resume"), ("POST", "/run"), ("DELETE", "")] {
        for (id, expected) in [
            ("abc", (400, "bad_task_id")),
            ("0", (400, "bad_task_id")),
            ("1.5", (400, "bad_task_id")),
            ("4711", (404, "task_not_found")),
            ("3", (404, "task_not_found")),
        ] {
            let answer = ask(&host, "parley:ada", method, &format!("/api/tasks/{id}{ending}"), Value::Null).await;
            assert_eq!((answer.status, answer.code()), expected, "{method} {id}{ending}");
        }
    }
    let change = async |method: &str, path: &str| ask(&host, "parley:ada", method, path, Value::Null).await;
    assert_eq!(change("POST", "/api/tasks/1/pause").await.body, json!({ "id": 1, "active": false }));
    let paused = change("POST", "/api/tasks/1/run").await;
    assert_eq!((paused.status, &paused.body["error"]), (400, &json!("Task is paused")));
    assert_eq!(change("POST", "/api/tasks/1/resume").await.body["active"], json!(true));
    assert_eq!(change("POST", "/api/tasks/1/run").await.body, json!({ "id": 1, "triggered": true }));
    let next = task(&host, 1).await.unwrap()["nextRunAt"].clone();
    delivered(&host, "now").await;
    assert_eq!(task(&host, 1).await.unwrap()["nextRunAt"], next, "a run by hand leaves the schedule as it is");
    assert_eq!(change("DELETE", "/api/tasks/2").await.body, json!({ "id": 2, "deleted": true }));
    assert_eq!(change("DELETE", "/api/tasks/2").await.status, 404);
    let all = ask(&host, "", "GET", "/api/tasks", Value::Null).await.body;
    assert_eq!(all["tasks"].as_array().map(Vec::len), Some(2), "the operator sees those of all spaces");
    assert_eq!(ask(&host, "", "POST", "/api/tasks", json!({})).await.code(), "missing_caller");
}

/// http-api.md #7: who may do what with tasks is said by five permissions.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what() {
    let host = scripted().await;
    plan(&host, rarely("!reply x")).await;
    for (method, path, permission) in [
        ("GET", "/api/tasks", "tasks.list"),
        ("POST", "/api/tasks", "tasks.create"),
        ("POST", "/api/tasks/1/pause", "tasks.pause"),
        ("POST", "/api/tasks/1/resume", "tasks.resume"),
        ("POST", "/api/tasks/1/run", "tasks.create"),
        ("DELETE", "/api/tasks/1", "tasks.delete"),
    ] {
        let body = if path == "/api/tasks" && method == "POST" { rarely("x") } else { Value::Null };
        let refused = ask(&host, "parley:bob", method, path, body.clone()).await;
        assert_eq!(refused.status, 403, "{method} {path}");
        assert_eq!(refused.body["error"], format!("Forbidden: requires '{permission}' permission"));
        let only = json!({ "role": "helper", "permissions": ["prompt", permission] });
        assert_eq!(ask(&host, "parley:ada", "PUT", "/api/permissions", only).await.status, 200);
        host.execute(
            "INSERT INTO members (space, person, role) VALUES ('main', 'parley:eve', 'helper') ON CONFLICT DO NOTHING",
        );
        let body = if body.is_null() {
            body
        } else {
            json!({ "prompt": "x", "cron": "@daily", "conversation": "parley:team" })
        };
        let allowed = ask(&host, "parley:eve", method, path, body).await;
        assert_eq!(allowed.status, 200, "{method} {path}: {:#}", allowed.body);
    }
}

/// Whoever made a task must still be allowed to when it runs; it runs in the role that he has then.
#[tokio::test(flavor = "multi_thread")]
async fn the_makers_role_counts_when_it_runs() {
    let host = scripted().await;
    let role = async |role: &str| {
        let body = json!({ "platformUserId": "parley:bob", "role": role });
        assert_eq!(ask(&host, "parley:ada", "POST", "/api/roles", body).await.status, 200);
    };
    let helper = json!({ "role": "helper", "permissions": ["prompt", "tasks.create"] });
    ask(&host, "parley:ada", "PUT", "/api/permissions", helper).await;
    role("admin").await;
    let body = json!({ "prompt": "!mrctl whoami", "cron": RARELY, "conversation": "parley:team", "name": "who" });
    let id = ask(&host, "parley:bob", "POST", "/api/tasks", body).await.body["id"].as_i64().unwrap();
    role("helper").await;
    make_due(&host, id).await;
    let answer = delivered(&host, "\"callerId\": \"parley:bob\"").await;
    assert!(answer["text"].as_str().unwrap().contains("\"role\": \"helper\""), "{answer:#}");
    role("member").await;
    let_run(&host, id).await;
    delivered(&host, "I did not run the scheduled task #1 (who), and paused it").await;
    let stopped = task(&host, id).await.unwrap();
    assert_eq!(stopped["active"], 0);
    assert!(stopped["note"].as_str().unwrap().contains("`tasks.create`"), "{stopped:#}");
    // Weakness W21: who is muted is not heard by way of the clock.
    role("helper").await;
    ask(&host, "parley:ada", "POST", &format!("/api/tasks/{id}/resume"), Value::Null).await;
    let mute = json!({ "platformUserId": "parley:bob", "duration": "1h", "confirm": true });
    assert_eq!(ask(&host, "parley:ada", "POST", "/api/mutes", mute).await.status, 200);
    let before = said(&host).len();
    let_run(&host, id).await;
    host.until("SELECT CAST(count(*) AS TEXT) FROM inbound WHERE occasion IS NOT NULL AND decided = 1", "3").await;
    bring(&host, &[direct("9", "!reply after it")]).await;
    delivered(&host, "after it").await;
    assert_eq!((said(&host).len(), task(&host, id).await.unwrap()["active"].clone()), (before + 1, json!(1)));
}

/// Lets a task of another space run that is due like this one.
async fn runs_elsewhere(host: &Host, id: i64) {
    host.create_space("other");
    host.execute(&format!(
        "INSERT INTO tasks (space, prompt, cron, silent, created_by, platform, conversation, direct, next_run_at, created_at, updated_at)
         VALUES ('other', '!reply elsewhere', '{RARELY}', 0, 'parley:ada', 'api', 'api:x', 1, {}, 1, 1)",
        millis()
    ));
    // Whatever is done with tasks makes the host look.
    ask(host, "parley:ada", "POST", &format!("/api/tasks/{id}/resume"), Value::Null).await;
    let reply = "SELECT o.reply FROM outbound o JOIN inbound i ON i.id = o.inbound WHERE i.space = 'other'";
    host.until(reply, "elsewhere").await;
}

/// Weaknesses W4 and W5, pipeline.md #53: a task that never ends and one that is stopped in the queue hold nothing
/// up.
#[tokio::test(flavor = "multi_thread")]
async fn no_task_delays_another() {
    let host = scripted().await;
    let slow = plan(&host, rarely("!sleep 600000")).await;
    make_due(&host, slow).await;
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "running").await;
    let busy = ask(&host, "parley:ada", "POST", &format!("/api/tasks/{slow}/run"), Value::Null).await;
    assert_eq!((busy.status, busy.code()), (409, "task_busy"));
    let behind = plan(&host, rarely("!reply behind")).await;
    make_due(&host, behind).await;
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "queued").await;
    runs_elsewhere(&host, behind).await;
    // Its next time is left out, since the last one is not over.
    make_due(&host, slow).await;
    until(&host, "the time is left out", async || host.log().contains("left out this time").then_some(())).await;
    bring(&host, &[direct("9", "stop")]).await;
    delivered(&host, "Stopped. 1 waiting message was dropped.").await;
    let_run(&host, behind).await;
    delivered(&host, "behind").await;
}

/// A silent space is silent for its tasks, too; what was due meanwhile comes when it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_space_holds_its_tasks() {
    let host = scripted().await;
    let id = plan(&host, rarely("!reply held")).await;
    bring(&host, &[direct("2", "/pause 30m")]).await;
    delivered(&host, "I am paused for 30 min").await;
    make_due(&host, id).await;
    // So the host has looked at what is due.
    runs_elsewhere(&host, id).await;
    let held = "SELECT count(*) FROM inbound WHERE occasion IS NOT NULL AND space = 'main'";
    assert_eq!(host.query::<i64>(held), Some(0));
    bring(&host, &[direct("3", "/resume")]).await;
    delivered(&host, "I answer again.").await;
    delivered(&host, "held").await;
    let order = said(&host);
    let at = |text: &str| order.iter().position(|said| said == text).unwrap();
    assert!(at("I answer again.") < at("held"), "{order:?}");
}

/// A task that fails is told of once, and stopped where it goes on failing.
#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_once() {
    let host = scripted().await;
    let id = plan(&host, rarely("!exit 3")).await;
    for round in 1..=5 {
        let_run(&host, id).await;
        runs_over(&host, round).await;
        host.until("SELECT CAST(count(*) AS TEXT) FROM deliveries WHERE state = 'pending'", "0").await;
    }
    let told: Vec<_> = said(&host).into_iter().filter(|text| text.contains("task #1")).collect();
    let [first, last] = &told[..] else { panic!("{told:?}") };
    assert!(first.starts_with("The scheduled task #1 failed. "), "{first}");
    assert!(last.starts_with("The scheduled task #1 failed 5 times in a row, so I have paused it."), "{last}");
    let stopped = task(&host, id).await.unwrap();
    assert_eq!(stopped["active"], 0);
    assert!(stopped["note"].as_str().unwrap().contains("5 times in a row"), "{stopped:#}");
}

/// What a task asks is a prompt and nothing else: no command, and no answer to a question that is open.
#[tokio::test(flavor = "multi_thread")]
async fn a_tasks_words_are_a_prompt() {
    let setup = Setup::scripted("runc")
        .set("MERCURY_ADMINS", "api:boss")
        .yaml("plugins:\n  asking:\n    settings: { word: rm }\n");
    let mut host = setup.prepare();
    install(&host, "asking", "\"tool-guard\"", &["word", "never", "approver", "timeout-ms"], &fixture("asking"));
    host.start().await;
    host.create_space("other");
    let boss = [("x-mercury-caller", "api:boss"), ("x-mercury-space", "main")];
    let plan = async |prompt: &str| {
        let body = Bytes::from(json!({ "prompt": prompt, "cron": RARELY }).to_string());
        let made = host.request("POST", "/api/tasks", &boss, body).await.unwrap();
        assert_eq!(made.status, 200, "{:#}", made.body);
        let id = made.body["id"].as_i64().unwrap();
        let path = format!("/api/tasks/{id}/run");
        assert_eq!(host.request("POST", &path, &boss, Bytes::new()).await.unwrap().status, 200);
    };
    let answers =
        "SELECT group_concat(reply, '|') FROM (SELECT o.reply FROM outbound o JOIN inbound i ON i.id = o.inbound
                   WHERE i.occasion IS NOT NULL ORDER BY i.id)";
    plan("stop").await;
    host.until(answers, "echo: stop").await;
    let asked = host
        .chat(json!({ "text": "!tool bash rm x", "callerId": "api:boss", "messageId": "1", "questions": true, "spaceId": "other" }))
        .await;
    assert!(asked.body["question"]["id"].is_i64(), "{:#}", asked.body);
    plan("allow").await;
    host.until(answers, "echo: stop|echo: allow").await;
    assert_eq!(host.query::<i64>("SELECT count(*) FROM questions WHERE state = 'open'"), Some(1));
    // Nobody waits for the answer of a program's task, so nobody can be asked.
    plan("!tool bash rm y").await;
    runs_over(&host, 3).await;
    let reply: String = host.query(answers).unwrap();
    assert!(reply.contains("which cannot be asked for here"), "{reply}");
}

/// The socket of the only run.
fn socket(host: &Host) -> PathBuf {
    let runs = std::fs::read_dir(host.data_dir().join("run")).unwrap().flatten();
    let sockets = runs.flat_map(|run| std::fs::read_dir(run.path()).into_iter().flatten().flatten());
    sockets.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|it| it == "sock")).unwrap()
}

fn on_socket(socket: &Path, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let mut stream = UnixStream::connect(socket).unwrap();
    let head = "POST /api/tasks HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

/// A reply right is no right to write elsewhere: an agent's task answers to the agent's own conversation.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_names_no_other_conversation() {
    let host = start(Setup::scripted("runc").set("MERCURY_MAX_TASKS_PER_SPACE", "2")).await;
    bring(&host, &[direct("2", "!sleep 600000")]).await;
    host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "running").await;
    let socket = socket(&host);
    let with = |conversation: &str| json!({ "prompt": "x", "cron": "@daily", "conversation": conversation });
    let (status, answer) = on_socket(&socket, &with("parley:team"));
    assert_eq!((status, &answer["code"]), (403, &json!("other_conversation")), "{answer:#}");
    for body in [with("parley:ada"), json!({ "prompt": "x", "cron": "@daily" })] {
        let (status, answer) = on_socket(&socket, &body);
        assert_eq!((status, &answer["conversation"]), (200, &json!("parley:ada")), "{answer:#}");
    }
    let (status, answer) = on_socket(&socket, &with("parley:ada"));
    assert_eq!((status, &answer["code"]), (409, &json!("too_many_tasks")), "{answer:#}");
}

/// A conversation that is taken out of its space gets nothing more of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_left_gets_nothing() {
    let host = scripted().await;
    let body = json!({ "prompt": "!reply inside matters", "cron": RARELY, "conversation": "parley:team" });
    let id = plan(&host, body).await;
    host.create_space("other");
    command(&host, &["conversations", "link", "parley:team", "other"]);
    make_due(&host, id).await;
    let stopped =
        until(&host, "it is stopped", async || task(&host, id).await.filter(|task| task["active"] == 0)).await;
    assert!(stopped["note"].as_str().unwrap().contains("no longer one of its space"), "{stopped:#}");
    assert_eq!(host.query::<i64>("SELECT count(*) FROM inbound WHERE occasion IS NOT NULL"), Some(0));
}

/// permissions.md 13, http-api.md 6: a task of the console's is the host's own.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_own_task() {
    let host = scripted().await;
    let path = "/api/console/spaces/main/tasks";
    let create = async |body: Value| ask(&host, "", "POST", path, body).await;
    for (body, code, error) in [
        (json!({ "prompt": "x" }), "bad_task", "cron is required"),
        (json!({ "cron": "@daily" }), "bad_task", "prompt is required"),
        (json!({ "prompt": "x", "cron": "x", "conversation": "parley:team" }), "bad_task", "Invalid cron expression"),
    ] {
        let answer = create(body).await;
        assert_eq!((answer.status, answer.code(), &answer.body["error"]), (400, code, &json!(error)));
    }
    let several = create(json!({ "prompt": "x", "cron": "@daily" })).await;
    assert_eq!((several.status, several.code()), (400, "conversation_needed"), "{:#}", several.body);
    let nowhere = ask(&host, "", "POST", "/api/console/spaces/nowhere/tasks", rarely("x")).await;
    assert_eq!(nowhere.code(), "space_not_found");
    let body = json!({ "prompt": "!mrctl whoami", "cron": RARELY, "timezone": "UTC", "name": "n".repeat(120), "conversation": "parley:team" });
    let made = create(body).await;
    assert_eq!((made.status, made.body["name"].as_str().map(str::len)), (201, Some(100)), "{:#}", made.body);
    make_due(&host, made.body["id"].as_i64().unwrap()).await;
    let answer = delivered(&host, "\"callerId\": \"system\"").await;
    assert!(answer["text"].as_str().unwrap().contains("\"role\": \"system\""), "{answer:#}");
}

/// The operator's view, and the time zones of the configuration and of a space.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_looks() {
    let host = start(Setup::scripted("runc").set("MERCURY_DEFAULT_TIMEZONE", "Asia/Tokyo")).await;
    assert_eq!(command(&host, &["tasks", "list"]).trim(), "Nobody has scheduled a task.");
    let first = plan(&host, json!({ "prompt": "read\nthe \u{202e}news", "cron": "0 8 * * *" })).await;
    let setting = json!({ "key": "scheduling.default_timezone", "value": "Europe/Berlin" });
    assert_eq!(ask(&host, "parley:ada", "PUT", "/api/config", setting).await.status, 200);
    let unknown = json!({ "key": "scheduling.default_timezone", "value": "Berlin" });
    assert_eq!(ask(&host, "parley:ada", "PUT", "/api/config", unknown).await.code(), "bad_setting");
    let second = plan(&host, json!({ "prompt": "x", "at": "2999-05-01T08:00" })).await;
    let zone = async |id| task(&host, id).await.unwrap()["timezone"].clone();
    assert_eq!((zone(first).await, zone(second).await), (json!("Asia/Tokyo"), json!("Europe/Berlin")));
    assert_eq!(task(&host, second).await.unwrap()["nextRunAt"], 32_482_533_600_000_i64, "eight o'clock in Berlin");
    assert!(command(&host, &["tasks", "pause", "1"]).contains("rests"));
    let listed = command(&host, &["tasks", "list"]);
    assert!(
        listed.contains("read the news")
            && listed.contains("rests")
            && listed.contains("2999-05-01 08:00 Europe/Berlin"),
        "{listed}"
    );
    assert!(command(&host, &["tasks", "resume", "1"]).contains("Asia/Tokyo"));
    command(&host, &["tasks", "delete", "2"]);
    let left: Value = serde_json::from_str(&command(&host, &["tasks", "list", "--space", "main", "--json"])).unwrap();
    assert_eq!(left.as_array().map(Vec::len), Some(1));
    let gone = host.command(&["tasks", "delete", "2"]).output().unwrap();
    assert!(!gone.status.success() && String::from_utf8_lossy(&gone.stderr).contains("there is no task #2"));
}

/// Weakness C10: a time zone that no task could have stops the start, and says why.
#[test]
fn a_wrong_zone_stops_the_start() {
    let host = Setup::scripted("runc").set("MERCURY_DEFAULT_TIMEZONE", "Berlin").prepare();
    let output = host.command(&["tasks", "list"]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && error.contains("MERCURY_DEFAULT_TIMEZONE") && error.contains("Europe/Berlin"),
        "{error}"
    );
}
