//! What a run gets (oauth.md cases 26, 27, 42 to 48, 50).

use std::collections::BTreeMap;

use mercury::credentials::{CredentialError, ForRun};
use serde_json::json;

use super::setup::{BLOB, Bench};

fn given(run: &ForRun) -> Vec<(String, String)> {
    let pairs: Vec<_> = run.credentials.environment.clone().into_iter().collect();
    for (name, value) in &pairs {
        assert!(!value.contains("first") || value == "access-of-first", "{name} holds a refresh token");
        assert!(!value.starts_with('{'), "{name} holds a blob");
    }
    pairs
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// oauth.md #26, #27: only the access token, under the right name, from either variable.
#[tokio::test]
async fn a_bare_access_token() {
    for variable in [BLOB, "MERCURY_ANTHROPIC_API_KEY"] {
        let bench = Bench::new().await;
        let blob = bench.blob("first", 3600);
        let run = bench.set(variable, blob).open().for_run(["anthropic"]).await;
        assert_eq!(given(&run), [pair("ANTHROPIC_OAUTH_TOKEN", "access-of-first")], "{variable}");
        assert!(run.refused.is_empty());
    }
}

/// W10: a run's token is good for its whole time.
#[tokio::test]
async fn good_for_the_whole_run() {
    let bench = Bench::new().await.blob_ending_in(359);
    let run = bench.open().for_run(["anthropic"]).await;
    assert_eq!(given(&run), [pair("ANTHROPIC_OAUTH_TOKEN", "sk-ant-oat01-1")]);
}

/// oauth.md #42, #43, #48: every leg's provider, once each.
#[tokio::test]
async fn every_leg() {
    let bench = Bench::new().await.set("MERCURY_OPENAI_API_KEY", "o");
    bench.sign_in("github-copilot", "github", -1);
    bench.sign_in("anthropic", "first", -1);
    let run = bench.open().for_run(["openai", "github-copilot", "anthropic", "anthropic"]).await;
    let names: Vec<_> = given(&run).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["ANTHROPIC_OAUTH_TOKEN", "COPILOT_GITHUB_TOKEN", "OPENAI_API_KEY"]);
    assert_eq!(bench.provider.refreshes().len(), 2);
}

/// oauth.md #44, #50: what the run brings along wins; the sign-in is not touched.
#[tokio::test]
async fn brought_along() {
    let bench = Bench::new().await;
    bench.sign_in("anthropic", "first", -1);
    let brought = BTreeMap::from([("ANTHROPIC_API_KEY".to_owned(), "extension".to_owned())]);
    let run = bench.open().for_run_beside(["anthropic"], &brought).await;
    assert!(given(&run).is_empty() && run.refused.is_empty());
    assert!(bench.provider.refreshes().is_empty());
}

/// oauth.md #45: nothing is spent for what cannot be passed; one warning says so.
#[tokio::test]
async fn codex_cannot_be_passed() {
    let bench = Bench::new().await;
    bench.sign_in("openai-codex", "first", -1);
    let run = bench.open().for_run(["openai-codex"]).await;
    assert!(given(&run).is_empty());
    assert_eq!(run.refused["openai-codex"], CredentialError::NotPassable { provider: "openai-codex".into() });
    assert!(bench.provider.refreshes().is_empty());
    assert_eq!(bench.log.lines("WARN").len(), 1, "{}", bench.log.text());
}

/// oauth.md #46: nothing configured, an empty chain, an unknown provider.
#[tokio::test]
async fn nothing() {
    let bench = Bench::new().await;
    assert!(bench.open().for_run([]).await.refused.is_empty());
    let run = bench.open().for_run(["nobody", "openai-codex"]).await;
    assert!(given(&run).is_empty());
    assert!(run.refused.values().all(|error| matches!(error, CredentialError::Missing { .. })), "{:?}", run.refused);
}

/// oauth.md #47: a leg that fails does not take the others with it.
#[tokio::test]
async fn one_leg_fails() {
    let bench = Bench::new().await.set("MERCURY_GROQ_API_KEY", "g");
    bench.sign_in("anthropic", "unknown", -1);
    let run = bench.open().for_run(["anthropic", "groq"]).await;
    assert_eq!(given(&run), [pair("GROQ_API_KEY", "g")]);
    assert!(matches!(run.refused["anthropic"], CredentialError::Reconnect { .. }));
    assert!(json!(run.credentials).to_string().contains("GROQ"), "it is what entry reads");
}
