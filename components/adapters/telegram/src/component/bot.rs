//! Who the bot is, asked at each start and kept for the instances that do other work.

use mercury_plugin::{credentials, inbox, kv, log, trouble::Trouble};
use serde_json::json;

use super::client;
use crate::{api::Me, inbound::Bot, problem::Problem};

const KEY: &str = "bot";

pub(super) fn introduce() -> Result<(), Trouble> {
    if !credentials::present(client::TOKEN) {
        return Err(Trouble::Operator(
            "MERCURY_TELEGRAM_BOT_TOKEN is not set. @BotFather gives one to every new bot (/newbot)".into(),
        ));
    }
    let me: Me = client::ask("getMe", &json!({})).map_err(trouble)?;
    log::info(&format!(
        "the bot is @{}; {}",
        me.username,
        if me.can_read_all_group_messages {
            "it sees all messages of its groups"
        } else {
            "in groups it sees only commands, mentions and replies, unless it is an admin there (@BotFather, /setprivacy)"
        }
    ));
    let me = serde_json::to_vec(&me).map_err(|error| Trouble::Transient(error.to_string()))?;
    kv::set(KEY, &me).map_err(|error| Trouble::Transient(format!("its own state cannot be written: {error:?}")))
}

pub(super) fn known() -> Result<Bot, String> {
    let me = kv::get(KEY).map_err(|error| format!("its own state cannot be read: {error:?}"))?;
    let me = me.and_then(|me| serde_json::from_slice(&me).ok());
    Ok(Bot { me: me.ok_or("the adapter was not started")?, name: inbox::bot_name() })
}

/// What the host does about a failed call.
pub(super) fn trouble(problem: Problem) -> Trouble {
    match problem {
        Problem::RetryAfter(ms) => Trouble::After((ms, problem.message())),
        Problem::Token(said) => Trouble::Operator(format!(
            "Telegram does not know the bot's token ({said}). Ask @BotFather for the present one (/token) and set MERCURY_TELEGRAM_BOT_TOKEN"
        )),
        problem => Trouble::Transient(problem.message()),
    }
}
