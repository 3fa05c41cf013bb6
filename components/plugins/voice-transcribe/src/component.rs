//! The component's export, and the world of [`crate::exchange`] by the host's calls.

use std::time::{Duration, Instant};

use mercury_plugin::{
    credentials::{self, Credential, Place},
    http::{self, ErrorKind, Part},
    log, media,
    run_hook::{self, Additions, Decision, Run},
    settings,
    types::{Content, MediaKind},
};

use crate::{
    exchange::{Body, Broken, Exchange, Key, Note, Request, Response},
    hook,
    settings::Settings,
};

/// For one request.
const TIMEOUT_MS: u32 = 60_000;

struct VoiceTranscribe;

impl run_hook::Guest for VoiceTranscribe {
    fn before_run(run: Run) -> Result<Decision, String> {
        let spoken = |kind: &MediaKind| matches!(kind, MediaKind::Voice | MediaKind::Audio);
        let notes: Vec<_> = run
            .attachments
            .into_iter()
            .filter(|file| spoken(&file.kind))
            .map(|file| Note {
                handle: file.handle,
                mime_type: file.mime_type,
                file_name: file.file_name,
                size_bytes: file.size_bytes,
            })
            .collect();
        let settings = Settings::read(|key| settings::get(key, Some(&run.caller.space)));
        let prompt = hook::additions(&notes, &settings, &mut Host { began: Instant::now() });
        Ok(Decision::Proceed(Additions { system_prompt: None, prompt, environment: Vec::new() }))
    }
}

struct Host {
    began: Instant,
}

impl Exchange for Host {
    fn has_key(&mut self, secret: &str) -> bool {
        credentials::present(secret)
    }

    fn post(&mut self, request: &Request) -> Result<Response, Broken> {
        let (secret, place) = match &request.key {
            Key::Bearer(secret) => (*secret, Place::Bearer),
            Key::Header(secret, name) => (*secret, Place::Header(((*name).to_owned(), String::new()))),
        };
        let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
        let mut typed = |mime_type: &str| headers.push(("content-type".to_owned(), mime_type.to_owned()));
        let body = match &request.body {
            Body::Json(text) => {
                typed("application/json");
                http::Body::Content(Content::Text(text.clone()))
            }
            Body::File { handle, mime_type } => {
                typed(mime_type);
                http::Body::Content(Content::File(handle.clone()))
            }
            Body::Form { fields, handle, file_name, mime_type } => {
                let field = |(name, value): &(&str, String)| Part {
                    name: (*name).to_owned(),
                    file_name: None,
                    mime_type: None,
                    content: Content::Text(value.clone()),
                };
                let file = Part {
                    name: "file".to_owned(),
                    file_name: Some(file_name.clone()),
                    mime_type: Some(mime_type.clone()),
                    content: Content::File(handle.clone()),
                };
                http::Body::Multipart(fields.iter().map(field).chain([file]).collect())
            }
        };
        let request = http::Request {
            method: "POST".to_owned(),
            uri: request.uri.clone(),
            headers,
            credentials: vec![Credential { secret: secret.to_owned(), place }],
            body,
            timeout_ms: Some(TIMEOUT_MS),
        };
        let response = http::fetch(&request).map_err(|error| match error.kind {
            ErrorKind::Timeout => Broken::Timeout,
            ErrorKind::Unreachable if !error.request_sent => Broken::Unreachable(error.message),
            _ => Broken::Other(error.message),
        })?;
        let retry_after = response.headers.iter().find(|(name, _)| name == "retry-after");
        Ok(Response {
            status: response.status,
            retry_after_s: retry_after.and_then(|(_, seconds)| seconds.trim().parse().ok()),
            body: match response.body {
                Content::Text(text) => text,
                Content::Bytes(_) | Content::File(_) => String::new(),
            },
        })
    }

    fn read(&mut self, handle: &str, offset: u64, length: u32) -> Result<Vec<u8>, String> {
        media::read(handle, offset, length).map_err(|error| format!("{error:?}"))
    }

    fn wait(&mut self, seconds: u64) {
        std::thread::sleep(Duration::from_secs(seconds));
    }

    fn elapsed_s(&mut self) -> u64 {
        self.began.elapsed().as_secs()
    }

    fn warn(&mut self, text: &str) {
        log::warn(text);
    }
}

run_hook::export!(VoiceTranscribe);
