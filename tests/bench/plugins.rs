//! What components cost: compiling, loading, a call in each language that is there, memory, and what a
//! hostile one costs the others. `./dev bench plugins` runs only these.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use mercury::{
    config::PluginConfig,
    plugins::{Compiler, Consultation, Interface, Manifest, Plugins, Services},
    store::Store,
};
use mercury_tests::{
    guests::{Guest, World},
    plugins::{Engine, Installed, caller, fixture},
};

use crate::{median, percentile, show};

/// Calls of a guard for one figure.
const CALLS: usize = 10_000;
/// Callers of an attacker at once.
const ATTACKERS: usize = 8;
/// An attack is under way for so long before the guard's calls count, apart from the first one.
const UNDER_WAY: Duration = Duration::from_secs(1);

pub(crate) async fn run() {
    println!("component                       size    compile       load   call p50   call p99");
    for (name, provides, wasm) in components() {
        costs(&name, provides, wasm).await;
    }
    idle_memory().await;
    throughput().await;
    for mode in ["loop", "grow", "calls", "log", "huge", "park", "trap"] {
        beside(mode).await;
    }
    crate::webhooks::run().await;
}

/// A guard of each kind that is there: hand-written, Rust, and the examples that somebody built.
fn components() -> Vec<(String, Interface, Vec<u8>)> {
    let smallest = Guest { body: "(i32.const 64)".into(), ..Guest::default() };
    let smallest = World::of_contract("export mercury:plugin/tool-guard@0.2.0;").component(&smallest);
    let mut found = vec![
        ("smallest, by hand".to_owned(), Interface::ToolGuard, smallest),
        ("small guard, Rust".to_owned(), Interface::ToolGuard, std::fs::read(fixture("hostile")).unwrap()),
        (
            "permission-guard, Rust".to_owned(),
            Interface::ToolGuard,
            std::fs::read(fixture("permission_guard")).unwrap(),
        ),
    ];
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/examples");
    for folder in std::fs::read_dir(examples).into_iter().flatten().flatten() {
        let Ok(manifest) = Manifest::read(&folder.path()) else { continue };
        let built = folder.path().join(&manifest.component);
        let callable = [Interface::ToolGuard, Interface::PromptGuard, Interface::ResultProcessor];
        let provides = callable.into_iter().find(|interface| manifest.provides.contains(interface));
        if let (Ok(wasm), Some(provides)) = (std::fs::read(built), provides) {
            found.push((format!("example, {}", folder.file_name().to_string_lossy()), provides, wasm));
        }
    }
    found
}

/// Loads a folder with one plugin twice: what the first adds to the second is compiling.
async fn costs(name: &str, provides: Interface, wasm: Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let size = wasm.len();
    install(folder.path(), "measured", provides, &wasm);
    let began = Instant::now();
    drop(load(folder.path()).await);
    let compiled = began.elapsed();
    let began = Instant::now();
    let plugins = load(folder.path()).await;
    let loaded = began.elapsed();
    let mut calls = Vec::new();
    for _ in 0..1_000 {
        let began = Instant::now();
        call(&plugins, provides).await;
        calls.push(began.elapsed());
    }
    println!(
        "{name:<26} {:>6} KiB {:>10} {:>10} {:>10} {:>10}",
        size >> 10,
        show(compiled.saturating_sub(loaded)),
        show(loaded),
        show(median(&calls)),
        show(percentile(&calls, 99)),
    );
}

fn install(data_dir: &Path, name: &str, provides: Interface, wasm: &[u8]) {
    let folder: PathBuf = data_dir.join("plugins").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = format!(
        "name = \"{name}\"\nversion = \"0.1.0\"\ncomponent = \"plugin.wasm\"\nprovides = [\"{}\"]\n",
        provides.name()
    );
    std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    std::fs::write(folder.join("plugin.wasm"), wasm).unwrap();
}

/// Without the components that come with the host.
async fn load(data_dir: &Path) -> Plugins {
    let off = PluginConfig { enabled: Some(false), ..PluginConfig::default() };
    let configured: BTreeMap<_, _> = mercury::plugins::built_in().map(|name| (name.to_owned(), off.clone())).collect();
    let services = Arc::new(Services::new(Store::open(&data_dir.join("state.db")).unwrap()));
    Plugins::load(data_dir, &configured, Compiler::InProcess, services).await.unwrap()
}

async fn call(plugins: &Plugins, interface: Interface) {
    match interface {
        Interface::PromptGuard => drop(plugins.check_prompt(caller(), "hello", Vec::new()).await),
        Interface::ResultProcessor => {
            let keeping = mercury::plugins::Keeping { folder: Path::new("unused"), is_allowed: false };
            drop(plugins.process(result(), Vec::new(), keeping).await);
        }
        _ => drop(plugins.consult(&caller(), "bash", r#"{"command":"ls"}"#, &Consultation::default()).await),
    }
}

fn result() -> mercury::plugins::processor::RunResult {
    mercury::plugins::processor::RunResult {
        run: "r".into(),
        caller: caller(),
        platform: "api".into(),
        prompt: "hello".into(),
        scheduled: false,
        reply: "A reply of a usual length, with **some** markup.".into(),
        failure: None,
        attachments: Vec::new(),
        usage: None,
        duration_ms: 1,
    }
}

/// Resident memory that one more loaded plugin takes, over 40 of them.
async fn idle_memory() {
    const PLUGINS: u64 = 40;
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let wasm = std::fs::read(fixture("hostile")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    install(folder.path(), "p0", Interface::ToolGuard, &wasm);
    drop(load(folder.path()).await);
    let before = resident();
    for n in 1..=PLUGINS {
        install(folder.path(), &format!("p{n}"), Interface::ToolGuard, &wasm);
    }
    let plugins = load(folder.path()).await;
    println!("memory             {} KiB for each idle plugin", (resident().saturating_sub(before)) / PLUGINS);
    drop(plugins);
}

async fn throughput() {
    let engine = Arc::new(Engine::start(&[]).await);
    let began = Instant::now();
    let callers = (0..8).map(|_| {
        let engine = engine.clone();
        tokio::spawn(async move {
            for _ in 0..CALLS / 8 {
                engine.tool("bash", r#"{"command":"ls -la | head -3 && git status"}"#).await;
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let took = began.elapsed();
    println!("guard calls        {CALLS} in {}, {:.0} a second", show(took), CALLS as f64 / took.as_secs_f64());
}

/// A guard's calls with and without an attacker beside it, in turns, so that both see the same machine: in
/// the first moments of an attack, when nothing is known of the attacker, and later.
async fn beside(mode: &str) {
    let manifest = format!("[settings.mode]\ndescription = \"m\"\ndefault = \"{mode}\"\n");
    let wasm = std::fs::read(fixture("hostile")).unwrap();
    let attacker = Installed { name: "attacker", provides: "\"prompt-guard\"", manifest: &manifest, wasm };
    let engine = Arc::new(Engine::start(&[attacker]).await);
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    alone.extend(guard_calls(&engine).await);
    let first = attacked(&engine, Duration::ZERO).await;
    for _ in 0..4 {
        alone.extend(guard_calls(&engine).await);
        together.extend(attacked(&engine, UNDER_WAY).await);
    }
    println!(
        "guard beside {mode:<6} p50 {:>8} alone, {:>8} at first, {:>8} then; p99 {:>8} alone, {:>8} at first, {:>8} then",
        show(median(&alone)),
        show(median(&first)),
        show(median(&together)),
        show(percentile(&alone, 99)),
        show(percentile(&first, 99)),
        show(percentile(&together, 99)),
    );
}

/// The guard's calls while the attacker is called without a pause, from `under_way` after its beginning.
async fn attacked(engine: &Arc<Engine>, under_way: Duration) -> Vec<Duration> {
    let stop = Arc::new(AtomicBool::new(false));
    let attacks: Vec<_> = (0..ATTACKERS)
        .map(|_| {
            let (engine, stop) = (engine.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    engine.prompt("hi").await;
                }
            })
        })
        .collect();
    tokio::time::sleep(under_way).await;
    let calls = guard_calls(engine).await;
    stop.store(true, Ordering::Relaxed);
    for attack in attacks {
        attack.await.unwrap();
    }
    calls
}

async fn guard_calls(engine: &Engine) -> Vec<Duration> {
    let mut calls = Vec::with_capacity(CALLS / 8);
    for _ in 0..CALLS / 8 {
        let began = Instant::now();
        engine.tool("bash", r#"{"command":"ls -la | head -3 && git status"}"#).await;
        calls.push(began.elapsed());
    }
    calls
}
