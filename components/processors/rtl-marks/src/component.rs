//! The component's export.

use mercury_plugin::{
    result_processor::{self, Delivery, Outcome, RunResult},
    settings,
};

use crate::Settings;

struct RtlMarks;

impl result_processor::Guest for RtlMarks {
    fn process(result: RunResult) -> Result<Outcome, String> {
        let setting = |key: &str| settings::get(key, Some(&result.caller.space)).unwrap_or_default();
        let (platforms, style) = (setting("platforms"), setting("style"));
        let reply = crate::mark(&result.reply, &result.platform, Settings { platforms: &platforms, style: &style })?;
        Ok(Outcome::Deliver(Delivery { reply, attachments: result.attachments }))
    }
}

result_processor::export!(RtlMarks);
