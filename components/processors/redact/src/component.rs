//! The component's export.

use mercury_plugin::{
    log,
    result_processor::{self, Delivery, Outcome, RunResult},
    settings,
};

struct Redact;

impl result_processor::Guest for Redact {
    fn process(result: RunResult) -> Result<Outcome, String> {
        let space = &result.caller.space;
        let host_paths: Vec<String> = settings::get("host-paths", Some(space))
            .unwrap_or_default()
            .split(',')
            .map(|path| path.trim().to_owned())
            .collect();
        let reply = crate::redact(&result.reply, space, &host_paths);
        if reply != result.reply {
            log::info(&format!("run {}: the reply was redacted", result.run));
        }
        Ok(Outcome::Deliver(Delivery { reply, attachments: result.attachments }))
    }
}

result_processor::export!(Redact);
