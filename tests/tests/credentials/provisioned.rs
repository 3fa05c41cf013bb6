//! A credential that a console gave by a variable (oauth.md cases 1 to 27).

use std::time::Duration;

use mercury::credentials::{Condition, CredentialError};
use mercury_tests::oauth::Fault;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::setup::{BLOB, Bench, MINUTE, access, failure};

/// oauth.md #1, #5, #20: renewed once, kept, and the next start goes on from there.
#[tokio::test]
async fn a_token_near_its_end_is_renewed() {
    let bench = Bench::new().await.blob_ending_in(30);
    let credentials = bench.open();
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1");
    assert_eq!(bench.provider.refreshes(), ["first"]);
    let kept = &bench.kept()["anthropic"];
    assert_eq!((&kept["access"], &kept["refresh"]), (&json!("sk-ant-oat01-1"), &json!("refresh-1")));
    assert_eq!(kept["expires"], bench.now() + 28_800_000);
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1");
    bench.pass(Duration::from_secs(28_800));
    assert_eq!(access(&credentials).await, "sk-ant-oat01-2");
    assert_eq!(bench.provider.refreshes(), ["first", "refresh-1"]);
    bench.log.assert_discreet();
}

/// oauth.md #2, #3
#[tokio::test]
async fn a_minute_is_the_edge() {
    let bench = Bench::new().await.blob_ending_in(60);
    let credentials = bench.open();
    assert_eq!(access(&credentials).await, "access-of-first");
    assert!(bench.provider.refreshes().is_empty() && !bench.provisioned_path().exists());
    bench.pass(Duration::from_millis(1));
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1");
}

/// oauth.md #4, #19: the console is told, exactly so.
#[tokio::test]
async fn the_console_is_told() {
    let bench = Bench::new().await.blob_ending_in(30).with_console();
    assert_eq!(access(&bench.open()).await, "sk-ant-oat01-1");
    bench.until_written(1).await;
    let (headers, body) = bench.console.writes().remove(0);
    assert_eq!(headers["authorization"], "Bearer console-secret-canary");
    assert_eq!(headers["content-type"], "application/json");
    let expected = json!({
        "agentId": "agent-7", "provider": "anthropic", "access": "sk-ant-oat01-1", "refresh": "refresh-1",
        "expires": bench.now() + 28_800_000,
    });
    assert_eq!(body, expected);
    assert_eq!(
        bench.console.fetches(),
        ["agentId=agent-7&provider=anthropic"],
        "asked before a refresh token is spent"
    );
}

/// oauth.md #6, #7: what the console lacks is said once; the token is as good.
#[tokio::test]
async fn a_console_that_cannot_be_told() {
    let bench = Bench::new().await.blob_ending_in(30).with_console().without_secret();
    assert_eq!(access(&bench.open()).await, "sk-ant-oat01-1");
    assert!(bench.console.writes().is_empty());
    let warnings = bench.log.lines("WARN");
    assert!(warnings.len() == 1 && warnings[0].contains("MERCURY_CONSOLE_INTERNAL_SECRET"), "{warnings:?}");
}

/// oauth.md #7
#[tokio::test]
async fn a_console_without_an_agent_id() {
    let bench = Bench::new().await.blob_ending_in(30).with_console().without_agent();
    assert_eq!(access(&bench.open()).await, "sk-ant-oat01-1");
    assert!(bench.console.writes().is_empty());
    let warnings = bench.log.lines("WARN");
    assert!(warnings.len() == 1 && warnings[0].contains("MERCURY_AGENT_ID"), "{warnings:?}");
}

/// oauth.md #8: a refused write-back is warned of once, in short, and sent again until it is taken.
#[tokio::test]
async fn a_write_back_that_is_refused() {
    let bench = Bench::new().await.blob_ending_in(30).with_console();
    bench.console.refuse(Some((500, format!("refresh-1 {}", "no ".repeat(400)))));
    assert_eq!(access(&bench.open()).await, "sk-ant-oat01-1");
    bench.until_written(2).await;
    bench.console.refuse(None);
    bench.until_written(3).await;
    let warnings = bench.log.lines("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let body = warnings[0].split("500 Internal Server Error: ").nth(1).unwrap().split(" provider=").next().unwrap();
    assert!(body.chars().count() <= 200 && body.contains("[redacted]"), "{body}");
    bench.log.assert_discreet();
}

/// oauth.md #9: nobody waits for the write-back.
#[tokio::test]
async fn a_write_back_that_hangs() {
    let bench = Bench::new().await.blob_ending_in(30).with_console();
    bench.console.hang();
    assert_eq!(access(&bench.open()).await, "sk-ant-oat01-1");
    // What was waited for would have been given up, and that is told.
    assert!(bench.log.lines("WARN").is_empty(), "{}", bench.log.text());
    bench.until_written(2).await;
}

/// oauth.md #10: the console's other credential is used where ours is rejected (D8).
#[tokio::test]
async fn recovered_by_the_console() {
    let bench = Bench::new().await.set(BLOB, "").with_console();
    let blob = bench.blob("unknown", 30);
    let bench = bench.set(BLOB, blob);
    // Older than ours, so that it is not taken for a later link of the same chain.
    let mut theirs = bench.blob("first", 29);
    bench.console.hold(theirs.clone());
    let credentials = bench.open();
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1", "it was near its end, too, and is renewed (W9)");
    assert_eq!(bench.provider.refreshes(), ["unknown", "first"]);
    assert!(bench.log.lines("INFO").iter().any(|line| line.contains("recovered")), "{}", bench.log.text());

    // The same with a fresh one: nothing is renewed.
    bench.pass(Duration::from_secs(28_800));
    bench.provider.next([Fault::Status(400, json!({ "error": "invalid_grant" }).to_string())]);
    theirs = bench.blob("another", 3600);
    bench.console.hold(theirs);
    assert_eq!(access(&credentials).await, "access-of-another");
    assert_eq!(bench.kept()["anthropic"]["refresh"], "another");
    assert_eq!(bench.provider.refreshes().len(), 3);
}

/// A later link at the console is taken before a refresh token is spent for nothing (section 9.5).
#[tokio::test]
async fn the_console_is_ahead() {
    let bench = Bench::new().await.blob_ending_in(30).with_console();
    bench.console.hold(bench.blob("theirs", 3600));
    assert_eq!(access(&bench.open()).await, "access-of-theirs");
    assert!(bench.provider.refreshes().is_empty());
    assert_eq!(bench.kept()["anthropic"]["refresh"], "theirs");
}

/// oauth.md #11, W5: the same answer every time, and nothing is sent twice.
#[tokio::test]
async fn rejected_and_the_console_has_the_same() {
    let bench = Bench::new().await.with_console();
    let blob = bench.blob("unknown", 30);
    let bench = bench.set(BLOB, &blob);
    bench.console.hold(blob);
    let credentials = bench.open();
    for _ in 0..3 {
        let error = failure(&credentials).await;
        assert!(matches!(error, CredentialError::Reconnect { .. }), "{error:?}");
        assert!(error.to_string().contains("invalid_grant") && error.to_string().contains("reconnect in the console"));
    }
    assert_eq!(bench.provider.refreshes(), ["unknown"]);
    let errors = bench.log.lines("ERROR");
    assert!(errors.len() == 1 && errors[0].contains("agent-7"), "{errors:?}");
    let standing = credentials.standing().await;
    assert!(matches!(standing[0].condition, Condition::Ended { .. }), "{standing:?}");
    assert!(standing[0].condition.warning("anthropic", BLOB).unwrap().contains("mercury auth login anthropic"));
}

/// oauth.md #12: said so where the console could not be asked, and it is asked again later.
#[tokio::test]
async fn rejected_and_the_console_is_away() {
    let bench = Bench::new().await.with_console();
    let blob = bench.blob("unknown", 30);
    let bench = bench.set(BLOB, blob);
    let credentials = bench.open();
    let error = failure(&credentials).await.to_string();
    assert!(error.contains("invalid_grant") && error.contains("could not be fetched"), "{error}");
    bench.console.hold(bench.blob("theirs", 7200));
    assert!(failure(&credentials).await.to_string().contains("could not be fetched"), "not at every message");
    bench.pass(MINUTE + Duration::from_millis(1));
    assert_eq!(access(&credentials).await, "access-of-theirs");
}

/// oauth.md #13
#[tokio::test]
async fn rejected_without_an_agent_id() {
    let bench = Bench::new().await.with_console().without_agent();
    let blob = bench.blob("unknown", 30);
    let error = failure(&bench.set(BLOB, blob).open()).await.to_string();
    assert!(error.contains("invalid_grant") && error.contains("reconnect"), "{error}");
}

/// oauth.md #14
#[tokio::test]
async fn rejected_without_a_console() {
    let bench = Bench::new().await;
    let blob = bench.blob("unknown", 30);
    let error = failure(&bench.set(BLOB, blob).open()).await.to_string();
    assert!(error.contains("invalid_grant") && error.contains("reconnect the account"), "{error}");
}

/// oauth.md #15: whatever may pass leaves the present token in use.
#[tokio::test]
async fn what_may_pass() {
    for fault in [
        Fault::Status(500, "oops".into()),
        Fault::RetryAfter(429, 1),
        Fault::Malformed,
        // A proxy's word, not the provider's.
        Fault::Status(401, "proxy authentication".into()),
        // The word alone does not make it a rejection (section 9.8).
        Fault::Status(500, "upstream said invalid_grant".into()),
        Fault::Status(400, json!({ "error": "invalid_request", "hint": "invalid_grant" }).to_string()),
    ] {
        let bench = Bench::new().await.blob_ending_in(30);
        bench.provider.next([fault.clone()]);
        assert_eq!(access(&bench.open()).await, "access-of-first", "{fault:?}");
        assert_eq!(bench.provider.refreshes(), ["first"]);
        assert!(!bench.provisioned_path().exists(), "nothing changed");
    }
}

/// oauth.md #15: nobody listens at the provider's address.
#[tokio::test]
async fn the_provider_is_away() {
    let mut bench = Bench::new().await.blob_ending_in(30);
    bench.provider = mercury_tests::oauth::Provider::absent().await;
    let credentials = bench.open();
    assert_eq!(access(&credentials).await, "access-of-first");
    let warnings = bench.log.lines("WARN");
    assert!(warnings.len() == 1 && warnings[0].contains("cannot connect"), "{warnings:?}");
    let standing = credentials.standing().await;
    assert!(matches!(standing[0].condition, Condition::RenewalFails { .. }), "{standing:?}");
    bench.pass(Duration::from_secs(31));
    let error = failure(&credentials).await;
    assert!(matches!(error, CredentialError::RefreshFailed { .. }), "a token that has ended is not tried: {error:?}");
}

/// oauth.md #16 as architecture.md has it: the rest comes after failures only.
#[tokio::test]
async fn a_rest_after_a_failure() {
    let bench = Bench::new().await.blob_ending_in(200);
    bench.provider.next([Fault::Status(503, String::new())]);
    let credentials = bench.open();
    let ask = || async { credentials.token("anthropic", Duration::from_secs(300)).await.unwrap() };
    ask().await;
    bench.pass(MINUTE);
    ask().await;
    assert_eq!(bench.provider.refreshes().len(), 1, "exactly a minute is not enough");
    assert_eq!(bench.log.lines("WARN").len(), 2);
    bench.pass(Duration::from_millis(1));
    ask().await;
    assert_eq!(bench.provider.refreshes().len(), 2);
    // Renewed: no rest now.
    bench.pass(Duration::from_secs(28_800));
    ask().await;
    assert_eq!(bench.provider.refreshes().len(), 3);
}

/// Section 9.3: a server's `Retry-After` is kept to.
#[tokio::test]
async fn a_longer_rest_where_the_server_asks_for_it() {
    let bench = Bench::new().await.blob_ending_in(250);
    bench.provider.next([Fault::RetryAfter(429, 180)]);
    let credentials = bench.open();
    let ask = || async { credentials.token("anthropic", Duration::from_secs(300)).await.unwrap() };
    ask().await;
    bench.pass(Duration::from_secs(180));
    ask().await;
    assert_eq!(bench.provider.refreshes().len(), 1);
    bench.pass(Duration::from_millis(1));
    ask().await;
    assert_eq!(bench.provider.refreshes().len(), 2);
}

/// oauth.md #17
#[tokio::test]
async fn an_answer_that_says_less() {
    let bench = Bench::new().await.blob_ending_in(30);
    bench.provider.next([Fault::Without(vec!["refresh_token", "expires_in"])]);
    assert_eq!(access(&bench.open()).await, "sk-ant-oat01-1");
    let kept = &bench.kept()["anthropic"];
    assert_eq!((&kept["refresh"], &kept["expires"]), (&json!("first"), &json!(bench.now() + 3_600_000)));
}

/// oauth.md #21: all who come at once get the new token, from one call.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once() {
    let bench = Bench::new().await.blob_ending_in(30);
    bench.provider.next([Fault::Late(Duration::from_millis(300))]);
    let credentials = bench.open();
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let credentials = credentials.clone();
            tokio::spawn(async move { access(&credentials).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "sk-ant-oat01-1");
    }
    assert_eq!(bench.provider.refreshes(), ["first"]);
}

/// oauth.md #22: while the present token works nobody waits for long; a late answer is kept all the same.
#[tokio::test]
async fn a_late_answer() {
    let bench = Bench::new().await.blob_ending_in(20);
    bench.provider.next([Fault::Held]);
    let credentials = bench.open();
    assert_eq!(access(&credentials).await, "access-of-first");
    bench.provider.release();
    bench.until(|| bench.kept()["anthropic"]["refresh"] == "refresh-1").await;
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1");
    assert_eq!(bench.provider.refreshes(), ["first"]);
}

/// W2, W4: callers who go away do not take the renewal with them.
#[tokio::test]
async fn a_caller_who_goes_away() {
    let bench = Bench::new().await.blob_ending_in(30);
    bench.provider.next([Fault::Held]);
    let credentials = bench.open();
    tokio::select! {
        token = access(&credentials) => panic!("a token: {token}"),
        () = bench.until(|| !bench.provider.refreshes().is_empty()) => {}
    }
    bench.provider.release();
    bench.until(|| bench.kept()["anthropic"]["refresh"] == "refresh-1").await;
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1");
    assert_eq!((bench.provider.refreshes().len(), bench.provider.replays()), (1, 0));
}

/// W4: a process that ends waits for the answer.
#[tokio::test]
async fn ending_during_a_renewal() {
    let bench = Bench::new().await.blob_ending_in(30);
    bench.provider.next([Fault::Held]);
    let credentials = bench.open();
    tokio::select! {
        token = access(&credentials) => panic!("a token: {token}"),
        () = bench.until(|| !bench.provider.refreshes().is_empty()) => {}
    }
    let released = async { bench.provider.release() };
    tokio::join!(credentials.settle(), released);
    assert_eq!(bench.kept()["anthropic"]["refresh"], "refresh-1");
}

/// oauth.md #23: what the console did not take is not lost, and it gets it after the next start.
#[tokio::test]
async fn a_start_after_a_lost_write_back() {
    let bench = Bench::new().await.blob_ending_in(30).with_console();
    bench.console.refuse(Some((503, String::new())));
    assert_eq!(access(&bench.open()).await, "sk-ant-oat01-1");
    bench.until_written(1).await;
    bench.console.refuse(None);
    bench.console.hold(bench.blob("first", 30));
    let before = bench.console.writes().len();

    let credentials = bench.open();
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1", "with the old blob in the environment");
    let until = CancellationToken::new();
    let watching = tokio::spawn({
        let (credentials, until) = (credentials.clone(), until.clone());
        async move { credentials.watch(until).await }
    });
    bench.until_written(before + 1).await;
    assert_eq!(bench.console.writes().last().unwrap().1["refresh"], "refresh-1");
    until.cancel();
    watching.await.unwrap();
    assert_eq!(bench.provider.replays(), 0);
}

/// A console that offers what was replaced long ago, and says that it lasts longer: it is told the
/// newest, and a restarted host does not take the old one. Nobody but the second host writes here.
#[tokio::test]
async fn a_console_that_fell_behind() {
    let bench = Bench::new().await.blob_ending_in(30).with_console();
    assert_eq!(access(&bench.open()).await, "sk-ant-oat01-1");
    bench.until_written(1).await;
    bench.console.hold(bench.blob("first", 86_400));

    let credentials = bench.open();
    let until = CancellationToken::new();
    let watching = tokio::spawn({
        let (credentials, until) = (credentials.clone(), until.clone());
        async move { credentials.watch(until).await }
    });
    bench.until_written(2).await;
    assert_eq!(bench.console.writes().last().unwrap().1["refresh"], "refresh-1");
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1");
    until.cancel();
    watching.await.unwrap();
    assert_eq!(bench.provider.replays(), 0);
}

/// A blob that was provisioned anew outranks the local copy of the old one, also a rejected one.
#[tokio::test]
async fn a_new_blob() {
    let bench = Bench::new().await;
    let blob = bench.blob("unknown", 30);
    let bench = bench.set(BLOB, blob);
    assert!(matches!(failure(&bench.open()).await, CredentialError::Reconnect { .. }));
    let blob = bench.blob("first", 40);
    let bench = bench.set(BLOB, blob);
    assert_eq!(access(&bench.open()).await, "sk-ant-oat01-1");
}

/// A token that the provider refuses (401) is renewed, though it would be good for hours; not over
/// and over.
#[tokio::test]
async fn a_refused_token() {
    let bench = Bench::new().await.blob_ending_in(7200);
    let credentials = bench.open();
    let token = credentials.token("anthropic", MINUTE).await.unwrap();
    credentials.refused("anthropic", &token).await;
    credentials.refused("anthropic", &token).await;
    let renewed = credentials.token("anthropic", MINUTE).await.unwrap();
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1");
    credentials.refused("anthropic", &renewed).await;
    assert_eq!(access(&credentials).await, "sk-ant-oat01-1", "refused at once: its age is not the reason");
    assert_eq!(bench.provider.refreshes(), ["first"]);
}

/// oauth.md #25: nothing is asked of anybody.
#[tokio::test]
async fn a_bare_token() {
    let bench = Bench::new().await.set(BLOB, " sk-ant-oat01-bare ").with_console();
    assert_eq!(access(&bench.open()).await, "sk-ant-oat01-bare");
    assert!(bench.provider.refreshes().is_empty() && bench.console.fetches().is_empty());
}

/// oauth.md #24, #31: a corrupt blob counts as unset; a sign-in takes its place.
#[tokio::test]
async fn a_corrupt_blob() {
    let bench = Bench::new().await.set(BLOB, "{\"refresh\":\"first\"");
    let error = failure(&bench.open()).await;
    assert!(error.to_string().contains(BLOB) && error.to_string().contains("corrupt"), "{error}");
    bench.sign_in("anthropic", "first", 3600);
    assert_eq!(access(&bench.open()).await, "access-of-first");
}
