//! The measured promises, printed: stages of a message for each runtime and image, start to
//! healthy, idle memory, and a guard's call. `./dev bench` runs it with the shipped profile; `./dev bench plugins` only
//! what concerns components, `./dev bench storage` only the database, `./dev bench reads` only reads over HTTP.
//! `./dev bench durability` and `./dev bench soak` count what the other figures take for granted.
//!
//! Figures come from the host's own marks, so they are what an operator sees in `/chat`'s answer.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and a surprise ends it")]

mod durability;
mod plugins;
mod reads;
mod storage;
mod webhooks;

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use mercury::{
    plugins::{Compiler, Consultation, Plugins, Services, types::Caller},
    store::Store,
};
use mercury_tests::{
    agent, full_image,
    host::{Host, Setup},
    minimal_image,
    model::{Model, Turn},
};

/// Runs for each image and runtime; the first is not counted.
const RUNS: usize = 20;
/// Stages that Docker, the kernel or the agent take, not the host.
const NOT_HOST: &[&str] = &["create", "start", "agent start", "agent"];

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let kept = match arguments.split_first() {
        Some((first, rest)) if first == "durability" => durability::run(rest).await,
        Some((first, rest)) if first == "soak" => durability::soak(rest).await,
        first => {
            figures(first.map(|(first, _)| first.clone())).await;
            true
        }
    };
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn figures(argument: Option<String>) {
    if argument.as_deref() == Some("plugins") {
        return plugins::run().await;
    }
    if argument.as_deref() == Some("storage") {
        return storage::run().await;
    }
    if argument.as_deref() == Some("reads") {
        return reads::run().await;
    }
    let runs = argument.and_then(|text| text.parse().ok()).unwrap_or(RUNS);
    start_and_idle().await;
    guard_calls().await;
    plugins::run().await;
    storage::run().await;
    reads::run().await;
    gateway_calls().await;
    for runtime in ["runc", "runsc"] {
        stages(&format!("scripted agent, {runtime}"), Setup::scripted(runtime), runs, None).await;
    }
    for runtime in ["runc", "runsc"] {
        let model = Model::start([Turn::Text("ok".into())]).await;
        let setup = Setup::with_image(runtime, &full_image());
        stages(&format!("real pi, {runtime}, instant model"), setup, runs, Some(model)).await;
    }
    let _ = minimal_image();
}

async fn start_and_idle() {
    let mut host = Setup::scripted("runc").set("MERCURY_LOG_LEVEL", "info").start().await;
    let mut healthy = Vec::new();
    for _ in 0..10 {
        host.kill();
        let began = Instant::now();
        host.spawn();
        while host.health().await.is_none_or(|health| health["status"] == "warming") {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        healthy.push(began.elapsed());
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("start to healthy   median {:>8}   p95 {:>8}", show(median(&healthy)), show(p95(&healthy)));
    println!(
        "idle memory        {} KiB resident, of which {} KiB private",
        memory(&host, "Rss:"),
        memory(&host, "Private_")
    );
}

/// Kibibytes of the process whose `smaps_rollup` lines begin with `name`.
fn memory(host: &Host, name: &str) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", host.pid())).unwrap();
    rollup
        .lines()
        .filter(|line| line.starts_with(name))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum()
}

async fn guard_calls() {
    let folder = tempfile::tempdir().unwrap();
    let services = Arc::new(Services::new(Store::open(&folder.path().join("state.db")).unwrap()));
    let began = Instant::now();
    let plugins = Plugins::load(folder.path(), &BTreeMap::new(), Compiler::InProcess, services.clone()).await.unwrap();
    println!("compile and load   {} for the built-in components, once", show(began.elapsed()));
    let began = Instant::now();
    let again = Plugins::load(folder.path(), &BTreeMap::new(), Compiler::InProcess, services.clone()).await.unwrap();
    println!("load from cache    {}", show(began.elapsed()));
    drop(again);
    let caller = Caller { person: "api:x".into(), role: "member".into(), space: "main".into(), conversation: None };
    let arguments = r#"{"command":"ls -la | head -3 && git status"}"#;
    let mut calls = Vec::new();
    for _ in 0..2000 {
        let began = Instant::now();
        plugins.consult(&caller, "bash", arguments, &Consultation::default()).await;
        calls.push(began.elapsed());
    }
    println!(
        "guard, whole call  median {:>8}   p95 {:>8}   (instantiate, decide, drop)",
        show(median(&calls)),
        show(p95(&calls))
    );
}

/// What the model gateway adds to a call: the same request to the same server, with and without it.
async fn gateway_calls() {
    let model = Model::start([Turn::Text("ok".into())]).await;
    let host = Setup::scripted("runc")
        .set("MERCURY_MODEL_ENDPOINTS", &format!("{{\"anthropic\":\"{}\"}}", model.local_url()))
        .set("MERCURY_BUDGET_DAY_USD", "1000000")
        .set("MERCURY_LOG_LEVEL", "info")
        .start()
        .await;
    host.send("!sleep 250000", "main", "1");
    let socket = agent::socket(&host).await;
    // A long conversation: 200 KiB.
    let content = "x".repeat(200 << 10);
    let ask = serde_json::json!({ "model": "claude-opus-4-8", "stream": true, "messages": [{ "role": "user", "content": content }] });
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let began = Instant::now();
        assert_eq!(model.ask(&ask).await, 200);
        direct.push(began.elapsed());
        let began = Instant::now();
        assert_eq!(agent::post(&socket, "/model/anthropic/v1/messages", &[], &ask).await.status, 200);
        through.push(began.elapsed());
    }
    println!(
        "model gateway      median {:>8}   p95 {:>8}   added to a whole call",
        show(median(&through).saturating_sub(median(&direct))),
        show(p95(&through).saturating_sub(p95(&direct)))
    );
}

async fn stages(title: &str, mut setup: Setup, runs: usize, model: Option<Model>) {
    let real = model.is_some();
    if let Some(model) = &model {
        setup = setup.set("MERCURY_MODEL_ENDPOINTS", &format!("{{\"anthropic\":\"{}\"}}", model.url()));
    }
    let host = setup.set("MERCURY_LOG_LEVEL", "info").set("MERCURY_CONTEXT_MODE", "clear").start().await;
    let mut by_stage: Vec<(String, Vec<Duration>)> = Vec::new();
    let (mut totals, mut shares) = (Vec::new(), Vec::new());
    for n in 0..=runs {
        let answer = host.ask(if real { "say ok" } else { "!reply ok" }).await;
        assert_eq!(answer.reply(), "ok");
        // The last container's removal would else be measured with the next run.
        tokio::time::sleep(Duration::from_millis(400)).await;
        if n == 0 {
            continue;
        }
        let mut share = Duration::ZERO;
        for stage in answer.body["run"]["stages"].as_array().unwrap() {
            let (name, took) =
                (stage["name"].as_str().unwrap(), Duration::from_micros(stage["micros"].as_u64().unwrap()));
            if !NOT_HOST.contains(&name) {
                share += took;
            }
            match by_stage.iter_mut().find(|(known, _)| known == name) {
                Some((_, list)) => list.push(took),
                None => by_stage.push((name.to_owned(), vec![took])),
            }
        }
        shares.push(share);
        totals.push(Duration::from_micros(answer.body["run"]["totalMicros"].as_u64().unwrap()));
    }
    println!("\n{title} (n = {runs})          median         p95");
    by_stage.push(("host share".into(), shares));
    by_stage.push(("total".into(), totals));
    for (name, list) in &by_stage {
        println!("  {name:<22} {:>14} {:>11}", show(median(list)), show(p95(list)));
    }
}

fn sorted(list: &[Duration]) -> Vec<Duration> {
    let mut list = list.to_vec();
    list.sort();
    list
}

fn median(list: &[Duration]) -> Duration {
    sorted(list)[list.len() / 2]
}

fn p95(list: &[Duration]) -> Duration {
    percentile(list, 95)
}

fn percentile(list: &[Duration], percent: usize) -> Duration {
    sorted(list)[(list.len() * percent / 100).min(list.len() - 1)]
}

fn show(duration: Duration) -> String {
    match duration.as_micros() {
        micros if micros < 1000 => format!("{micros} µs"),
        micros => format!("{:.1} ms", micros as f64 / 1000.0),
    }
}
