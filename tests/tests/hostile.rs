//! Components that attack: each harms its own call and nothing else. What ended a call is read from the
//! host's own figures, and time is the guest's computing time, so that a slow machine proves nothing.
#![allow(clippy::unwrap_used)]

#[allow(unreachable_pub, reason = "public for the fuzz targets")]
#[path = "../../fuzz/src/host_calls.rs"]
mod host_calls;

use std::{collections::BTreeMap, path::Path, time::Duration};

use mercury::plugins::{Answer, Seen, verdicts::Verdict};
use mercury_tests::{
    guests::{Guest, World},
    plugins::{Engine, Installed, fixture},
};
use proptest::{prelude::*, test_runner::TestRunner};

/// Two ticks of the guests' clock.
const TWO_TICKS: Duration = Duration::from_millis(20);
const DEADLINE: Duration = Duration::from_secs(1);
/// The limits of every attacker here.
const LIMITS: &str = "[limits]\nmemory-mib = 64\ndeadline-ms = 1000\nhost-calls = 300\nresult-kib = 1024\n";
const GUARD: &str = "export mercury:plugin/prompt-guard@0.2.0;";

async fn engine(wasm: Vec<u8>, manifest: &str) -> Engine {
    let manifest = format!("{LIMITS}{manifest}");
    Engine::start(&[Installed { name: "attacker", provides: "\"prompt-guard\"", manifest: &manifest, wasm }]).await
}

/// Attacks once, while an honest guard has to go on deciding rightly; what the host saw of the attacker.
async fn attack(engine: &Engine) -> (Answer, Seen) {
    let honest = async {
        for _ in 0..8 {
            let denied = engine.tool("read", r#"{"path":"/run/mercury-io/input.json"}"#).await;
            assert!(matches!(denied, Verdict::Deny(_)), "{denied:?}");
            let allowed = engine.tool("bash", r#"{"command":"ls"}"#).await;
            assert!(matches!(allowed, Verdict::Allow), "{allowed:?}");
        }
    };
    let (answer, ()) = tokio::join!(engine.prompt("hi"), honest);
    (answer, engine.seen("attacker"))
}

/// The attacker denied its own call, for this reason and no other.
fn contained(what: &str, (answer, seen): &(Answer, Seen), fault: &str) {
    let refused = Answer::Deny("the guard attacker is unavailable, so this is not allowed".into());
    assert_eq!(*answer, refused, "{what}");
    let said = seen.last_error.as_ref().map(|error| error.text.as_str());
    assert_eq!(seen.faults, BTreeMap::from([(fault, 1)]), "{what}: {said:?}");
    let computed = Duration::from_secs_f64(seen.cpu_seconds);
    assert!(computed < DEADLINE + TWO_TICKS, "{what} computed for {computed:?}");
    assert!(seen.memory_bytes <= 64 << 20, "{what} had {} bytes", seen.memory_bytes);
}

fn mode(mode: &str) -> String {
    format!("[settings.mode]\ndescription = \"how it attacks\"\ndefault = \"{mode}\"\n[kv]\nquota-bytes = 65536\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_ends_the_call_that_exceeds_it() {
    let wasm = std::fs::read(fixture("hostile")).unwrap();
    for (how, fault, says) in [
        ("trap", "trap", "hostile says boom"),
        ("grow", "memory", "limits.memory-mib"),
        ("calls", "host-calls", "limits.host-calls"),
        ("flood", "host-calls", "limits.host-calls"),
        ("log", "log", "1024 KiB"),
        ("huge", "handed-over", "limits.result-kib"),
        ("huge-call", "handed-over", "limits.result-kib"),
    ] {
        let engine = engine(wasm.clone(), &mode(how)).await;
        let outcome = attack(&engine).await;
        contained(how, &outcome, fault);
        let said = outcome.1.last_error.unwrap().text;
        assert!(said.contains(says), "{how}: {said}");
        let kept: usize = engine.plugins.loaded()[0].log_lines(usize::MAX).iter().map(|line| line.text.len()).sum();
        assert!(kept <= 256 << 10, "{how}: {kept} bytes of log");
    }
}

/// A short deadline: a slow machine must not make the guard's patience end first.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_ends_at_its_deadline() {
    let wasm = std::fs::read(fixture("hostile")).unwrap();
    let manifest = format!("[limits]\ndeadline-ms = 20\n{}", mode("loop"));
    let attacker = Installed { name: "attacker", provides: "\"prompt-guard\"", manifest: &manifest, wasm };
    let outcome = attack(&Engine::start(&[attacker]).await).await;
    contained("loop", &outcome, "deadline");
    let computed = Duration::from_secs_f64(outcome.1.cpu_seconds);
    assert!((Duration::from_millis(20)..Duration::from_millis(20) + TWO_TICKS).contains(&computed), "{computed:?}");
    assert!(outcome.1.last_error.unwrap().text.contains("20 ms (limits.deadline-ms"));
}

/// Rust's recursion runs out of its own stack inside its memory; a module without one out of the engine's.
#[tokio::test(flavor = "multi_thread")]
async fn recursion_ends_at_either_stack() {
    let wasm = std::fs::read(fixture("hostile")).unwrap();
    contained("recurse", &attack(&engine(wasm, &mode("recurse")).await).await, "trap");
    let guest = Guest {
        more: "(func $deep (param i32) (call $deep (local.get 0)) (call $deep (local.get 0)))".into(),
        body: "(call $deep (i32.const 1)) unreachable".into(),
        ..Guest::default()
    };
    let wasm = World::of_contract(GUARD).component(&guest);
    contained("deep", &attack(&engine(wasm, "").await).await, "stack");
}

/// extensions.md #21: a parked guest computes nothing: the guard's patience of 2 s ends its call, which is denied with
/// the reason, and no other waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_parked_guest_is_left_behind() {
    let engine = engine(std::fs::read(fixture("hostile")).unwrap(), &mode("park")).await;
    let (answer, seen) = attack(&engine).await;
    let Answer::Deny(said) = answer else { panic!("{answer:?}") };
    assert!(said.contains("is unavailable"), "{said}");
    assert_eq!((seen.timeouts, seen.faults.len()), (1, 0));
    assert!(Duration::from_secs_f64(seen.cpu_seconds) < DEADLINE, "{}", seen.cpu_seconds);
}

/// What only costs a refusal is a value that the guest can read, and it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_quota_is_an_error_and_no_fault() {
    let engine = engine(std::fs::read(fixture("hostile")).unwrap(), &mode("fill")).await;
    let (answer, seen) = attack(&engine).await;
    let Answer::Deny(said) = answer else { panic!("{answer:?}") };
    assert!(said.contains("QuotaExceeded"), "{said}");
    assert_eq!((seen.answered, seen.faults.len()), (1, 0));
    assert!(seen.host_calls > 1);
}

/// Calls of one plugin wait for each other beyond its own bound, and leave the others theirs.
#[tokio::test(flavor = "multi_thread")]
async fn one_plugin_cannot_take_every_place() {
    let manifest = format!("{}[limits]\nconcurrency = 16\n", mode("park"));
    let wasm = std::fs::read(fixture("hostile")).unwrap();
    let installed = Installed { name: "attacker", provides: "\"prompt-guard\"", manifest: &manifest, wasm };
    // Several times: a slow machine may take longer for three calls than the attackers' two seconds. With an engine
    // each, for who has failed is called seldom.
    for _ in 0..5 {
        let engine = Engine::start(std::slice::from_ref(&installed)).await;
        let attacks = futures_util::future::join_all((0..64).map(|_| engine.prompt("hi")));
        let honest = async {
            for _ in 0..3 {
                assert!(matches!(engine.tool("bash", r#"{"command":"ls"}"#).await, Verdict::Allow));
            }
            engine.seen("attacker").calls
        };
        let (answers, over_meanwhile) = tokio::join!(attacks, honest);
        assert!(answers.iter().all(|answer| matches!(answer, Answer::Deny(_))));
        // None of those was over yet: the honest guard did not wait for one.
        if over_meanwhile == 0 {
            return;
        }
    }
    panic!("the honest guard waited for the attackers each time");
}

/// An answer in memory: `deny` with a text at an address.
fn deny(text: u32, length: u32) -> Vec<u8> {
    [1_u32, text, length, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Values that break the canonical ABI, on the way in and on the way out.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_value_traps_its_own_guest() {
    let answer =
        |bytes: Vec<u8>| Guest { body: "(i32.const 64)".into(), data: [(64, bytes)].into(), ..Guest::default() };
    let returns = |body: &str| Guest { body: body.into(), ..Guest::default() };
    let log = |call: &str| returns(&format!("(call $log.write {call}) (i32.const 64)"));
    let bad_text = [(1024, vec![0xff, 0xfe, 0xc0])];
    let with_bad_text = |mut guest: Guest| {
        guest.data.extend(bad_text.clone());
        guest
    };
    let cases = [
        ("text that is no UTF-8", with_bad_text(answer(deny(1024, 3)))),
        ("text beyond the memory", answer(deny(0xffff_fff0, 64))),
        ("text as long as the address space", answer(deny(0, u32::MAX))),
        ("an unknown case", answer(vec![77; 24])),
        ("an answer at an odd address", returns("(i32.const 66)")),
        ("an answer beyond the memory", returns("(i32.const 0x7ffffffc)")),
        ("a trap behind the answer", Guest { after: "unreachable".into(), ..answer(vec![0; 24]) }),
        (
            "a call of the host behind the answer",
            Guest {
                after: "(call $log.write (i32.const 0) (i32.const 0) (i32.const 0))".into(),
                ..answer(vec![0; 24])
            },
        ),
        ("an allocation beyond the memory", Guest { realloc: Some("(i32.const -16)".into()), ..answer(vec![0; 24]) }),
        (
            "an allocation that calls the host",
            Guest {
                realloc: Some("(call $log.write (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 4096)".into()),
                ..answer(vec![0; 24])
            },
        ),
        ("an allocation that traps", Guest { realloc: Some("unreachable".into()), ..answer(vec![0; 24]) }),
        ("a level that is none", log("(i32.const 99) (i32.const 0) (i32.const 0)")),
        ("a line beyond the memory", log("(i32.const 0) (i32.const 0xfffffff0) (i32.const 64)")),
        ("a line that is no UTF-8", with_bad_text(log("(i32.const 0) (i32.const 1024) (i32.const 3)"))),
        (
            "room for an answer beyond the memory",
            returns("(call $kv.get (i32.const 0) (i32.const 1) (i32.const 0x7ffffff0)) (i32.const 64)"),
        ),
    ];
    let world =
        World::of_contract(&format!("import mercury:plugin/log@0.2.0; import mercury:plugin/kv@0.2.0; {GUARD}"));
    for (what, guest) in cases {
        let engine = engine(world.component(&guest), "[kv]\nquota-bytes = 1024\n").await;
        contained(what, &attack(&engine).await, "trap");
    }
    // The same guest without a flaw is one that allows.
    let sound = engine(world.component(&answer(vec![0; 24])), "").await;
    assert_eq!(attack(&sound).await.0, Answer::Allow);
}

/// A component that does not come to its first call is refused when it is loaded.
#[tokio::test(flavor = "multi_thread")]
async fn an_endless_start_ends_at_the_deadline() {
    let guest = Guest {
        body: "unreachable".into(),
        more: "(func $spin (loop $again (br $again))) (start $spin)".into(),
        ..Guest::default()
    };
    let wasm = World::of_contract(GUARD).component(&guest);
    let manifest = "[limits]\ndeadline-ms = 20\n";
    let attacker = Installed { name: "attacker", provides: "\"prompt-guard\"", manifest, wasm };
    let refused = Engine::try_start(&[attacker], true).await.err().unwrap().to_string();
    assert!(refused.contains("limits.deadline-ms") && refused.contains("plugins.attacker.enabled"), "{refused}");
}

/// Memory is bounded over memories and tables together; a guest that is refused more may go on.
#[tokio::test(flavor = "multi_thread")]
async fn tables_count_as_memory() {
    let grow = "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
        (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (i32.const 64)";
    let guest = Guest { body: grow.into(), more: "(table $t 0 funcref)".into(), ..Guest::default() };
    let engine = engine(World::of_contract(GUARD).component(&guest), "").await;
    let (answer, seen) = attack(&engine).await;
    assert_eq!((answer, seen.answered), (Answer::Allow, 1));
    assert!((63 << 20..=64 << 20).contains(&seen.memory_bytes), "{}", seen.memory_bytes);
}

/// A plugin that fails again and again is left alone, unless that would close something.
#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_spares_guards_and_required_processors() {
    let world = World::of_contract("export mercury:plugin/result-processor@0.2.0;");
    let wasm = world.component(&Guest { body: "unreachable".into(), ..Guest::default() });
    let provides = "\"result-processor\"";
    let manifest = "required = true\n";
    let engine = Engine::start(&[
        Installed { name: "a-optional", provides, manifest: "", wasm: wasm.clone() },
        Installed { name: "b-required", provides, manifest, wasm },
    ])
    .await;
    for _ in 0..7 {
        let keeping = mercury::plugins::Keeping { folder: Path::new("unused"), is_allowed: false };
        let processed = engine.plugins.process(result(), Vec::new(), keeping).await;
        assert!(
            matches!(&processed, mercury::plugins::Processed::Withhold { plugin } if plugin == "b-required"),
            "{processed:?}"
        );
    }
    let world = World::of_contract("export mercury:plugin/run-hook@0.2.0;");
    let wasm = world.component(&Guest { body: "unreachable".into(), ..Guest::default() });
    let hooks = Engine::start(&[Installed { name: "c-hook", provides: "\"run-hook\"", manifest: "", wasm }]).await;
    for _ in 0..7 {
        let run = mercury::plugins::run::Run {
            id: "r".into(),
            caller: mercury_tests::plugins::caller(),
            prompt: "p".into(),
            attachments: Vec::new(),
            scheduled: false,
        };
        let prepared = hooks.plugins.before_run(run, Vec::new()).await;
        assert!(matches!(&prepared, mercury::plugins::Prepared::Failed { plugin } if plugin == "c-hook"));
    }
    assert_eq!((hooks.seen("c-hook").calls, hooks.seen("c-hook").skipped), (7, 0));
    let (optional, required) = (engine.seen("a-optional"), engine.seen("b-required"));
    assert_eq!((optional.calls, optional.skipped), (5, 2));
    assert_eq!((required.calls, required.skipped), (7, 0));
    let loaded = engine.plugins.loaded();
    let resting = loaded.iter().filter(|plugin| plugin.is_resting());
    assert_eq!(resting.map(|plugin| plugin.name()).collect::<Vec<_>>(), ["a-optional"]);
}

/// Promise 10: what fails again and again, and is a guard, denies all the same and is called seldom. After 5 ms of
/// computing it rests for half a second, so that of those who ask at once few reach it before their time is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_fails_in_a_row_is_paced() {
    let manifest = format!("{}[limits]\ndeadline-ms = 5\nconcurrency = 4\n", mode("loop"));
    let wasm = std::fs::read(fixture("hostile")).unwrap();
    let attacker = Installed { name: "attacker", provides: "\"prompt-guard\"", manifest: &manifest, wasm };
    let engine = Engine::start(&[attacker]).await;
    let answers = futures_util::future::join_all((0..64).map(|_| engine.prompt("hi"))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Answer::Deny(_))));
    let calls = engine.seen("attacker").calls;
    assert!((5..20).contains(&calls), "{calls} of 64 calls were made");
}

fn result() -> mercury::plugins::processor::RunResult {
    mercury::plugins::processor::RunResult {
        run: "r".into(),
        caller: mercury_tests::plugins::caller(),
        platform: "api".into(),
        prompt: "p".into(),
        scheduled: false,
        reply: "r".into(),
        failure: None,
        attachments: Vec::new(),
        usage: None,
        duration_ms: 1,
    }
}

/// One host call with whatever numbers: which function, and an argument for each of its parameters.
type RandomCall = (prop::sample::Index, Vec<u64>);

fn random_number() -> impl Strategy<Value = u64> {
    prop_oneof![0..4_u64, 0..8192_u64, (0..2048_u64).prop_map(|word| word * 8), any::<u64>()]
}

fn random_guest() -> impl Strategy<Value = (Vec<RandomCall>, Vec<u8>)> {
    let call = (any::<prop::sample::Index>(), prop::collection::vec(random_number(), 24));
    let words = prop_oneof![0..64_u32, 0..8192_u32, any::<u32>()];
    let memory = prop::collection::vec(words, 0..256)
        .prop_map(|words| words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    (prop::collection::vec(call, 1..12), memory)
}

/// Promise 22: whatever a guest hands to the host's functions, in whatever order, the host's own code
/// does not fail, and the plugins beside it go on.
#[test]
fn host_calls_with_arbitrary_values() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let world = host_calls::world();
    let functions = world.imports();
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&random_guest(), |(calls, memory)| {
        let calls: Vec<_> = calls.into_iter().map(|(which, numbers)| (which.index(functions.len()), numbers)).collect();
        let wasm = world.component(&host_calls::guest(&functions, &calls, memory));
        let (answer, seen) = runtime.block_on(async {
            let engine = engine(wasm, host_calls::GRANTS).await;
            attack(&engine).await
        });
        prop_assert!(!seen.faults.contains_key("host"), "{:?}", seen.last_error);
        prop_assert!(seen.answered == 1 || matches!(answer, Answer::Deny(_)));
        Ok(())
    });
    outcome.unwrap();
}
