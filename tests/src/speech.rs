//! Fake speech services, all on one socket, each with the paths, headers and bodies of the real one:
//! OpenAI's transcriptions, Gemini's `generateContent`, Hugging Face's router, and the voices of Azure
//! and Google. What does not fit is refused as the real one does, so a test sees a wrong request.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// What all five take as their key.
pub const KEY: &str = "canary-speech-key";

/// A request that fitted.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// `openai`, `gemini`, `hugging-face`, `azure`, `google`.
    pub service: &'static str,
    /// Fields of the form; of the others the model or the voice.
    pub fields: Vec<(String, String)>,
    /// Of the sound, or how sound is wanted.
    pub mime_type: String,
    pub file_name: String,
    /// The sound that is to be written down.
    pub sound: Vec<u8>,
    /// The text that is to be read.
    pub text: String,
}

#[derive(Clone, Default)]
struct Shared {
    heard: Arc<Mutex<Vec<Heard>>>,
    /// Statuses of the next answers, before which nothing is looked at.
    faults: Arc<Mutex<VecDeque<u16>>>,
}

pub struct Speech {
    address: SocketAddr,
    shared: Shared,
}

impl Speech {
    pub async fn start() -> Self {
        let shared = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/v1/audio/transcriptions", post(openai))
            .route("/v1beta/models/{call}", post(gemini))
            .route("/hf-inference/models/{owner}/{model}", post(hugging_face))
            .route("/cognitiveservices/v1", post(azure))
            .route("/v1/text:synthesize", post(google))
            // The largest that any of them takes.
            .layer(DefaultBodyLimit::max(26_000_000))
            .with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// The next requests get these statuses.
    pub fn fail(&self, statuses: impl IntoIterator<Item = u16>) {
        self.shared.faults.lock().unwrap().extend(statuses);
    }
}

fn words(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// What the transcribing ones hear: the sound's own first bytes, as text.
fn transcript(sound: &[u8]) -> String {
    words(&sound[..sound.len().min(64)])
}

impl Shared {
    fn fault(&self) -> Option<Response> {
        let status = self.faults.lock().unwrap().pop_front()?;
        let headers = [("retry-after", "0"), ("location", "https://elsewhere.invalid/")];
        // A provider that says the key again, as some do.
        let said = format!("a fault that was asked for, with the key {KEY}");
        Some((StatusCode::from_u16(status).unwrap(), headers, said).into_response())
    }

    fn hear(&self, heard: Heard) {
        self.heard.lock().unwrap().push(heard);
    }
}

fn refuse(status: u16, why: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(json!({ "error": { "message": why } }))).into_response()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn openai(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(fault) = shared.fault() {
        return fault;
    }
    if header(&headers, "authorization") != format!("Bearer {KEY}") {
        return refuse(401, "Incorrect API key provided");
    }
    let Some(boundary) = header(&headers, "content-type").strip_prefix("multipart/form-data; boundary=") else {
        return refuse(400, "Could not parse multipart form");
    };
    let mut heard = Heard { service: "openai", ..Heard::default() };
    for part in parts(&body, boundary.trim_matches('"')) {
        match part.name.as_str() {
            "file" => {
                heard.mime_type = part.mime_type;
                heard.file_name = part.file_name.unwrap_or_default();
                heard.sound = part.content;
            }
            _ => heard.fields.push((part.name, words(&part.content))),
        }
    }
    let known = ["flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm"];
    if !heard.file_name.rsplit_once('.').is_some_and(|(_, ending)| known.contains(&ending)) {
        return refuse(400, "Unrecognized file format");
    }
    if !heard.fields.iter().any(|(name, _)| name == "model") {
        return refuse(400, "you must provide a model parameter");
    }
    let text = transcript(&heard.sound);
    shared.hear(heard);
    Json(json!({ "text": text })).into_response()
}

struct Part {
    name: String,
    file_name: Option<String>,
    mime_type: String,
    content: Vec<u8>,
}

/// RFC 7578, as far as a well-behaved client writes it.
fn parts(body: &[u8], boundary: &str) -> Vec<Part> {
    let find = |haystack: &[u8], needle: &[u8]| haystack.windows(needle.len()).position(|window| window == needle);
    let (first, between) = (format!("--{boundary}\r\n"), format!("\r\n--{boundary}"));
    let mut rest = body.strip_prefix(first.as_bytes()).expect("the first boundary");
    let mut parts = Vec::new();
    loop {
        let head_end = find(rest, b"\r\n\r\n").expect("an empty line");
        let content_end = find(rest, between.as_bytes()).expect("a boundary");
        let head = String::from_utf8(rest[..head_end].to_vec()).unwrap();
        let quoted = |name: &str| {
            let (_, value) = head.split_once(&format!("{name}=\""))?;
            Some(value.split_once('"')?.0.to_owned())
        };
        let typed = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
        });
        parts.push(Part {
            name: quoted(" name").expect("a name"),
            file_name: quoted("filename"),
            mime_type: typed.unwrap_or_default(),
            content: rest[head_end + 4..content_end].to_vec(),
        });
        rest = &rest[content_end + between.len()..];
        match rest.strip_prefix(b"\r\n") {
            Some(next) => rest = next,
            None => return parts,
        }
    }
}

async fn gemini(State(shared): State<Shared>, Path(call): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(fault) = shared.fault() {
        return fault;
    }
    if header(&headers, "x-goog-api-key") != KEY {
        return refuse(400, "API key not valid. Please pass a valid API key.");
    }
    let Some(model) = call.strip_suffix(":generateContent") else { return refuse(404, "no such method") };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let parts = &body["contents"][0]["parts"];
    let (Some(prompt), Some(data)) = (parts[0]["text"].as_str(), parts[1]["inline_data"]["data"].as_str()) else {
        return refuse(400, "Invalid JSON payload received");
    };
    let Ok(sound) = STANDARD.decode(data) else { return refuse(400, "Base64 decoding failed") };
    let answer = transcript(&sound);
    shared.hear(Heard {
        service: "gemini",
        fields: vec![("model".into(), model.to_owned())],
        mime_type: parts[1]["inline_data"]["mime_type"].as_str().unwrap_or_default().to_owned(),
        text: prompt.to_owned(),
        sound,
        ..Heard::default()
    });
    Json(json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "text": answer }] }, "finishReason": "STOP" }] }))
        .into_response()
}

async fn hugging_face(
    State(shared): State<Shared>,
    Path((owner, model)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(fault) = shared.fault() {
        return fault;
    }
    if header(&headers, "authorization") != format!("Bearer {KEY}") {
        return refuse(401, "Invalid username or password.");
    }
    let mime_type = header(&headers, "content-type").to_owned();
    if !mime_type.starts_with("audio/") {
        return refuse(400, "Content type not supported");
    }
    let text = transcript(&body);
    shared.hear(Heard {
        service: "hugging-face",
        fields: vec![("model".into(), format!("{owner}/{model}"))],
        mime_type,
        sound: body.to_vec(),
        ..Heard::default()
    });
    Json(json!({ "text": text })).into_response()
}

async fn azure(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(fault) = shared.fault() {
        return fault;
    }
    if header(&headers, "ocp-apim-subscription-key") != KEY {
        return refuse(401, "Access denied due to invalid subscription key");
    }
    let format = header(&headers, "x-microsoft-outputformat").to_owned();
    let mime_type = match format.as_str() {
        "audio-16khz-128kbitrate-mono-mp3" => "audio/mpeg",
        "ogg-24khz-16bit-mono-opus" => "audio/ogg; codecs=opus",
        _ => return refuse(400, "unsupported output format"),
    };
    let body = words(&body);
    let inner = body.strip_prefix("<speak version=\"1.0\" xmlns=\"http://www.w3.org/2001/10/synthesis\" xml:lang=\"");
    let inner = inner.and_then(|rest| rest.strip_suffix("</voice></speak>"));
    let Some((voice, text)) = inner.and_then(|rest| rest.split_once("<voice name=\"")?.1.split_once("\">")) else {
        return refuse(400, "the SSML is not valid");
    };
    if header(&headers, "content-type") != "application/ssml+xml" || text.contains('<') {
        return refuse(400, "the SSML is not valid");
    }
    let sound = format!("sound of {text}");
    shared.hear(Heard {
        service: "azure",
        fields: vec![("voice".into(), voice.to_owned())],
        mime_type: mime_type.to_owned(),
        text: text.to_owned(),
        ..Heard::default()
    });
    ([("content-type", mime_type)], sound).into_response()
}

async fn google(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(fault) = shared.fault() {
        return fault;
    }
    if header(&headers, "x-goog-api-key") != KEY {
        return refuse(403, "The request is missing a valid API key.");
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = body["input"]["text"].as_str().unwrap_or_default().to_owned();
    if text.is_empty() || text.len() > 5_000 {
        return refuse(400, "Either `input.text` or `input.ssml` is longer than the limit of 5000 bytes.");
    }
    let encoding = body["audioConfig"]["audioEncoding"].as_str().unwrap_or_default().to_owned();
    let sound = STANDARD.encode(format!("sound of {text}"));
    shared.hear(Heard {
        service: "google",
        fields: vec![("voice".into(), body["voice"]["name"].as_str().unwrap_or_default().to_owned())],
        mime_type: encoding,
        text,
        ..Heard::default()
    });
    Json(json!({ "audioContent": sound })).into_response()
}
