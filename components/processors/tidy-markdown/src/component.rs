//! The component's export.

use mercury_plugin::{
    result_processor::{self, Delivery, Outcome, RunResult},
    settings,
};

use crate::Tables;

struct TidyMarkdown;

impl result_processor::Guest for TidyMarkdown {
    fn process(result: RunResult) -> Result<Outcome, String> {
        let setting = |key: &str| settings::get(key, Some(&result.caller.space)).unwrap_or_default();
        let tables = match (setting("tables").trim(), setting("table-width").trim().parse()) {
            ("list", Ok(width)) => Tables::ListWiderThan(width),
            ("list", Err(_)) => return Err("the setting table-width is no number".to_owned()),
            _ => Tables::Keep,
        };
        let reply = crate::tidy(&result.reply, tables);
        Ok(Outcome::Deliver(Delivery { reply, attachments: result.attachments }))
    }
}

result_processor::export!(TidyMarkdown);
