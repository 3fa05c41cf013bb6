//! From a message's files to what stands behind its prompt.

use crate::{
    exchange::{Broken, Exchange, Note, Response},
    settings::Settings,
};

/// The first request and two more.
const ATTEMPTS: u32 = 3;
/// A provider that wants a longer wait than this, in seconds, is not waited for.
const LONGEST_WAIT_S: u64 = 10;
/// After so many seconds no request begins: the person is waiting. The manifest's `deadline-s` is this
/// and the time for one request.
const LAST_START_S: u64 = 120;
/// Characters of a refusal that the log keeps.
const SHOWN_OF_REFUSAL: usize = 240;

/// Why a note has no transcript, in words for the person; the log has the rest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("speech recognition is not set up correctly")]
    Settings,
    #[error("no key for the speech provider is set up")]
    NoKey,
    #[error("the speech provider does not take the key that is set up")]
    WrongKey,
    #[error("too large, at most {} MB can be sent", .0 / 1_000_000)]
    TooLarge(u64),
    #[error("the speech provider did not answer in time")]
    Timeout,
    #[error("the speech provider could not be reached")]
    Unreachable,
    #[error("the speech provider is overloaded")]
    Overloaded,
    #[error("the speech provider refused it")]
    Refused,
    #[error("the speech provider had an error")]
    Provider,
    #[error("the file could not be read")]
    Unreadable,
}

/// The text behind the prompt, or none where there is nothing to say.
pub fn additions(notes: &[Note], settings: &Result<Settings, String>, world: &mut dyn Exchange) -> Option<String> {
    if notes.is_empty() {
        return None;
    }
    let said: Vec<_> = match settings {
        Ok(settings) => notes.iter().map(|note| transcribe(note, settings, world)).collect(),
        Err(wrong) => {
            world.warn(wrong);
            notes.iter().map(|_| Err(Failure::Settings)).collect()
        }
    };
    let lines: Vec<_> = said
        .iter()
        .enumerate()
        .filter_map(|(at, outcome)| {
            let line = match outcome {
                // One line a note: nothing that was said can look like another note or a heading.
                Ok(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
                Err(failure) => format!("(not transcribed: {failure})"),
            };
            let number = if said.len() > 1 { format!("{}. ", at + 1) } else { String::new() };
            (!line.is_empty()).then(|| format!("{number}{line}"))
        })
        .collect();
    (!lines.is_empty()).then(|| format!("[Voice transcript]\n{}", lines.join("\n")))
}

fn transcribe(note: &Note, settings: &Settings, world: &mut dyn Exchange) -> Result<String, Failure> {
    let provider = settings.provider;
    if !world.has_key(provider.secret()) {
        world.warn(&format!("the secret {} is not set, so voice messages are not transcribed", provider.secret()));
        return Err(Failure::NoKey);
    }
    if note.size_bytes > provider.most_bytes() {
        return Err(Failure::TooLarge(provider.most_bytes()));
    }
    let request = provider.request(note, settings, world).map_err(|error| {
        world.warn(&format!("a voice message cannot be read: {error}"));
        Failure::Unreadable
    })?;
    let mut attempt = 1;
    loop {
        if world.elapsed_s() > LAST_START_S {
            return Err(Failure::Timeout);
        }
        let outcome = world.post(&request);
        match judge(&outcome, attempt) {
            Judgement::Take => {
                let text = outcome.ok().and_then(|response| provider.text(&response.body));
                return text.ok_or_else(|| {
                    world.warn("the speech provider's answer has no text where its API promises one");
                    Failure::Provider
                });
            }
            Judgement::Again { after_s } => world.wait(after_s),
            Judgement::GiveUp(failure) => {
                world.warn(&format!(
                    "a voice message was not transcribed after {attempt} attempts: {}",
                    details(&outcome)
                ));
                return Err(failure);
            }
        }
        attempt += 1;
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    Take,
    Again { after_s: u64 },
    GiveUp(Failure),
}

fn judge(outcome: &Result<Response, Broken>, attempt: u32) -> Judgement {
    let usual_wait = u64::from(attempt);
    let (failure, wait) = match outcome {
        Ok(response) => match response.status {
            200..=299 => return Judgement::Take,
            429 => (Failure::Overloaded, response.retry_after_s.unwrap_or(usual_wait)),
            500..=599 => (Failure::Provider, response.retry_after_s.unwrap_or(usual_wait)),
            401 | 403 => return Judgement::GiveUp(Failure::WrongKey),
            // As Google words it (google.rpc.BadRequest, API_KEY_INVALID).
            400 if response.body.contains("API key not valid") => return Judgement::GiveUp(Failure::WrongKey),
            300..=399 => return Judgement::GiveUp(Failure::Provider),
            _ => return Judgement::GiveUp(Failure::Refused),
        },
        Err(Broken::Unreachable(_)) => (Failure::Unreachable, usual_wait),
        // It may have been heard, and paid for.
        Err(Broken::Timeout) => return Judgement::GiveUp(Failure::Timeout),
        Err(Broken::Other(_)) => return Judgement::GiveUp(Failure::Provider),
    };
    if attempt < ATTEMPTS && wait <= LONGEST_WAIT_S {
        Judgement::Again { after_s: wait }
    } else {
        Judgement::GiveUp(failure)
    }
}

fn details(outcome: &Result<Response, Broken>) -> String {
    match outcome {
        Ok(response) => {
            let body: String = response.body.chars().take(SHOWN_OF_REFUSAL).collect();
            format!("status {}: {body}", response.status)
        }
        Err(Broken::Timeout) => "no answer within a minute".to_owned(),
        Err(Broken::Unreachable(error) | Broken::Other(error)) => error.clone(),
    }
}

#[cfg(test)]
mod tests;
