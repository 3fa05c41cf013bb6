//! Signs the assistant's replies.

use mercury_plugin::{
    result_processor::{self, Delivery, Outcome, RunResult},
    settings,
};

/// The rule itself, which needs no host. Only an answer is signed, not the news of a failure.
fn sign(reply: String, failed: bool, signature: &str) -> String {
    if failed || signature.is_empty() { reply } else { format!("{reply}\n\n— {signature}") }
}

struct Plugin;

impl result_processor::Guest for Plugin {
    fn process(result: RunResult) -> Result<Outcome, String> {
        let signature = settings::get("signature", Some(&result.caller.space)).unwrap_or_default();
        let reply = sign(result.reply, result.failure.is_some(), &signature);
        Ok(Outcome::Deliver(Delivery { reply, attachments: result.attachments }))
    }
}

#[cfg(target_family = "wasm")]
result_processor::export!(Plugin);
