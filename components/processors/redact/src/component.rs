//! The component's export.

use mercury_plugin::processor::{self, Delivery, Outcome, ResultProcessor, RunResult, log, settings};

struct Redact;

impl ResultProcessor for Redact {
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

processor::export!(Redact);
