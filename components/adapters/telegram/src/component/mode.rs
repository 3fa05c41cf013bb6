//! Whether updates are fetched or brought.

use mercury_plugin::{credentials, kv, log, settings, trouble::Trouble};
use serde_json::json;

use super::{bot::trouble, client};
use crate::{
    api::{ALLOWED_UPDATES, WebhookInfo},
    problem::Problem,
};

const KEY: &str = "mode";
pub(super) const SECRET: &str = "webhook-secret";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Poll,
    Webhook,
}

/// What was decided at the start.
pub(super) fn known() -> Result<Mode, Trouble> {
    match kv::get(KEY) {
        Ok(Some(mode)) if mode == b"webhook" => Ok(Mode::Webhook),
        Ok(Some(_)) => Ok(Mode::Poll),
        Ok(None) => decide(),
        Err(error) => Err(Trouble::Transient(format!("its own state cannot be read: {error:?}"))),
    }
}

pub(super) fn decide() -> Result<Mode, Trouble> {
    let info = webhook_info().map_err(trouble)?;
    let set = !info.url.is_empty();
    let mode = match settings::get("mode", None).as_deref().unwrap_or("auto") {
        "auto" => {
            if set {
                Mode::Webhook
            } else {
                Mode::Poll
            }
        }
        "poll" if set => {
            return Err(Trouble::Operator(
                "its mode is `poll`, but a webhook is set, so Telegram gives nothing to a poller. Take it away with deleteWebhook, or set plugins.telegram.settings.mode to `auto`".into(),
            ));
        }
        "poll" => Mode::Poll,
        "webhook" if !set => {
            return Err(Trouble::Operator(
                "its mode is `webhook`, but none is set, so Telegram brings nothing. Call setWebhook, or set plugins.telegram.settings.mode to `auto`".into(),
            ));
        }
        "webhook" => Mode::Webhook,
        other => {
            return Err(Trouble::Operator(format!(
                "plugins.telegram.settings.mode is `{other}`; use `auto`, `poll` or `webhook`"
            )));
        }
    };
    if mode == Mode::Webhook {
        check_secret()?;
        warn_of_missing_updates(&info);
    }
    log::info(if mode == Mode::Poll {
        "updates are fetched by long polling"
    } else {
        "Telegram brings updates to the webhook"
    });
    let text: &[u8] = if mode == Mode::Poll { b"poll" } else { b"webhook" };
    kv::set(KEY, text).map_err(|error| Trouble::Transient(format!("its own state cannot be written: {error:?}")))?;
    Ok(mode)
}

/// The host compares with no secret that is easily guessed.
fn check_secret() -> Result<(), Trouble> {
    match credentials::matches(SECRET, "") {
        Ok(_) => Ok(()),
        Err(credentials::Error::Missing(_)) => Err(Trouble::Operator(
            "a webhook is set, and without MERCURY_TELEGRAM_WEBHOOK_SECRET_TOKEN anybody could bring messages. Set it to the secret_token of setWebhook, or take the webhook away with deleteWebhook".into(),
        )),
        Err(credentials::Error::Denied(reason) | credentials::Error::Other(reason)) => Err(Trouble::Operator(format!(
            "the webhook's secret cannot be used: {reason}. Call setWebhook with the new secret_token, too"
        ))),
    }
}

pub(super) fn webhook_info() -> Result<WebhookInfo, Problem> {
    client::ask("getWebhookInfo", &json!({}))
}

/// `setWebhook` says what comes, and keeps what an earlier call said.
fn warn_of_missing_updates(info: &WebhookInfo) {
    // An empty list stands for all but reactions.
    let missing: Vec<_> = ALLOWED_UPDATES
        .iter()
        .filter(|kind| !info.allowed_updates.is_empty() && !info.allowed_updates.iter().any(|allowed| allowed == *kind))
        .copied()
        .collect();
    if !missing.is_empty() {
        log::warn(&format!(
            "the webhook does not bring {}; call setWebhook with allowed_updates {}",
            missing.join(", "),
            json!(ALLOWED_UPDATES)
        ));
    }
}
