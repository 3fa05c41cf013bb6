//! The component's export.

use mercury_plugin::{
    result_processor::{self, Delivery, Outcome, RunResult},
    settings,
};

use crate::{Language, Show, Spent};

struct UsageFooter;

impl result_processor::Guest for UsageFooter {
    fn process(result: RunResult) -> Result<Outcome, String> {
        let setting = |key: &str| settings::get(key, Some(&result.caller.space)).unwrap_or_default();
        let (show, language) = (Show::parse(&setting("show"))?, Language::parse(&setting("language"))?);
        let mut reply = result.reply;
        if let Some(usage) = result.usage.filter(|_| result.failure.is_none() && !reply.trim().is_empty()) {
            let spent = Spent {
                tokens_in: usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
                tokens_out: usage.output_tokens,
                micro_usd: usage.cost_micro_usd,
                duration_ms: result.duration_ms,
            };
            if let Some(footer) = crate::footer(spent, show, language) {
                reply = format!("{}\n\n{footer}", reply.trim_end());
            }
        }
        Ok(Outcome::Deliver(Delivery { reply, attachments: result.attachments }))
    }
}

result_processor::export!(UsageFooter);
