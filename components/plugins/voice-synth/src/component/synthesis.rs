//! One text as a sound file of the host's.

use std::fmt;

use mercury_plugin::{
    credentials::{self, Credential, Place},
    http::{self, ErrorKind},
    media, settings,
    types::{Content, Media, MediaKind},
};
use mercury_text::speech::Language;

use crate::{
    script,
    voice::{self, Format, Keys, Provider, Request},
};

/// Later than this a reply is better sent as text.
const TIMEOUT_MS: u32 = 20_000;
/// Ten minutes of the best format are less than 10 MB.
const MOST_BYTES: u64 = 32 << 20;

pub(super) struct Sound {
    pub file: Media,
    pub file_name: String,
    pub language: Language,
}

#[derive(Debug)]
pub(super) enum Problem {
    Settings(String),
    NotConfigured,
    Denied(String),
    Provider { message: String, retryable: bool },
    Storage(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfigured => formatter.write_str(
                "no voice is set up: the operator sets MERCURY_GOOGLE_TTS_API_KEY, or MERCURY_AZURE_SPEECH_KEY and plugins.voice-synth.settings.azure-region",
            ),
            Self::Settings(said) | Self::Denied(said) => formatter.write_str(said),
            Self::Provider { message, .. } => write!(formatter, "the speech provider failed: {message}"),
            Self::Storage(said) => write!(formatter, "the sound file cannot be kept: {said}"),
        }
    }
}

/// None where the text has nothing to be read.
pub(super) fn synthesize(
    markdown: &str,
    language: Option<Language>,
    provider: &str,
    format: Format,
    space: &str,
) -> Result<Option<Sound>, Problem> {
    let setting = |key: &str| settings::get(key, Some(space)).unwrap_or_default();
    let (region, most) = (setting("azure-region"), setting("max-chars"));
    let region = region.trim();
    let keys = Keys { google: credentials::present("google"), azure: credentials::present("azure") };
    let provider = voice::choose(provider, keys, region).map_err(Problem::Settings)?.ok_or(Problem::NotConfigured)?;
    let characters = most.trim().parse::<usize>().ok().filter(|most| (500..=10_000).contains(most));
    let characters =
        characters.ok_or_else(|| Problem::Settings(format!("the setting max-chars is `{most}`; use 500 to 10000")))?;
    let Some(script) = script::write(markdown, language, provider.bounds(characters)) else { return Ok(None) };
    let file_name = format.file_name(script.language);
    let kind = if format == Format::OggOpus { MediaKind::Voice } else { MediaKind::Audio };
    let file = match provider {
        Provider::Azure => {
            let request = voice::azure(&script, format, region).map_err(Problem::Settings)?;
            let request = sent(request, "azure", "ocp-apim-subscription-key");
            let made = http::download(&request, kind, Some(&file_name), Some(MOST_BYTES));
            made.map_err(|error| match status(&error) {
                Some(status) => refused(provider, status, &error.message),
                None => broken(error),
            })?
            .file
        }
        Provider::Google => {
            let request = sent(voice::google(&script, format), "google", "x-goog-api-key");
            let response = http::fetch(&request).map_err(broken)?;
            let Content::Text(body) = response.body else {
                return Err(Problem::Provider { message: "its answer is no text".to_owned(), retryable: false });
            };
            if !(200..300).contains(&response.status) {
                return Err(refused(provider, response.status, &body));
            }
            let sound =
                voice::google_sound(&body).map_err(|message| Problem::Provider { message, retryable: false })?;
            media::create(kind, format.mime_type(), &file_name, &sound).map_err(|error| match error {
                media::Error::Denied(line) => Problem::Denied(line),
                error => Problem::Storage(format!("{error:?}")),
            })?
        }
    };
    Ok(Some(Sound { file, file_name, language: script.language }))
}

fn sent(request: Request, secret: &str, header: &str) -> http::Request {
    http::Request {
        method: "POST".to_owned(),
        uri: request.uri,
        headers: request.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        credentials: vec![Credential {
            secret: secret.to_owned(),
            place: Place::Header((header.to_owned(), String::new())),
        }],
        body: http::Body::Content(Content::Text(request.body)),
        timeout_ms: Some(TIMEOUT_MS),
    }
}

/// Of a download that the peer refused: `other("status 401")`, and the message is what it said.
fn status(error: &http::Error) -> Option<u16> {
    let ErrorKind::Other(text) = &error.kind else { return None };
    text.strip_prefix("status ")?.parse().ok()
}

fn refused(provider: Provider, status: u16, said: &str) -> Problem {
    let (message, retryable) = voice::refusal(provider, status, said);
    Problem::Provider { message, retryable }
}

fn broken(error: http::Error) -> Problem {
    match error.kind {
        ErrorKind::Denied(line) => Problem::Denied(line),
        kind => Problem::Provider {
            retryable: matches!(kind, ErrorKind::Timeout | ErrorKind::Unreachable | ErrorKind::Throttled(_)),
            message: error.message,
        },
    }
}
