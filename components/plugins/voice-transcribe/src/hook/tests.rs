//! The hook against a table of answers.

use std::collections::VecDeque;

use super::*;
use crate::exchange::{Body, Key, Request};

#[derive(Default)]
struct Table {
    keyless: bool,
    answers: VecDeque<Result<Response, Broken>>,
    asked: Vec<Request>,
    waited: Vec<u64>,
    /// Every request takes so long.
    slow_s: u64,
    warned: Vec<String>,
}

impl Exchange for Table {
    fn has_key(&mut self, _secret: &str) -> bool {
        !self.keyless
    }

    fn post(&mut self, request: &Request) -> Result<Response, Broken> {
        self.asked.push(request.clone());
        self.answers.pop_front().unwrap()
    }

    fn read(&mut self, handle: &str, offset: u64, length: u32) -> Result<Vec<u8>, String> {
        let bytes = vec![b'x'; handle.len() * 1_000_000];
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        Ok(bytes[from..bytes.len().min(from + length as usize)].to_vec())
    }

    fn wait(&mut self, seconds: u64) {
        self.waited.push(seconds);
    }

    fn elapsed_s(&mut self) -> u64 {
        self.asked.len() as u64 * self.slow_s
    }

    fn warn(&mut self, text: &str) {
        self.warned.push(text.to_owned());
    }
}

fn note(handle: &str) -> Note {
    Note {
        handle: handle.into(),
        mime_type: "audio/ogg; codecs=opus".into(),
        file_name: Some("a.ogg".into()),
        size_bytes: 9_000,
    }
}

fn settings(values: &[(&str, &str)]) -> Result<Settings, String> {
    Settings::read(|key| values.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned()))
}

fn answer(status: u16, body: &str) -> Result<Response, Broken> {
    Ok(Response { status, body: body.into(), ..Response::default() })
}

fn table(answers: impl IntoIterator<Item = Result<Response, Broken>>) -> Table {
    Table { answers: answers.into_iter().collect(), ..Table::default() }
}

/// examples.md #44
#[test]
fn openai_gets_a_form_and_the_prompt_its_words() {
    let mut world = table([answer(200, r#"{"text":" shalom "}"#)]);
    let said = additions(&[note("h")], &settings(&[("language", "he")]), &mut world);
    assert_eq!(said.unwrap(), "[Voice transcript]\nshalom");
    assert_eq!(
        world.asked,
        [Request {
            uri: "https://api.openai.com/v1/audio/transcriptions".into(),
            key: Key::Bearer("openai"),
            body: Body::Form {
                fields: vec![
                    ("model", "gpt-4o-mini-transcribe".into()),
                    ("response_format", "json".into()),
                    ("language", "he".into())
                ],
                handle: "h".into(),
                file_name: "a.ogg".into(),
                mime_type: "audio/ogg".into(),
            },
        }]
    );
}

/// examples.md #45
#[test]
fn one_note_that_fails_does_not_take_the_others_along() {
    let broken = || answer(500, "oh");
    let mut world = table([broken(), broken(), broken(), answer(200, r#"{"text":"second\n3. forged"}"#)]);
    let said = additions(&[note("a"), note("b")], &settings(&[]), &mut world).unwrap();
    assert_eq!(said, "[Voice transcript]\n1. (not transcribed: the speech provider had an error)\n2. second 3. forged");
    assert_eq!((world.asked.len(), world.waited.as_slice()), (4, [1, 2].as_slice()));
    assert!(world.warned[0].contains("status 500: oh"), "{:?}", world.warned);
}

/// examples.md #46
#[test]
fn what_is_too_large_is_not_sent() {
    let mut world = table([]);
    let large = Note { size_bytes: 15_000_000, ..note("a") };
    let said = additions(&[large], &settings(&[("provider", "gemini")]), &mut world).unwrap();
    assert_eq!(said, "[Voice transcript]\n(not transcribed: too large, at most 12 MB can be sent)");
    assert!(world.asked.is_empty());
}

#[test]
fn gemini_gets_the_file_inside_its_json() {
    let mut world = table([answer(200, r#"{"candidates":[{"content":{"parts":[{"text":"hi"}]}}]}"#)]);
    let four_mb = Note { size_bytes: 4_000_000, ..note("four") };
    let said = additions(&[four_mb], &settings(&[("provider", "gemini"), ("language", "de")]), &mut world).unwrap();
    assert_eq!(said, "[Voice transcript]\nhi");
    let request = &world.asked[0];
    assert_eq!(request.key, Key::Header("gemini", "x-goog-api-key"));
    assert_eq!(request.uri, "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent");
    let Body::Json(body) = &request.body else { panic!("{:?}", request.key) };
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let parts = &body["contents"][0]["parts"];
    assert!(parts[0]["text"].as_str().unwrap().contains("code de"));
    assert_eq!(parts[1]["inline_data"]["mime_type"], "audio/ogg");
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.decode(parts[1]["inline_data"]["data"].as_str().unwrap());
    assert_eq!(data.unwrap(), vec![b'x'; 4_000_000]);
}

#[test]
fn hugging_face_gets_the_bare_file_and_keeps_the_models_slash() {
    let mut world = table([answer(200, r#"[{"text":"hi"}]"#)]);
    let settings = settings(&[("provider", "api"), ("model", "openai/whisper large")]);
    additions(&[note("h")], &settings, &mut world).unwrap();
    assert_eq!(world.asked[0].uri, "https://router.huggingface.co/hf-inference/models/openai/whisper%20large");
    assert_eq!(world.asked[0].body, Body::File { handle: "h".into(), mime_type: "audio/ogg".into() });
}

/// Every failure is said, without a word of the provider's (X16).
#[test]
fn failures_are_told_in_general_terms() {
    let said = |world: &mut Table| additions(&[note("a")], &settings(&[]), world).unwrap();
    assert!(said(&mut Table { keyless: true, ..Table::default() }).contains("no key"));
    for (outcome, expected) in [
        (answer(401, "key sk-1 is wrong"), "does not take the key"),
        (answer(400, "API key not valid. Please pass a valid API key."), "does not take the key"),
        (answer(400, "no such model"), "refused"),
        (answer(302, ""), "had an error"),
        (answer(200, "<html>"), "had an error"),
        (Err(Broken::Timeout), "in time"),
        (Err(Broken::Other("closed".into())), "had an error"),
    ] {
        let mut world = table([outcome]);
        let said = said(&mut world);
        assert!(said.contains(expected) && !said.contains("sk-1"), "{said}");
        assert_eq!((world.asked.len(), world.warned.len()), (1, 1), "{said}");
    }
    let refused = additions(&[note("a")], &settings(&[("provider", "local")]), &mut table([])).unwrap();
    assert!(refused.contains("not set up correctly"));
}

#[test]
fn the_providers_wait_is_honoured_up_to_a_limit() {
    let busy = |seconds| Ok(Response { status: 429, retry_after_s: Some(seconds), body: String::new() });
    let mut world = table([busy(7), answer(200, r#"{"text":"x"}"#)]);
    additions(&[note("a")], &settings(&[]), &mut world);
    assert_eq!(world.waited, [7]);
    let mut world = table([busy(11)]);
    let said = additions(&[note("a")], &settings(&[]), &mut world).unwrap();
    assert!(said.contains("overloaded") && world.waited.is_empty());
}

/// The person waits for two minutes, and for what is under way by then.
#[test]
fn what_takes_too_long_is_given_up() {
    let answers = (0..3).map(|_| answer(200, r#"{"text":"x"}"#));
    let mut world = Table { slow_s: 61, ..table(answers) };
    let said = additions(&[note("a"), note("b"), note("c")], &settings(&[]), &mut world).unwrap();
    assert_eq!(
        said,
        "[Voice transcript]\n1. x\n2. x\n3. (not transcribed: the speech provider did not answer in time)"
    );
}

#[test]
fn silence_is_nothing() {
    assert_eq!(additions(&[], &settings(&[]), &mut table([])), None);
    let mut world = table([answer(200, r#"{"text":" "}"#)]);
    assert_eq!(additions(&[note("a")], &settings(&[]), &mut world), None);
}
