//! What the real agent is told of what was said before.

use mercury_tests::{
    full_image,
    host::{Host, Setup},
    model::{Model, Turn},
    parley::{bring, delivered, direct},
};
use serde_json::json;

use super::{say, set, start};

async fn real(turns: &[&str]) -> (Model, Host) {
    let model = Model::start(turns.iter().map(|turn| Turn::Text((*turn).into()))).await;
    let endpoints = format!("{{\"anthropic\":\"{}\"}}", model.url());
    let host = start(Setup::with_image("runc", &full_image()).set("MERCURY_MODEL_ENDPOINTS", &endpoints)).await;
    (model, host)
}

/// pipeline.md #37, #38, #40, weakness W30: what is cleared is out for one run, what is compacted for good; an
/// answered message brings what led to it, in either mode.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_is_told() {
    let (model, host) = real(&["uno", "dos", "tres", "cuatro", "cinco", "seis", "siete"]).await;
    let asked = || model.requests().last().unwrap().to_string();
    say(&host, direct("1", "alpha"), "uno").await;
    say(&host, direct("2", "/clear"), "starts without").await;
    say(&host, direct("3", "beta"), "dos").await;
    assert!(!asked().contains("alpha"), "{}", asked());
    say(&host, direct("4", "gamma"), "tres").await;
    assert!(asked().contains("alpha") && asked().contains("beta"), "cleared for one run only: {}", asked());

    set(&host, "dm-parley-ada", "context.mode", "clear").await;
    say(&host, direct("5", "delta"), "cuatro").await;
    assert!(!asked().contains("beta"), "{}", asked());
    // The answer to `beta`.
    let id: String =
        host.query("SELECT s.message FROM said s JOIN deliveries d ON d.id = s.delivery WHERE d.text = 'dos'").unwrap();
    let quoting = |event: &str, text: &str| {
        let mut message = direct(event, text);
        message["quoted"] = json!({ "message": id, "text": "dos", "bot": true });
        message
    };
    say(&host, quoting("6", "epsilon"), "cinco").await;
    assert!(asked().contains("beta") && !asked().contains("gamma"), "{}", asked());

    set(&host, "dm-parley-ada", "context.mode", "context").await;
    say(&host, quoting("7", "zeta"), "seis").await;
    let told = asked();
    assert!(told.contains("reply_anchor") && told.contains("epsilon"), "{told}");
    assert_eq!(told.matches("beta").count(), 1, "what leads to the answered message is told once: {told}");

    bring(&host, &[direct("8", "compact")]).await;
    delivered(&host, "no longer part of what I am given").await;
    say(&host, quoting("9", "eta"), "siete").await;
    for word in ["alpha", "beta", "gamma", "zeta"] {
        assert!(!asked().contains(word), "{word}: {}", asked());
    }
}

/// pipeline.md section 13: what a new space of a direct conversation begins with is told in each of its runs, and
/// what the operator says of a space later in the place of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_space_has_a_system_prompt() {
    let model = Model::start(["uno", "dos", "tres"].map(|text| Turn::Text(text.into()))).await;
    let endpoints = format!("{{\"anthropic\":\"{}\"}}", model.url());
    let setup = Setup::with_image("runc", &full_image()).set("MERCURY_MODEL_ENDPOINTS", &endpoints);
    let setup = setup.set("MERCURY_DM_AUTO_SPACE_DEFAULT_SYSTEM_PROMPT", "Answer like a pirate.");
    let host = start(setup).await;
    let asked = || model.requests().last().unwrap().to_string();
    say(&host, direct("1", "alpha"), "uno").await;
    assert!(asked().contains("Answer like a pirate."), "{}", asked());
    let body = json!({ "key": "system_prompt", "value": "Answer like a judge.", "space": "dm-parley-ada" });
    let headers = [("content-type", "application/json")];
    let set = host.request("PUT", "/api/config", &headers, body.to_string().into()).await.unwrap();
    assert_eq!(set.status, 200, "{set:?}");
    say(&host, direct("2", "beta"), "dos").await;
    assert!(asked().contains("Answer like a judge.") && !asked().contains("pirate"), "{}", asked());
    host.chat(json!({ "text": "gamma", "callerId": "api:bob" })).await;
    assert!(!asked().contains("Answer like"), "another space: {}", asked());
}
