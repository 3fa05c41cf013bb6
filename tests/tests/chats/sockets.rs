//! Websockets of adapters: kept open by the host, events in order.

use mercury_tests::{
    host::{Host, Setup},
    parley::{self, called, command, running, until},
    wire::Wire,
};
use serde_json::json;

/// A running host whose adapter may open sockets to the wire.
async fn start(wire: &Wire) -> Host {
    let stand_in = format!("plugins:\n  parley:\n    stand_ins:\n      line.parley.example: {}\n", wire.url());
    let grant = "[[sockets]]\nhosts = [\"line.parley.example\"]\n";
    let mut host = parley::prepare(Setup::scripted("runc").yaml(&stand_in), &[], grant);
    host.start().await;
    running(&host).await;
    host
}

async fn open(host: &Host) {
    let opened = parley::post(host, "/socket", &json!({ "open": "wss://line.parley.example/gateway" })).await;
    assert_eq!(opened.body, "Ok(())");
}

/// A socket is opened, carries both ways, and stands again after it broke off; another host is not granted.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_kept_open() {
    let wire = Wire::start().await;
    let host = start(&wire).await;

    let denied = parley::post(&host, "/socket", &json!({ "open": "wss://evil.example/" })).await;
    let denied = denied.body.as_str().unwrap();
    assert!(denied.contains("evil.example is not granted") && denied.contains("[[sockets]]"), "{denied}");

    let events = || -> Vec<String> {
        called(&host, "socket").iter().map(|call| call["event"].as_str().unwrap().to_owned()).collect()
    };
    open(&host).await;
    until(&host, "it is open", async || (events() == ["Event::Opened"]).then_some(())).await;
    for word in ["one", "two", "three"] {
        wire.say(word);
    }
    until(&host, "three words", async || (events().len() == 4).then_some(())).await;
    assert_eq!(events()[1..], ["Event::Text(\"one\")", "Event::Text(\"two\")", "Event::Text(\"three\")"]);
    assert_eq!(parley::post(&host, "/socket", &json!({ "send": "back" })).await.body, "Ok(())");
    until(&host, "an answer", async || (wire.heard() == ["back"]).then_some(())).await;

    wire.break_off();
    until(&host, "it is open again", async || {
        (events().last()? == "Event::Opened" && wire.connections() == 2).then_some(())
    })
    .await;
    assert!(events()[4].starts_with("Event::Closed"), "{:?}", events());

    // An instance that traps costs no connection.
    parley::post(&host, "/boom", &json!(null)).await;
    wire.say("still there");
    until(&host, "the socket outlives the instance", async || events().last()?.contains("still there").then_some(()))
        .await;
    assert_eq!(wire.connections(), 2);
    parley::post(&host, "/socket", &json!({ "close": true })).await;
    let closed = parley::post(&host, "/socket", &json!({ "send": "nobody" })).await;
    assert!(closed.body.as_str().unwrap().contains("there is no open socket"), "{closed:?}");
}

/// An adapter that stands still hears nothing: nobody goes on talking to it. Its next life opens its own.
#[tokio::test(flavor = "multi_thread")]
async fn sockets_end_with_their_adapters_life() {
    let wire = Wire::start().await;
    let host = start(&wire).await;
    open(&host).await;
    until(&host, "it is open", async || (wire.open() == 1 && wire.connections() == 1).then_some(())).await;
    parley::script(&host, "poll", &["operator"]).await;
    until(&host, "it has ended", async || (wire.open() == 0).then_some(())).await;
    command(&host, &["adapters", "restart", "parley"]);
    running(&host).await;
    let unknown = parley::post(&host, "/socket", &json!({ "send": "nobody" })).await;
    assert!(unknown.body.as_str().unwrap().contains("there is no open socket"), "{unknown:?}");
    open(&host).await;
    until(&host, "another is open", async || (wire.open() == 1 && wire.connections() == 2).then_some(())).await;
    wire.say("hello again");
    until(&host, "it is heard", async || {
        called(&host, "socket").last()?["event"].as_str()?.contains("again").then_some(())
    })
    .await;
}
