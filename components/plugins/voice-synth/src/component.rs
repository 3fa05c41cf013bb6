//! The component's exports.

mod synthesis;

use mercury_plugin::{
    broker::{self, Answer, Failure},
    log, permissions,
    result_processor::{self, Delivery, Outcome, RunResult},
    settings,
    types::Caller,
};
use mercury_text::speech::Language;
use serde_json::json;

use crate::{
    policy::{Reply, is_automatic},
    voice::{self, Format},
};
use synthesis::{Problem, synthesize};

/// The host's own permission for this.
const PERMISSION: &str = "tts.synthesize";

struct VoiceSynth;

impl result_processor::Guest for VoiceSynth {
    fn process(mut result: RunResult) -> Result<Outcome, String> {
        let setting = |key: &str| settings::get(key, Some(&result.caller.space)).unwrap_or_default();
        let reply = Reply { text: &result.reply, failed: result.failure.is_some(), scheduled: result.scheduled };
        if is_automatic(&setting("mode"), &setting("auto")) && reply.is_spoken() {
            if !may(&result.caller) {
                log::warn(&format!(
                    "run {}: {} lacks {PERMISSION}, so the reply is not read",
                    result.run, result.caller.person
                ));
            } else {
                let format = Format::of_platform(&result.platform);
                match synthesize(&result.reply, None, &setting("provider"), format, &result.caller.space) {
                    Ok(Some(sound)) => result.attachments.push(sound.file),
                    Ok(None) => {}
                    // The reply goes out as text.
                    Err(problem) => log::error(&format!("run {}: the reply is not read: {problem}", result.run)),
                }
            }
        }
        Ok(Outcome::Deliver(Delivery { reply: result.reply, attachments: result.attachments }))
    }
}

impl broker::Guest for VoiceSynth {
    fn invoke(caller: Caller, action: String, arguments: String) -> Result<Answer, Failure> {
        if action != "synthesize" {
            return Err(failure(404, "not-found", format!("voice-synth has no action `{action}`; it has synthesize")));
        }
        if !may(&caller) {
            return Err(failure(403, "denied", format!("this needs the permission {PERMISSION}")));
        }
        let arguments: Arguments = serde_json::from_str(&arguments)
            .map_err(|error| failure(400, "invalid-arguments", format!("the arguments do not fit: {error}")))?;
        let language = match arguments.language.as_deref() {
            None | Some("auto") => None,
            Some("he-IL") => Some(Language::Hebrew),
            Some("en-US") => Some(Language::English),
            Some(other) => {
                let said = format!("language is `{other}`; use auto, he-IL or en-US");
                return Err(failure(400, "invalid-arguments", said));
            }
        };
        let configured = settings::get("provider", Some(&caller.space)).unwrap_or_default();
        let provider = arguments.provider.unwrap_or(configured);
        let sound = synthesize(&arguments.text, language, &provider, Format::Mp3, &caller.space).map_err(refuse)?;
        let sound = sound.ok_or_else(|| failure(400, "empty", "the text has no words that can be read".to_owned()))?;
        let output = json!({
            "mimeType": Format::Mp3.mime_type(),
            "filename": sound.file_name,
            "sizeBytes": sound.file.size_bytes,
            "language": voice::code(sound.language),
        });
        Ok(Answer { output: output.to_string(), files: vec![sound.file] })
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    text: String,
    language: Option<String>,
    provider: Option<String>,
}

fn may(caller: &Caller) -> bool {
    permissions::has(&caller.person, &caller.space, PERMISSION)
}

fn refuse(problem: Problem) -> Failure {
    let message = problem.to_string();
    match problem {
        Problem::Settings(_) | Problem::NotConfigured => failure(503, "not-configured", message),
        Problem::Denied(_) => failure(403, "denied", message),
        Problem::Provider { retryable, .. } => Failure { retryable, ..failure(502, "provider-failed", message) },
        Problem::Storage(_) => failure(500, "storage", message),
    }
}

fn failure(status: u16, code: &str, message: String) -> Failure {
    Failure { status, code: code.to_owned(), message, retryable: false }
}

result_processor::export!(VoiceSynth);
broker::export!(VoiceSynth);
