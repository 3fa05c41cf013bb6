//! What callers may do, whom the operator names by two headers.

use bytes::Bytes;
use mercury_tests::host::Host;
use serde_json::{Value, json};

use super::{BEARER, CHAT_KEY, ask, closed, closed_setup, refused};

async fn role(host: &Host, caller: &str) -> String {
    let answer = ask(host, caller, "GET", "/api/whoami", Value::Null).await;
    answer.body["role"].as_str().unwrap_or_else(|| panic!("{:#}", answer.body)).to_owned()
}

/// http-api.md #3 #4 #6 #15, permissions.md #1 #7 #8 #24 #25 #36.
#[tokio::test(flavor = "multi_thread")]
async fn who_somebody_is() {
    let host = closed_setup().set("MERCURY_ADMINS", "api:root,+972542341444").start().await;
    let headers = |more: &[(&'static str, &'static str)]| {
        let headers: Vec<_> = [("authorization", BEARER)].into_iter().chain(more.iter().copied()).collect();
        let host = &host;
        async move { host.request("GET", "/api/whoami", &headers, Bytes::new()).await.unwrap() }
    };
    let (caller, space) = (("x-mercury-caller", "api:ada"), ("x-mercury-space", "main"));
    for incomplete in
        [&[][..], &[caller], &[space], &[caller, ("x-mercury-space", "")], &[("x-mercury-caller", ""), space]]
    {
        assert_eq!(refused(&headers(incomplete).await), (400, "missing_caller"), "{incomplete:?}");
    }
    let answer = headers(&[caller, space]).await;
    assert_eq!((answer.status, &answer.body["role"], &answer.body["spaceId"]), (200, &json!("member"), &json!("main")));
    assert_eq!(&answer.body["permissions"].as_array().unwrap()[..2], [json!("prompt"), json!("prefs.get")]);
    assert_eq!(refused(&headers(&[caller, ("x-mercury-space", "Bad Id")]).await), (400, "bad_space"));
    assert_eq!(refused(&headers(&[caller, ("x-mercury-space", "typo")]).await), (404, "space_not_found"));
    assert_eq!(host.query::<i64>("SELECT count(*) FROM spaces"), Some(1), "a typo makes no space");
    assert_eq!(host.query::<i64>("SELECT count(*) FROM members"), Some(0), "asking makes no member");
    for reserved in ["system", "SYSTEM", "plugin:napkin"] {
        assert_eq!(refused(&headers(&[("x-mercury-caller", reserved), space]).await), (403, "caller_reserved"));
    }
    assert_eq!(refused(&headers(&[caller, space, ("x-mercury-token", "a.b")]).await), (401, "bad_caller_token"));
    assert_eq!(role(&host, "api:root").await, "admin");
    assert_eq!(role(&host, "whatsapp:972542341444@s.whatsapp.net").await, "admin");
    assert_eq!(role(&host, "telegram:972542341444").await, "member");
}

/// http-api.md #7 #14 #15, permissions.md #13 #28 #31 #33: who may give which role.
#[tokio::test(flavor = "multi_thread")]
async fn roles_are_given_and_taken() {
    let host = closed_setup().set("MERCURY_ADMINS", "api:root").start().await;
    for (method, path, body, permission) in [
        ("GET", "/api/roles", Value::Null, "roles.list"),
        ("POST", "/api/roles", json!({ "platformUserId": "api:bob" }), "roles.grant"),
        ("DELETE", "/api/roles/api:root", Value::Null, "roles.revoke"),
        ("PUT", "/api/permissions", json!({ "role": "member", "permissions": [] }), "permissions.set"),
        ("GET", "/api/permissions", Value::Null, "permissions.get"),
        ("POST", "/api/stop", Value::Null, "stop"),
        ("GET", "/api/messages/search?q=x", Value::Null, "compact"),
        ("PUT", "/api/spaces/current/name", json!({ "name": "x" }), "spaces.rename"),
        ("GET", "/api/spaces", Value::Null, "spaces.list"),
        ("GET", "/api/conversations", Value::Null, "spaces.list"),
        ("GET", "/api/config", Value::Null, "config.get"),
        ("PUT", "/api/prefs", json!({ "key": "secret-key", "value": "secret-value" }), "prefs.set"),
    ] {
        let answer = ask(&host, "api:ada", method, path, body).await;
        assert_eq!(refused(&answer), (403, "forbidden"), "{method} {path}");
        assert_eq!(answer.body["error"], format!("Forbidden: requires '{permission}' permission"));
    }
    assert!(host.log().contains("a caller was denied a permission"));
    let grant = |by: &'static str, person: &'static str, role: Value| {
        let body = if role.is_null() {
            json!({ "platformUserId": person })
        } else {
            json!({ "platformUserId": person, "role": role })
        };
        let host = &host;
        async move { ask(host, by, "POST", "/api/roles", body).await }
    };
    assert_eq!(grant("api:root", "slack:u@x:%1", Value::Null).await.body["role"], "admin", "the default");
    let revoked = ask(&host, "api:root", "DELETE", "/api/roles/slack%3Au%40x%3A%251", Value::Null).await;
    assert_eq!((revoked.status, &revoked.body["platformUserId"]), (200, &json!("slack:u@x:%1")));
    for (person, role, expected) in [
        ("api:bob", json!("system"), (400, "role_reserved")),
        ("api:bob", json!("Admin"), (400, "bad_role")),
        ("api:bob", json!("plugin:napkin"), (400, "bad_role")),
        ("system", json!("admin"), (400, "role_reserved")),
        ("plugin:x", json!("member"), (400, "role_reserved")),
        ("", json!("admin"), (400, "bad_person")),
        ("api:root", json!("member"), (409, "configured_admin")),
    ] {
        assert_eq!(refused(&grant("api:root", person, role.clone()).await), expected, "{person} {role}");
    }
    // A right to give roles is not worth all others.
    let moderator =
        json!({ "role": "moderator", "permissions": ["prompt", "roles.grant", "roles.revoke", "permissions.set"] });
    assert_eq!(ask(&host, "api:root", "PUT", "/api/permissions", moderator).await.status, 200);
    assert_eq!(grant("api:root", "api:mo", json!("moderator")).await.status, 200);
    assert_eq!(refused(&grant("api:mo", "api:mo", json!("admin")).await), (403, "beyond_own_rights"));
    assert_eq!(grant("api:root", "api:bob", json!("admin")).await.status, 200);
    let bob = ask(&host, "api:mo", "DELETE", "/api/roles/api:bob", Value::Null).await;
    assert_eq!(refused(&bob), (403, "beyond_own_rights"));
    let more = json!({ "role": "moderator", "permissions": ["prompt", "stop"] });
    assert_eq!(refused(&ask(&host, "api:mo", "PUT", "/api/permissions", more).await), (403, "beyond_own_rights"));
    let listed = ask(&host, "api:root", "GET", "/api/roles?limit=1", Value::Null).await;
    assert_eq!(listed.body["roles"].as_array().unwrap().len(), 1);
    let next = listed.body["next"].as_str().unwrap();
    let rest = ask(&host, "api:root", "GET", &format!("/api/roles?after={next}"), Value::Null).await;
    let rest =
        rest.body["roles"].as_array().unwrap().iter().map(|role| role["platformUserId"].clone()).collect::<Vec<_>>();
    assert_eq!(rest, ["api:mo", "api:bob"]);
}

/// permissions.md #33 where nobody is configured: the last admin stays one.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_admin_stays() {
    let host = closed().await;
    host.execute("INSERT INTO members (space, person, role) VALUES ('main', 'api:ada', 'admin')");
    let revoke = ask(&host, "api:ada", "DELETE", "/api/roles/api:ada", Value::Null).await;
    assert_eq!(refused(&revoke), (409, "last_admin"));
    assert_eq!(role(&host, "api:ada").await, "admin");
}

/// An agent reads them by `mrctl`, and knows commands, not routes.
#[tokio::test(flavor = "multi_thread")]
async fn next_steps_are_commands() {
    let host = closed_setup().set("MERCURY_ADMINS", "api:root").start().await;
    let set = |key: &str| json!({ "key": key, "value": "none" });
    for (method, path, body, command) in [
        ("DELETE", "/api/mutes/api:eve", Value::Null, "`mrctl mutes`"),
        ("PUT", "/api/config", set("flying"), "`mrctl config get`"),
        ("PUT", "/api/config", set("permission-guard.ask-before"), "`mercury plugins settings`"),
    ] {
        let answer = ask(&host, "api:root", method, path, body).await;
        assert!(answer.body["next"].as_str().unwrap().contains(command), "{:#}", answer.body);
    }
}

/// http-api.md #8 #16, permissions.md #5 #22 #27 #30: what a space says counts from the next message on.
#[tokio::test(flavor = "multi_thread")]
async fn permissions_are_a_spaces_own() {
    let host = closed_setup().set("MERCURY_ADMINS", "api:root").start().await;
    host.create_space("other");
    let set = |role: &'static str, names: Value| {
        let host = &host;
        async move { ask(host, "api:root", "PUT", "/api/permissions", json!({ "role": role, "permissions": names })).await }
    };
    let unknown = set("member", json!(["prompt", "flying", "diving"])).await;
    assert_eq!(refused(&unknown), (400, "unknown_permission"));
    assert!(unknown.body["error"].as_str().unwrap().contains("flying, diving"));
    assert_eq!(refused(&set("admin", json!(["prompt"])).await), (409, "admin_keeps"));
    assert_eq!(refused(&set("system", json!(["prompt"])).await), (400, "role_reserved"));
    let wrong =
        ask(&host, "api:root", "PUT", "/api/permissions", json!({ "role": "member", "permissions": "stop" })).await;
    assert_eq!(refused(&wrong), (400, "bad_json"));

    let chat = |space: &'static str| {
        let (host, key) = (&host, format!("Bearer {CHAT_KEY}"));
        let body = json!({ "text": "!reply here", "callerId": "api:program", "spaceId": space });
        async move {
            host.request("POST", "/chat", &[("authorization", &key)], Bytes::from(body.to_string())).await.unwrap()
        }
    };
    // Who holds the chat key speaks as an admin, so an admin's own list is what is changed here.
    let all =
        ask(&host, "api:root", "GET", "/api/permissions?role=admin", Value::Null).await.body["permissions"].clone();
    let without: Vec<_> = all.as_array().unwrap().iter().filter(|name| **name != "prompt").cloned().collect();
    assert_eq!(set("admin", json!(without)).await.status, 200);
    assert_eq!(refused(&chat("main").await), (403, "not_permitted"));
    assert_eq!(chat("other").await.reply(), "here", "other spaces are not touched");
    let reset = ask(&host, "", "GET", "/api/permissions", Value::Null).await;
    assert_eq!(refused(&reset), (400, "missing_caller"));
    assert_eq!(set("admin", all).await.status, 200, "an admin gives it back");
    assert_eq!(chat("main").await.reply(), "here");

    assert_eq!(refused(&ask(&host, "api:ada", "POST", "/api/stop", Value::Null).await), (403, "forbidden"));
    assert_eq!(set("member", json!(["prompt", "stop", "compact"])).await.status, 200);
    let stopped = ask(&host, "api:ada", "POST", "/api/stop", Value::Null).await;
    assert_eq!(stopped.body, json!({ "stopped": false, "dropped": 0 }));
    let found = ask(&host, "api:ada", "GET", "/api/messages/search?q=HERE&limit=1", Value::Null).await;
    assert_eq!(found.body["messages"].as_array().unwrap().len(), 1, "{:#}", found.body);
    for (query, code) in
        [("", "bad_search"), ("?q=", "bad_search"), ("?q=x&limit=0", "bad_search"), ("?q=x&limit=1x", "bad_search")]
    {
        let answer = ask(&host, "api:ada", "GET", &format!("/api/messages/search{query}"), Value::Null).await;
        assert_eq!(refused(&answer), (400, code), "{query}");
    }
    let shown = ask(&host, "api:root", "GET", "/api/permissions", Value::Null).await;
    assert_eq!(shown.body["permissions"]["member"], json!(["prompt", "stop", "compact"]));
    assert!(shown.body["available"].as_array().unwrap().contains(&json!("mutes.unmute")));
    let reset = ask(&host, "api:root", "DELETE", "/api/permissions?role=member", Value::Null).await;
    assert_eq!(reset.body["permissions"][1], "prefs.get");
    assert_eq!(ask(&host, "api:ada", "POST", "/api/stop", Value::Null).await.status, 403);
}

/// http-api.md #13
#[tokio::test(flavor = "multi_thread")]
async fn preferences_are_kept() {
    let host = closed_setup().set("MERCURY_ADMINS", "api:root").start().await;
    let set = |key: String, value: String| {
        let host = &host;
        async move { ask(host, "api:root", "PUT", "/api/prefs", json!({ "key": key, "value": value })).await }
    };
    assert_eq!(set("language".into(), "German".into()).await.body["value"], "German");
    let one = ask(&host, "api:ada", "GET", "/api/prefs/language", Value::Null).await;
    assert_eq!(one.body, json!({ "spaceId": "main", "key": "language", "value": "German" }));
    assert_eq!(
        refused(&ask(&host, "api:ada", "GET", "/api/prefs/other", Value::Null).await),
        (404, "preference_not_found")
    );
    for (key, value) in [("Bad Key", "x"), ("", "x"), ("x", ""), ("x", &"ä".repeat(501))] {
        assert_eq!(refused(&set(key.into(), value.into()).await), (400, "bad_preference"), "{key}");
    }
    assert_eq!(set("long".into(), "ä".repeat(500)).await.status, 200);
    for n in 2..50 {
        assert_eq!(set(format!("key-{n}"), "x".into()).await.status, 200, "{n}");
    }
    assert_eq!(refused(&set("one-more".into(), "x".into()).await), (400, "bad_preference"));
    assert_eq!(set("language".into(), "English".into()).await.status, 200, "one that is there may change");
    assert_eq!(ask(&host, "api:root", "DELETE", "/api/prefs/long", Value::Null).await.body["deleted"], true);
    assert_eq!(set("one-more".into(), "x".into()).await.status, 200);
    let all = ask(&host, "api:ada", "GET", "/api/prefs", Value::Null).await;
    assert_eq!(all.body["preferences"].as_array().unwrap().len(), 50);
    assert_eq!(all.body["preferences"][0]["createdBy"], "api:root");
}

/// http-api.md #19 #30, permissions.md #13 and W7: a role of one space reaches no other.
#[tokio::test(flavor = "multi_thread")]
async fn spaces_and_conversations() {
    let host = closed_setup().set("MERCURY_ADMINS", "api:root").start().await;
    let create = |id: &'static str, name: &'static str| {
        let host = &host;
        async move { ask(host, "", "POST", "/api/console/spaces", json!({ "id": id, "name": name })).await }
    };
    let made = create("team", "The team").await;
    assert_eq!((made.status, &made.body["name"]), (201, &json!("The team")));
    assert_eq!(refused(&create("team", "x").await), (409, "space_exists"));
    assert_eq!(
        (refused(&create("Bad", "x").await), refused(&create("", "x").await)),
        ((400, "bad_space"), (400, "bad_space"))
    );
    assert_eq!(refused(&create("nameless", " ").await), (400, "bad_name"));
    assert_eq!(ask(&host, "", "PATCH", "/api/console/spaces/team", json!({ "name": "Us" })).await.status, 200);
    assert_eq!(
        refused(&ask(&host, "", "PATCH", "/api/console/spaces/x", json!({ "name": "Us" })).await),
        (404, "space_not_found")
    );
    let page = ask(&host, "", "GET", "/api/console/spaces?limit=1", Value::Null).await.body;
    let next = page["next"].as_str().unwrap();
    let rest = ask(&host, "", "GET", &format!("/api/console/spaces?after={next}"), Value::Null).await.body;
    assert_eq!(
        (&page["spaces"][0]["id"], &rest["spaces"][0]["name"], &rest["next"]),
        (&json!("main"), &json!("Us"), &Value::Null)
    );

    host.execute(
        "INSERT INTO conversations (id, platform, direct, title, space, first_seen, last_seen) VALUES
            ('telegram:1', 'telegram', 1, 'Ada', 'main', 1, 3), ('telegram:2', 'telegram', 0, 'Us', 'team', 1, 2),
            ('slack:3', 'slack', 0, NULL, NULL, 1, 1);
         INSERT INTO members (space, person, role) VALUES ('main', 'api:bob', 'admin')",
    );
    let ids = |caller: &'static str, query: &'static str| {
        let host = &host;
        async move {
            let answer = ask(host, caller, "GET", &format!("/api/conversations{query}"), Value::Null).await;
            let all = answer.body["conversations"].as_array().unwrap_or_else(|| panic!("{:#}", answer.body)).clone();
            all.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(ids("", "").await, ["telegram:1", "telegram:2", "slack:3"]);
    assert_eq!(ids("api:root", "?linked=false").await, ["slack:3"]);
    assert_eq!(ids("api:root", "?linked=true&platform=telegram").await, ["telegram:1", "telegram:2"]);
    assert_eq!(ids("api:bob", "").await, ["telegram:1"], "an admin of one space sees that one");
    let spaces = ask(&host, "api:bob", "GET", "/api/spaces", Value::Null).await.body;
    assert_eq!(spaces["spaces"].as_array().unwrap().len(), 1);
    assert_eq!(
        ask(&host, "api:root", "GET", "/api/spaces", Value::Null).await.body["spaces"].as_array().unwrap().len(),
        2
    );

    let link = |caller: &'static str, id: &'static str, space: &'static str| {
        let host = &host;
        async move { ask(host, caller, "POST", &format!("/api/conversations/{id}/link"), json!({ "spaceId": space })).await }
    };
    assert_eq!(refused(&link("api:bob", "telegram:2", "main").await), (403, "not_global_admin"));
    assert_eq!(refused(&link("api:root", "slack:3", "nowhere").await), (404, "space_not_found"));
    assert_eq!(refused(&link("api:root", "slack:4", "main").await), (404, "conversation_unknown"));
    assert_eq!(refused(&link("api:root", "slack:3", "").await), (400, "bad_space"));
    assert_eq!(
        link("api:root", "slack:3", "team").await.body,
        json!({ "conversationId": "slack:3", "spaceId": "team", "linked": true })
    );
    let unlink = |caller: &'static str, id: &'static str| {
        let host = &host;
        async move { ask(host, caller, "POST", &format!("/api/conversations/{id}/unlink"), Value::Null).await }
    };
    assert_eq!(refused(&unlink("api:bob", "telegram:2").await), (404, "conversation_unknown"), "of another space");
    let unlinked = json!({ "conversationId": "telegram:1", "unlinked": true, "alsoUnlinked": [] });
    assert_eq!(unlink("api:bob", "telegram:1").await.body, unlinked);
    assert_eq!(unlink("api:root", "telegram:2").await.status, 200);
    assert_eq!(host.query::<i64>("SELECT count(*) FROM conversations WHERE space IS NOT NULL"), Some(1));
}

/// What operators look at, in pages; and a run that fails is no refusal of rights (http-api.md W16).
#[tokio::test(flavor = "multi_thread")]
async fn runs_messages_and_usage() {
    let host = closed().await;
    let key = format!("Bearer {CHAT_KEY}");
    let chat = |text: &'static str| {
        let (host, key) = (&host, &key);
        let body = json!({ "text": text, "callerId": "api:ada" });
        async move { host.request("POST", "/chat", &[("authorization", key)], Bytes::from(body.to_string())).await.unwrap() }
    };
    assert_eq!(chat("!reply one").await.reply(), "one");
    assert_eq!(chat("!reply two").await.reply(), "two");
    let failed = chat("!exit 3").await;
    assert!(failed.status >= 500 && !failed.code().is_empty(), "{:#}", failed.body);
    let page = ask(&host, "", "GET", "/api/runs?space=main&limit=2", Value::Null).await.body;
    let states: Vec<_> = page["runs"].as_array().unwrap().iter().map(|run| run["state"].clone()).collect();
    assert_eq!(states, ["failed", "finished"]);
    assert_eq!((&page["runs"][0]["failure"], &page["runs"][0]["callerId"]), (&failed.body["code"], &json!("api:ada")));
    let next = page["next"].as_str().unwrap();
    let rest = ask(&host, "", "GET", &format!("/api/runs?after={next}"), Value::Null).await.body;
    assert_eq!((rest["runs"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    assert_eq!(ask(&host, "", "GET", "/api/runs?space=other", Value::Null).await.body["runs"], json!([]));
    let page = ask(&host, "", "GET", "/api/console/spaces/main/messages?limit=2", Value::Null).await.body;
    let contents: Vec<_> = page["messages"].as_array().unwrap().iter().map(|it| it["content"].clone()).collect();
    assert_eq!(contents, ["two", "!exit 3"], "a page of the newest, in its order");
    let next = page["next"].as_str().unwrap();
    let path = format!("/api/console/spaces/main/messages?after={next}");
    let rest = ask(&host, "", "GET", &path, Value::Null).await.body;
    assert_eq!(rest["messages"].as_array().unwrap().last().unwrap()["content"], "!reply two");
    let usage = ask(&host, "", "GET", "/api/console/usage", Value::Null).await.body;
    assert!(usage["totals"]["totalTokens"].is_i64() && usage["perSpace"].is_array(), "{usage:#}");
}

/// http-api.md #18: with all that is kept of it; not while it is at work; and a space of the same name
/// begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_space_is_removed() {
    let host = closed_setup().set("MERCURY_ADMINS", "api:root").start().await;
    let create = || ask(&host, "", "POST", "/api/console/spaces", json!({ "id": "team", "name": "Us" }));
    assert_eq!(create().await.status, 201);
    let key = format!("Bearer {CHAT_KEY}");
    let message =
        |text: &str| Bytes::from(json!({ "text": text, "callerId": "api:root", "spaceId": "team" }).to_string());
    let headers = [("authorization", key.as_str())];
    let chat = |text: &'static str| {
        let (host, headers) = (&host, &headers);
        async move { host.request("POST", "/chat", headers, message(text)).await.unwrap() }
    };
    assert_eq!(chat("!write note.txt kept\n!reply written").await.status, 200);
    host.execute(
        "INSERT INTO preferences VALUES ('team', 'a', 'b', 'x', 1, 1);
         INSERT INTO conversations (id, platform, direct, space, first_seen, last_seen) VALUES ('telegram:1', 'telegram', 1, 'team', 1, 1)",
    );
    let remove = || ask(&host, "", "DELETE", "/api/console/spaces/team", Value::Null);
    let (answer, ()) = tokio::join!(chat("!sleep 60000"), async {
        host.until("SELECT state FROM runs ORDER BY id DESC LIMIT 1", "running").await;
        assert_eq!(refused(&remove().await), (409, "space_busy"));
        ask(&host, "", "POST", "/api/spaces/team/stop", Value::Null).await;
    });
    assert_eq!(answer.status, 409);
    assert!(host.data_dir().join("spaces/team").exists());
    let removed = remove().await;
    assert_eq!(removed.status, 200, "{:#}", removed.body);
    let counts = &removed.body["removed"];
    assert_eq!(
        (&counts["space"], &counts["preferences"], &counts["conversationsUnlinked"], &counts["roles"]),
        (&json!(1), &json!(1), &json!(1), &json!(1)),
        "{counts:#}"
    );
    assert!(counts["messages"].as_i64().unwrap() >= 2);
    assert!(!host.data_dir().join("spaces/team").exists());
    assert_eq!(refused(&remove().await), (404, "space_not_found"));
    assert_eq!(host.query::<i64>("SELECT count(*) FROM conversations WHERE space IS NULL"), Some(1));
    assert_eq!(create().await.status, 201);
    let headers = [("authorization", BEARER), ("x-mercury-caller", "api:root"), ("x-mercury-space", "team")];
    let prefs = host.request("GET", "/api/prefs", &headers, Bytes::new()).await.unwrap();
    assert_eq!(prefs.body["preferences"], json!([]));
    let own = host.request("DELETE", "/api/spaces/current", &headers, Bytes::new()).await.unwrap();
    assert_eq!((own.status, &own.body["deleted"]), (200, &json!(true)));
    assert_eq!(refused(&ask(&host, "api:ada", "DELETE", "/api/spaces/current", Value::Null).await), (403, "forbidden"));
}
