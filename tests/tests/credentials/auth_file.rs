//! Sign-ins in auth.json (oauth.md cases 29 to 41).

use std::{os::unix::fs::PermissionsExt, time::Duration};

use mercury::credentials::{Condition, CredentialError};
use mercury_tests::oauth::Fault;
use serde_json::json;

use super::setup::{Bench, MINUTE, access, access_of, failure};

const HOURS: i64 = 3600;

/// oauth.md #29: nothing that is usable is none.
#[tokio::test]
async fn nothing_usable() {
    let bench = Bench::new().await;
    let missing = |error: CredentialError| matches!(error, CredentialError::Missing { .. });
    assert!(missing(failure(&bench.open()).await));
    bench.sign_in("anthropic", "first", HOURS);
    for content in ["{oops", "[]", r#"{"anthropic":{"type":"api_key","key":"k"}}"#, r#"{"anthropic":{"type":"oauth"}}"#]
    {
        std::fs::write(bench.auth_path(), content).unwrap();
        let credentials = bench.open();
        assert!(missing(failure(&credentials).await) && !credentials.has("anthropic"), "{content}");
    }
    bench.sign_in("groq", "first", HOURS);
    assert!(missing(bench.open().token("groq", MINUTE).await.unwrap_err()), "no sign-in is known for it");
}

/// oauth.md #49: the text names the place that was looked at; the remedies are in the failure.
#[tokio::test]
async fn what_is_missing_is_said() {
    let bench = Bench::new().await;
    let error = failure(&bench.open()).await;
    assert!(error.to_string().contains(&bench.auth_path().display().to_string()), "{error}");
    let next = error.into_failure(None).next_step();
    assert!(next.contains("MERCURY_ANTHROPIC_API_KEY") && next.contains("mercury auth login anthropic"), "{next}");
}

/// oauth.md #30: a key for Anthropic outranks its sign-in, and no other.
#[tokio::test]
async fn a_key_outranks_a_sign_in() {
    let bench = Bench::new().await.set("MERCURY_ANTHROPIC_API_KEY", "key");
    bench.sign_in("anthropic", "first", -HOURS);
    bench.sign_in("github-copilot", "github", HOURS);
    let credentials = bench.open();
    assert_eq!(access(&credentials).await, "key");
    assert_eq!(access_of(&credentials, "github-copilot").await, "access-of-github");
    assert!(bench.provider.refreshes().is_empty());
}

/// oauth.md #32: what is good is used, and the file is not touched (W12).
#[tokio::test]
async fn good_as_it_is() {
    let bench = Bench::new().await;
    bench.sign_in("anthropic", "first", HOURS);
    let before = std::fs::metadata(bench.auth_path()).unwrap().modified().unwrap();
    assert_eq!(access(&bench.open()).await, "access-of-first");
    assert!(bench.provider.refreshes().is_empty());
    assert_eq!(std::fs::metadata(bench.auth_path()).unwrap().modified().unwrap(), before);
}

/// oauth.md #33
#[tokio::test]
async fn an_expired_sign_in_is_renewed() {
    let bench = Bench::new().await;
    bench.sign_in("anthropic", "first", -1);
    bench.sign_in("openai-codex", "other", HOURS);
    let other = bench.signed_in()["openai-codex"].clone();
    std::fs::set_permissions(bench.auth_path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(access(&bench.open()).await, "sk-ant-oat01-1");
    let entry = &bench.signed_in()["anthropic"];
    assert_eq!((&entry["type"], &entry["refresh"]), (&json!("oauth"), &json!("refresh-1")));
    assert_eq!(entry["expires"], bench.now() + 28_800_000 - 300_000, "five minutes early, as pi keeps it");
    assert_eq!(bench.signed_in()["openai-codex"], other);
    assert_eq!(std::fs::metadata(bench.auth_path()).unwrap().permissions().mode() & 0o777, 0o600);
    let folder = bench.auth_path().parent().unwrap().to_owned();
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["auth.json", "auth.json.flock"]);
    bench.log.assert_discreet();
}

/// In the way of the temporary file lies a folder: no write succeeds.
fn block_writes(bench: &Bench) -> std::path::PathBuf {
    let blocker = bench.auth_path().with_file_name(format!("auth.json.{}.tmp", std::process::id()));
    std::fs::create_dir_all(&blocker).unwrap();
    blocker
}

/// oauth.md #34, A10: the new token is used, loudly, and written when that becomes possible.
#[tokio::test]
async fn rotated_but_not_saved() {
    let bench = Bench::new().await;
    bench.sign_in("anthropic", "first", -1);
    let blocker = block_writes(&bench);
    let credentials = bench.open();
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1");
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1", "the spent one is not tried again");
    let errors = bench.log.lines("ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    for field in ["critical=true", "authPath=", "previousRefresh=", "unsavedRefresh=", "error="] {
        assert!(errors[0].contains(field), "{field}: {}", errors[0]);
    }
    bench.log.assert_discreet();
    assert_eq!(credentials.standing().await[0].condition, Condition::Unsaved);
    std::fs::remove_dir(blocker).unwrap();
    bench.until(|| bench.signed_in()["anthropic"]["refresh"] == "refresh-1").await;
    assert_eq!(access(&bench.open()).await, "sk-ant-oat01-1", "after a start");
    assert_eq!(bench.provider.replays(), 0);
}

/// A10: what cannot be saved does not outlive a new sign-in, or its end.
#[tokio::test]
async fn signed_in_anew_while_unsaved() {
    let bench = Bench::new().await;
    bench.sign_in("anthropic", "first", -1);
    let _blocker = block_writes(&bench);
    let credentials = bench.open();
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1");
    bench.sign_in("anthropic", "anew", HOURS);
    assert_eq!(access(&credentials).await, "access-of-anew");
    std::fs::write(bench.auth_path(), "{}").unwrap();
    assert!(matches!(failure(&credentials).await, CredentialError::Missing { .. }));
}

/// oauth.md #35, A11: Copilot's GitHub token stays the same, so nothing is lost.
#[tokio::test]
async fn not_rotated_and_not_saved() {
    let bench = Bench::new().await;
    bench.sign_in("github-copilot", "github", -1);
    let _blocker = block_writes(&bench);
    assert_eq!(access_of(&bench.open(), "github-copilot").await, "tid=1");
    assert!(bench.log.lines("ERROR").is_empty());
    assert!(bench.log.lines("WARN").iter().any(|line| line.contains("nothing is lost")), "{}", bench.log.text());
}

/// oauth.md #36: named by provider and file; the next call does not try the dead one again.
#[tokio::test]
async fn a_rejected_sign_in() {
    let bench = Bench::new().await;
    bench.sign_in("anthropic", "unknown", -1);
    let credentials = bench.open();
    for _ in 0..2 {
        let CredentialError::Reconnect { provider, place, detail } = failure(&credentials).await else { panic!() };
        assert_eq!((provider.as_str(), place), ("anthropic", bench.auth_path().display().to_string()));
        assert!(detail.contains("invalid_grant") && detail.contains("mercury auth login anthropic"), "{detail}");
    }
    assert_eq!(bench.provider.refreshes(), ["unknown"]);
    // Signing in again is noticed without a restart.
    bench.sign_in("anthropic", "first", HOURS);
    assert_eq!(access(&credentials).await, "access-of-first");
    assert_eq!(credentials.standing().await[0].condition, Condition::Good);
}

/// oauth.md #49, W13: for five minutes after the stored end the token works, should the renewal fail.
#[tokio::test]
async fn the_five_minutes() {
    let bench = Bench::new().await;
    bench.sign_in("anthropic", "first", -1);
    bench.provider.next([Fault::Status(500, String::new()), Fault::Status(500, String::new())]);
    let credentials = bench.open();
    assert_eq!(access(&credentials).await, "access-of-first");
    bench.pass(Duration::from_secs(300));
    let error = failure(&credentials).await;
    assert!(matches!(error, CredentialError::RefreshFailed { .. }), "{error:?}");
    assert!(error.to_string().contains(&bench.auth_path().display().to_string()), "{error}");
    let next = error.into_failure(None).next_step();
    assert!(next.contains("mercury auth login anthropic") && next.contains("API key"), "{next}");
    bench.pass(Duration::from_secs(600));
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1");
}

/// oauth.md #37, #39: two at once are one call, also where the same file has two spellings.
#[tokio::test]
async fn two_spellings_at_once() {
    let bench = Bench::new().await;
    bench.sign_in("anthropic", "first", -1);
    std::env::set_current_dir(bench.auth_path().parent().unwrap()).unwrap();
    let (one, other) = (bench.open(), bench.open_at("./auth.json".into()));
    assert_eq!(other.auth_path(), one.auth_path());
    let (a, b, c) = tokio::join!(access(&one), access(&other), access(&one));
    assert_eq!([a, b, c], ["sk-ant-oat01-1"; 3]);
    assert_eq!(bench.provider.refreshes(), ["first"]);
    bench.pass(Duration::from_secs(28_800));
    assert_eq!(access(&one).await, "sk-ant-oat01-2", "a later call asks again");
}

/// oauth.md #38
#[tokio::test]
async fn two_providers_at_once() {
    let bench = Bench::new().await;
    bench.sign_in("anthropic", "first", -1);
    bench.sign_in("github-copilot", "github", -1);
    let credentials = bench.open();
    let (anthropic, copilot) = tokio::join!(access(&credentials), access_of(&credentials, "github-copilot"));
    assert!(anthropic.starts_with("sk-ant-oat01-") && copilot.starts_with("tid="), "{anthropic} {copilot}");
    assert_eq!(bench.provider.refreshes().len(), 2);
    let file = bench.signed_in();
    assert_eq!((&file["anthropic"]["access"], &file["github-copilot"]["access"]), (&json!(anthropic), &json!(copilot)));
    assert_eq!(file["github-copilot"]["refresh"], "github", "it stays");
    assert_eq!(file["github-copilot"]["availableModelIds"], json!(["gpt-5"]));
}

/// Section 5.6: OpenAI's form and claims; a used refresh token has a word of its own there.
#[tokio::test]
async fn codex() {
    let bench = Bench::new().await;
    bench.sign_in("openai-codex", "first", -1);
    let credentials = bench.open();
    assert!(access_of(&credentials, "openai-codex").await.starts_with("jwt-1."));
    let entry = &bench.signed_in()["openai-codex"];
    assert_eq!((&entry["accountId"], &entry["expires"]), (&json!("account-1"), &json!(bench.now() + 28_800_000)));
    bench.sign_in("openai-codex", "used", -1);
    let error = credentials.token("openai-codex", MINUTE).await.unwrap_err();
    assert!(
        matches!(&error, CredentialError::Reconnect { detail, .. } if detail.contains("refresh_token_reused")),
        "{error}"
    );
}
