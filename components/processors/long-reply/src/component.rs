//! The component's export.

use mercury_plugin::{
    log, media,
    result_processor::{self, Delivery, Outcome, RunResult},
    settings,
    types::MediaKind,
};

struct LongReply;

impl result_processor::Guest for LongReply {
    fn process(mut result: RunResult) -> Result<Outcome, String> {
        let number = |key: &str, range: std::ops::RangeInclusive<usize>| {
            let value = settings::get(key, Some(&result.caller.space)).unwrap_or_default();
            let number = value.trim().parse().ok().filter(|number| range.contains(number));
            number.ok_or_else(|| format!("the setting {key} is `{value}`; use {} to {}", range.start(), range.end()))
        };
        let (max, keep) = (number("max-chars", 500..=100_000)?, number("keep-chars", 100..=10_000)?);
        let beginning = crate::beginning(&result.reply, max, keep).filter(|_| result.failure.is_none());
        if let Some(beginning) = beginning {
            match media::create(MediaKind::Document, "text/markdown", crate::FILE_NAME, result.reply.as_bytes()) {
                Ok(file) => {
                    result.attachments.push(file);
                    result.reply = beginning;
                }
                Err(error) => {
                    log::error(&format!("run {}: no file can be made, the reply stays whole: {error:?}", result.run))
                }
            }
        }
        Ok(Outcome::Deliver(Delivery { reply: result.reply, attachments: result.attachments }))
    }
}

result_processor::export!(LongReply);
