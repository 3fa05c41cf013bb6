//! A host with the carried adapter before the fake.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Call, TOKEN, Telegram, group};
use crate::host::{Host, Setup};

/// Of the webhook.
pub const SECRET: &str = "s3cret_A_of_the_webhook";
/// What people write to call it by its name on Telegram.
pub const CALL: &str = "@mercury_real_bot";

/// A host that reaches the fake, with spaces for direct conversations.
pub fn setup(fake: &Telegram) -> Setup {
    with_settings(fake, "")
}

/// `settings` is YAML, a line each.
pub fn with_settings(fake: &Telegram, settings: &str) -> Setup {
    let plugin =
        format!("plugins:\n  telegram:\n    stand_ins:\n      api.telegram.org: \"{}\"\n{settings}", fake.url());
    Setup::scripted("runc")
        .set("MERCURY_ENABLE_TELEGRAM", "true")
        .set("MERCURY_TELEGRAM_BOT_TOKEN", TOKEN)
        .set("MERCURY_DM_AUTO_SPACE_ENABLED", "true")
        .yaml(&plugin)
}

/// The fake, and a host that polls it.
pub async fn polling() -> (Telegram, Host) {
    let fake = Telegram::start().await;
    let host = setup(&fake).start().await;
    (fake, host)
}

/// The fake with a webhook, and a host that waits for it.
pub async fn with_webhook() -> (Telegram, Host) {
    let fake = Telegram::start().await;
    fake.webhook(Some("https://bot.example.org/webhooks/telegram"));
    let host = setup(&fake).set("MERCURY_TELEGRAM_WEBHOOK_SECRET_TOKEN", SECRET).start().await;
    adapter_is(&host, "running").await;
    (fake, host)
}

/// Waits for the adapter's state in `GET /api/adapters`, and hands its row out.
pub async fn adapter_is(host: &Host, state: &str) -> Value {
    for _ in 0..6_000 {
        let answer = host.request("GET", "/api/adapters", &[], Bytes::new()).await.unwrap();
        let rows = answer.body["adapters"].as_array().cloned().unwrap_or_default();
        if let Some(row) = rows.into_iter().find(|row| row["platform"] == "telegram" && row["condition"] == state) {
            return row;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("telegram is not {state}; the log:\n{}", host.log());
}

/// Brings an update to the webhook, with this secret, and returns the status.
pub async fn bring(host: &Host, secret: &str, update: &Value) -> u16 {
    let headers = [("x-telegram-bot-api-secret-token", secret), ("content-type", "application/json")];
    host.request("POST", "/webhooks/telegram", &headers, Bytes::from(update.to_string())).await.unwrap().status
}

/// A group answers nobody until it is linked.
pub async fn link(host: &Host, fake: &Telegram, chat: i64) {
    let mut update = group(1, json!({ "text": "hello" }));
    update["message"]["chat"]["id"] = json!(chat);
    fake.push(update);
    host.until(&format!("SELECT id FROM conversations WHERE id = 'telegram:{chat}'"), &format!("telegram:{chat}"))
        .await;
    link_known(host, chat);
}

/// Links a group that was seen.
///
/// # Panics
/// Where the command fails.
pub fn link_known(host: &Host, chat: i64) {
    let linked = host.command(&["conversations", "link", &format!("telegram:{chat}"), "main"]).output().unwrap();
    assert!(linked.status.success(), "{}", String::from_utf8_lossy(&linked.stderr));
}

/// A text that calls the bot.
pub fn mentioning(text: &str) -> Value {
    json!({ "text": format!("{CALL} {text}"), "entities": [{ "type": "mention", "offset": 0, "length": CALL.len() }] })
}

/// The text of a call.
///
/// # Panics
/// Where it has none.
pub fn text(call: &Call) -> &str {
    call.fields["text"].as_str().unwrap()
}
