//! The `entry` binary with a `pi` that fails in different ways: which model is asked next.

use std::time::{Duration, Instant};

use crate::stage::{Stage, assistant, failed};
use serde_json::{Value, json};

/// A pi whose first call prints `first`, and later ones a reply that names the model.
fn first_then_reply(first: &str) -> Stage {
    Stage::new(&format!(
        "cat > /dev/null\nif [ \"$N\" = 1 ]; then\ncat <<'END'\n{first}\nEND\nelse echo '{}' | sed \"s/MODEL/$9/\"; fi",
        assistant("MODEL")
    ))
}

fn chain(legs: &[(&str, &str)], retries: u32) -> Value {
    let legs: Vec<_> = legs.iter().map(|(provider, model)| json!({"provider": provider, "model": model})).collect();
    json!({"model": {"chain": legs, "maxRetriesPerLeg": retries}})
}

/// agent-entry.md #13
#[test]
fn a_passing_failure_is_repeated() {
    let stage = first_then_reply(&failed("503 unavailable")).with(chain(&[("a", "m1")], 2));
    let (result, ..) = stage.run();
    assert_eq!((result.reply.as_deref(), stage.calls()), (Some("m1"), 2));
    let times = stage.note("times").unwrap();
    let times: Vec<u64> = times.lines().map(|it| it.parse().unwrap()).collect();
    // Far above 600 only because the start of a process on a busy machine takes its time.
    assert!((300..10_000).contains(&(times[1] - times[0])), "{times:?}");
    // Weakness E8: the failed attempt is counted as well.
    assert_eq!(result.usage.unwrap().input_tokens, 11);
}

/// agent-entry.md #14
#[test]
fn a_rate_limit_leads_to_the_next_leg() {
    let stage = first_then_reply(&failed("429 {\"error\":\"slow\"}")).with(chain(&[("a", "m1"), ("a", "m2")], 2));
    let (result, ..) = stage.run();
    assert_eq!((result.reply.as_deref(), stage.calls()), (Some("m2"), 2));
}

/// agent-entry.md #15, improved
#[test]
fn a_refused_credential_leads_to_another_provider() {
    let stage = first_then_reply(&failed("401 no")).with(chain(&[("a", "m1"), ("a", "m2"), ("b", "m3")], 2));
    let (result, ..) = stage.run();
    assert_eq!((result.reply.as_deref(), stage.calls()), (Some("m3"), 2));
    let stage = first_then_reply(&failed("401 no")).with(chain(&[("a", "m1"), ("a", "m2")], 2));
    let (result, ..) = stage.run();
    assert_eq!((result.error.as_deref(), stage.calls()), (Some("401 no"), 1));
    assert_eq!(result.usage.unwrap().input_tokens, 1);
}

/// agent-entry.md #17
#[test]
fn the_last_error_is_reported() {
    let stage = Stage::new("cat > /dev/null; echo \"fail $N\" >&2; exit 1").with(chain(&[("a", "m1"), ("b", "m2")], 0));
    let error = stage.run().0.error.unwrap();
    assert!(error.ends_with("fail 2"), "{error}");
}

/// agent-entry.md #18
#[test]
fn cursor_is_refused() {
    let stage = Stage::new("").with(chain(&[("Cursor", "x")], 2));
    let (result, ..) = stage.run();
    assert!(result.error.unwrap().contains("no longer supported"));
    assert_eq!(stage.calls(), 0);
}

/// agent-entry.md, weakness E4
#[test]
fn a_missing_pi_or_key_fails_at_once() {
    let stage = Stage::new("").with(chain(&[("a", "m1"), ("b", "m2")], 5)).variable("PATH", "/nowhere");
    let started = Instant::now();
    let error = stage.run().0.error.unwrap();
    assert!(error.contains("no program 'pi'"), "{error}");
    let stage = Stage::new("echo 'No API key found for a.' >&2; exit 1").with(chain(&[("a", "m1"), ("a", "m2")], 5));
    stage.run();
    assert_eq!(stage.calls(), 1);
    assert!(started.elapsed() < Duration::from_secs(9));
}

/// agent-entry.md, weakness E5
#[test]
fn what_a_tool_did_is_not_done_twice() {
    let tool = r#"{"type":"tool_execution_start","toolCallId":"1","toolName":"bash","args":{}}"#;
    let stage = first_then_reply(&format!("{tool}\n{}", failed("503"))).with(chain(&[("a", "m1"), ("b", "m2")], 2));
    let (result, ..) = stage.run();
    assert_eq!((result.error.as_deref(), stage.calls()), (Some("503"), 1));
}

/// agent-entry.md, weakness E12: a model that never begins to answer.
#[test]
fn the_budget_ends_a_silent_attempt() {
    let stage = Stage::new("cat > /dev/null; echo '{\"type\":\"agent_start\"}'; sleep 60")
        .with(json!({"model": {"budgetMs": 700, "maxRetriesPerLeg": 3}}));
    let started = Instant::now();
    let error = stage.run().0.error.unwrap();
    assert!(error.contains("700 ms"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10) && stage.calls() == 1);
}

#[test]
fn the_budget_does_not_end_an_answer_under_way() {
    let stage = Stage::new(&format!(
        "cat > /dev/null; echo '{{\"type\":\"message_update\"}}'; sleep 2; echo '{}'",
        assistant("late")
    ))
    .with(json!({"model": {"budgetMs": 2000}}));
    assert_eq!(stage.run().0.reply.as_deref(), Some("late"));
}

/// pi's own retries are cut short where the chain can do better, and left alone after a tool ran.
#[test]
fn the_chain_takes_over_from_pis_retries() {
    let retry = r#"{"type":"auto_retry_start","attempt":1,"maxAttempts":3,"delayMs":1000,"errorMessage":"429"}"#;
    let stage = Stage::new(&format!(
        "cat > /dev/null\nif [ $N = 1 ]; then echo '{}'; echo '{retry}'; sleep 60; else echo '{}'; fi",
        failed("429"),
        assistant("second")
    ))
    .with(chain(&[("a", "m1"), ("b", "m2")], 2));
    let started = Instant::now();
    assert_eq!(stage.run().0.reply.as_deref(), Some("second"));
    assert!(started.elapsed() < Duration::from_secs(10));
}

/// A process that ends by a signal names it, and the attempt may be repeated.
#[test]
fn a_killed_pi_is_repeated() {
    let stage =
        Stage::new(&format!("cat > /dev/null\nif [ $N = 1 ]; then kill -9 $$; else echo '{}'; fi", assistant("again")))
            .with(chain(&[("a", "m1")], 1));
    assert_eq!(stage.run().0.reply.as_deref(), Some("again"));
    let stage = Stage::new("kill -9 $$");
    assert_eq!(stage.run().0.error.as_deref(), Some("pi was ended by signal 9"));
}
