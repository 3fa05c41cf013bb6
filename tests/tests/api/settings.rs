//! Settings of a space, as callers and the operator set them.

use serde_json::{Value, json};

use super::{ask, closed_setup, refused};

/// config.md #17 #26, permissions.md W15: what fits is kept, what does not is refused with what may be said, and what
/// is the operator's is neither shown nor set by anybody else.
#[tokio::test(flavor = "multi_thread")]
async fn what_callers_may_set() {
    let host = closed_setup().set("MERCURY_ADMINS", "api:root").start().await;
    let set = async |caller: &str, body: Value| ask(&host, caller, "PUT", "/api/config", body).await;
    for (key, value) in [
        ("trigger.match", "prefix"),
        ("trigger.patterns", "@Pi,Pi"),
        ("trigger.case_sensitive", "true"),
        ("messages.locale", "he"),
        ("context.window_size", "25"),
    ] {
        let answer = set("api:root", json!({ "key": key, "value": value })).await;
        assert_eq!((answer.status, &answer.body), (200, &json!({ "spaceId": "main", "key": key, "value": value })));
    }
    for (body, code, said) in [
        (json!({ "key": "trigger.match", "value": "sometimes" }), "bad_setting", "one of mention, prefix, always"),
        (json!({ "key": "trigger.case_sensitive", "value": "yes" }), "bad_setting", "true or false"),
        (json!({ "key": "messages.locale", "value": "fr" }), "bad_setting", "one of en, he"),
        (json!({ "key": "context.window_size", "value": "5abc" }), "bad_setting", "1 to 50"),
        (json!({ "value": "x" }), "bad_setting", "Missing key or value"),
        (json!({ "key": "trigger.match" }), "bad_setting", "Missing key or value"),
        (json!({ "key": "flying", "value": "x" }), "unknown_setting", "flying"),
        (json!({ "key": "rate_limt", "value": "5" }), "unknown_setting", "the nearest is `rate_limit`"),
    ] {
        let answer = set("api:root", body.clone()).await;
        assert_eq!(refused(&answer), (400, code), "{body}");
        assert!(answer.body["error"].as_str().unwrap().contains(said), "{:#}", answer.body);
    }
    // What is misspelt would be set for another, or be something else: `role` is `admin` where it is left out.
    for (caller, path, body) in [
        ("", "/api/config", json!({ "key": "rate_limit", "value": "1", "spce": "main" })),
        ("api:root", "/api/roles", json!({ "platformUserId": "api:eve", "rolle": "moderator" })),
        ("api:root", "/api/permissions", json!({ "role": "member", "permissions": [], "space": "team" })),
    ] {
        let method = if path == "/api/roles" { "POST" } else { "PUT" };
        assert_eq!(refused(&ask(&host, caller, method, path, body).await), (400, "bad_json"), "{path}");
    }
    let member = set("api:ada", json!({ "key": "trigger.match", "value": "always" })).await;
    assert_eq!(refused(&member), (403, "forbidden"));

    let prompt = json!({ "key": "system_prompt", "value": "Be brief.\nAlways.", "space": "main" });
    assert_eq!(
        refused(&set("api:root", json!({ "key": "system_prompt", "value": "x" })).await),
        (403, "operators_setting")
    );
    assert_eq!(set("", prompt).await.status, 200);
    // Nor does an admin's agent switch off what guards the space; the operator does.
    let answer = set("api:root", json!({ "key": "permission-guard.ask-before", "value": "none" })).await;
    assert_eq!(refused(&answer), (403, "operators_setting"), "{:#}", answer.body);
    assert_eq!(
        set("", json!({ "key": "permission-guard.ask-before", "value": "rm", "space": "main" })).await.status,
        200
    );
    let shown = ask(&host, "api:root", "GET", "/api/config", Value::Null).await.body;
    assert_eq!(
        (&shown["config"]["trigger.match"], &shown["config"]["system_prompt"]),
        (&json!("prefix"), &Value::Null)
    );
    let offered = shown["ofSpaces"].to_string();
    assert!(offered.contains("\"context.mode\"") && !offered.contains("system_prompt"), "{offered}");
    let shown = ask(&host, "", "GET", "/api/config?space=main", Value::Null).await.body;
    assert!(shown["ofSpaces"].to_string().contains("system_prompt"), "{:#}", shown["ofSpaces"]);
    assert_eq!(shown["config"]["system_prompt"], "Be brief.\nAlways.");
}
