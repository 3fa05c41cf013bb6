//! Sessions of the operator in a browser.

use bytes::Bytes;
use mercury_tests::host::{Answer, Host};
use serde_json::json;

use super::{BEARER, SECRET, closed, matrix::sign_in, refused};

async fn session(host: &Host, cookie: &str) -> Answer {
    host.request("GET", "/dashboard/session", &[("cookie", cookie)], Bytes::new()).await.unwrap()
}

/// http-api.md #36: the cookie is no secret, and no other page's.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_a_session() {
    let host = closed().await;
    let path = format!("/dashboard/login?token={SECRET}");
    let response = host.exchange("GET", &path, &[("x-forwarded-proto", "https")], Bytes::new()).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["location"]), (302, &"/dashboard".parse().unwrap()));
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["mercury_session=", "; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=604800", "; Secure"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(SECRET));
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(session(&host, cookie).await.status, 200);
    let kept: String = host.query("SELECT hex(digest) FROM sessions").unwrap();
    let token = cookie.split_once('=').unwrap().1;
    assert!(!kept.eq_ignore_ascii_case(token) && host.query::<i64>("SELECT count(*) FROM sessions") == Some(1));
    for wrong in ["", "?token=", "?token=wrong", "?token=%C3%A4%C3%B6%C3%BC", "?token=%FF"] {
        let answer = host.request("GET", &format!("/dashboard/login{wrong}"), &[], Bytes::new()).await.unwrap();
        assert!([(401, "bad_token"), (400, "bad_query")].contains(&refused(&answer)), "{wrong}: {:#}", answer.body);
    }
}

/// It outlives a restart, and nothing else: not its time, not the secret, not signing out.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends() {
    let mut host = closed().await;
    let (cookie, csrf) = sign_in(&host).await;
    host.terminate().await;
    host.start().await;
    assert_eq!(session(&host, &cookie).await.status, 200, "a restart ends no session");
    host.execute("UPDATE sessions SET used_at = used_at - 43200001");
    assert_eq!(refused(&session(&host, &cookie).await), (401, "session_over"), "12 h without use");
    host.execute("UPDATE sessions SET used_at = used_at + 43200001, created_at = created_at - 604800001");
    assert_eq!(refused(&session(&host, &cookie).await), (401, "session_over"), "7 days");
    drop(csrf);

    let ((first, csrf), (second, _)) = (sign_in(&host).await, sign_in(&host).await);
    let headers = [("cookie", first.as_str()), ("x-csrf-token", csrf.as_str())];
    let out = host.exchange("POST", "/dashboard/logout", &headers, Bytes::new()).await.unwrap();
    assert!(out.status() == 200 && out.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!((session(&host, &first).await.status, session(&host, &second).await.status), (401, 200));
    let everywhere = Bytes::from(json!({ "everywhere": true }).to_string());
    let answer = host.request("POST", "/dashboard/logout", &[("authorization", BEARER)], everywhere).await.unwrap();
    assert_eq!((answer.status, session(&host, &second).await.status), (200, 401), "{:#}", answer.body);

    let (cookie, _) = sign_in(&host).await;
    host.terminate().await;
    host.set("MERCURY_API_SECRET", "another-secret-0123");
    host.start().await;
    assert_eq!(session(&host, &cookie).await.status, 401, "another secret knows no older session");
}

/// Whoever guesses waits; the right secret as a bearer is taken meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slow() {
    let host = closed().await;
    let guess = |token: &str| {
        let body = Bytes::from(json!({ "token": token }).to_string());
        let host = &host;
        async move { host.exchange("POST", "/dashboard/login", &[], body).await.unwrap() }
    };
    // What somebody unknown sends is not kept in memory by the megabyte.
    assert_eq!(guess(&"x".repeat(5_000)).await.status(), 413);
    for n in 0..10 {
        assert_eq!(guess(&format!("guess {n}")).await.status(), 401);
    }
    for token in ["guess", SECRET] {
        let refused = guess(token).await;
        assert_eq!(refused.status(), 429);
        let seconds: u32 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=301).contains(&seconds), "{seconds}");
    }
    let answer = host.request("GET", "/api/plugins", &[("authorization", BEARER)], Bytes::new()).await.unwrap();
    assert_eq!(answer.status, 200);
}
