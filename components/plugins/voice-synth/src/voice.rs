//! The providers: their voices, and the request that each wants.
//!
//! Azure: learn.microsoft.com/azure/ai-services/speech-service/rest-text-to-speech. Google:
//! cloud.google.com/text-to-speech/docs/reference/rest/v1/text/synthesize.

use mercury_text::speech::Language;
use serde_json::json;

use crate::script::{Bounds, Script};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    Google,
    Azure,
}

/// How the sound is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Mp3,
    /// What Telegram and WhatsApp show as a voice message.
    OggOpus,
}

impl Format {
    pub fn of_platform(platform: &str) -> Self {
        if matches!(platform, "telegram" | "whatsapp") { Self::OggOpus } else { Self::Mp3 }
    }

    pub fn mime_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::OggOpus => "audio/ogg",
        }
    }

    /// `mercury-tts-he.mp3`
    pub fn file_name(self, language: Language) -> String {
        let (code, extension) = (&code(language)[..2], if self == Self::Mp3 { "mp3" } else { "ogg" });
        format!("mercury-tts-{code}.{extension}")
    }
}

/// Which of the keys are set.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub google: bool,
    pub azure: bool,
}

/// The provider for a name of the settings or of a call; none where it is not set up.
///
/// # Errors
/// A name that is none.
pub fn choose(name: &str, keys: Keys, azure_region: &str) -> Result<Option<Provider>, String> {
    let google = keys.google.then_some(Provider::Google);
    let azure = (keys.azure && !azure_region.is_empty()).then_some(Provider::Azure);
    match name.trim() {
        "" | "auto" => Ok(google.or(azure)),
        "google" => Ok(google),
        "azure" => Ok(azure),
        other => Err(format!("the setting provider is `{other}`; use auto, google or azure")),
    }
}

impl Provider {
    /// Google takes 5,000 bytes of text; Azure ten minutes of sound, which the characters bound.
    pub fn bounds(self, characters: usize) -> Bounds {
        Bounds { characters, bytes: (self == Self::Google).then_some(5_000) }
    }
}

/// A `POST` without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub uri: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// # Errors
/// A region that is no name.
pub fn azure(script: &Script, format: Format, region: &str) -> Result<Request, String> {
    if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Err(format!("the setting azure-region is `{region}`; use a name such as westeurope"));
    }
    let output = match format {
        Format::Mp3 => "audio-16khz-128kbitrate-mono-mp3",
        Format::OggOpus => "ogg-24khz-16bit-mono-opus",
    };
    let voice = match script.language {
        Language::Hebrew => "he-IL-HilaNeural",
        Language::English => "en-US-JennyNeural",
    };
    let (language, text) = (code(script.language), xml(&script.text));
    Ok(Request {
        uri: format!("https://{region}.tts.speech.microsoft.com/cognitiveservices/v1"),
        headers: vec![
            ("content-type", "application/ssml+xml".to_owned()),
            ("x-microsoft-outputformat", output.to_owned()),
            ("user-agent", "mercury".to_owned()),
        ],
        body: format!(
            "<speak version=\"1.0\" xmlns=\"http://www.w3.org/2001/10/synthesis\" xml:lang=\"{language}\"><voice name=\"{voice}\">{text}</voice></speak>"
        ),
    })
}

pub fn google(script: &Script, format: Format) -> Request {
    let voice = match script.language {
        Language::Hebrew => "he-IL-Standard-A",
        Language::English => "en-US-Neural2-C",
    };
    let encoding = if format == Format::Mp3 { "MP3" } else { "OGG_OPUS" };
    let body = json!({
        "input": { "text": script.text },
        "voice": { "languageCode": code(script.language), "name": voice },
        "audioConfig": { "audioEncoding": encoding },
    });
    Request {
        uri: "https://texttospeech.googleapis.com/v1/text:synthesize".to_owned(),
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.to_string(),
    }
}

/// Why there is no sound, in words that an agent can pass on, and whether it is worth another try. `said`
/// is the provider's own text.
pub fn refusal(provider: Provider, status: u16, said: &str) -> (String, bool) {
    let variable = match provider {
        Provider::Google => "MERCURY_GOOGLE_TTS_API_KEY",
        Provider::Azure => "MERCURY_AZURE_SPEECH_KEY",
    };
    match status {
        401 | 403 => (format!("it does not take the key (status {status}); the operator looks at {variable}"), false),
        400 if said.contains("API key not valid") => {
            (format!("it does not take the key; the operator looks at {variable}"), false)
        }
        429 => ("too many requests, or the quota is used up (status 429)".to_owned(), true),
        500..=599 => (format!("it has an error (status {status})"), true),
        _ => {
            let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(240).collect();
            (format!("status {status}: {said}"), false)
        }
    }
}

/// The sound in Google's answer.
///
/// # Errors
/// The answer is not what the API promises.
pub fn google_sound(body: &str) -> Result<Vec<u8>, String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        audio_content: String,
    }
    let answer: Answer =
        serde_json::from_str(body).map_err(|error| format!("Google's answer has no sound: {error}"))?;
    STANDARD.decode(answer.audio_content).map_err(|error| format!("Google's answer is no base64: {error}"))
}

/// As both providers call it.
pub fn code(language: Language) -> &'static str {
    match language {
        Language::Hebrew => "he-IL",
        Language::English => "en-US",
    }
}

/// Text of an XML element; characters that XML 1.0 forbids are dropped.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Script {
        Script { text: text.into(), language: Language::of(text) }
    }

    #[test]
    fn azure_gets_ssml() {
        let request = azure(&script("שלום <b> & co"), Format::Mp3, "westeurope").unwrap();
        assert_eq!(request.uri, "https://westeurope.tts.speech.microsoft.com/cognitiveservices/v1");
        assert_eq!(request.headers[1].1, "audio-16khz-128kbitrate-mono-mp3");
        assert_eq!(
            request.body,
            "<speak version=\"1.0\" xmlns=\"http://www.w3.org/2001/10/synthesis\" xml:lang=\"he-IL\"><voice name=\"he-IL-HilaNeural\">שלום &lt;b&gt; &amp; co</voice></speak>"
        );
        for region in ["", "a.b", "evil.example/", "Westeurope"] {
            assert!(azure(&script("x"), Format::Mp3, region).is_err(), "{region}");
        }
    }

    #[test]
    fn google_gets_json() {
        let request = google(&script("hi"), Format::OggOpus);
        assert_eq!(
            request.body,
            r#"{"audioConfig":{"audioEncoding":"OGG_OPUS"},"input":{"text":"hi"},"voice":{"languageCode":"en-US","name":"en-US-Neural2-C"}}"#
        );
        assert_eq!(google_sound(r#"{"audioContent":"aGk="}"#).unwrap(), b"hi");
        assert!(google_sound("{}").is_err() && google_sound(r#"{"audioContent":"!"}"#).is_err());
    }

    #[test]
    fn refusals_say_what_to_do() {
        let said = |provider, status, body: &str| refusal(provider, status, body);
        let (words, again) = said(Provider::Azure, 401, "Access denied");
        assert!(words.contains("MERCURY_AZURE_SPEECH_KEY") && !again, "{words}");
        for (status, body) in [(403, ""), (400, "API key not valid. Please pass a valid API key.")] {
            assert!(said(Provider::Google, status, body).0.contains("MERCURY_GOOGLE_TTS_API_KEY"));
        }
        assert!(said(Provider::Google, 429, "x").0.contains("quota") && said(Provider::Google, 429, "x").1);
        assert_eq!(said(Provider::Azure, 503, "<html>"), ("it has an error (status 503)".to_owned(), true));
        let (words, again) = said(Provider::Google, 400, &"long \n text ".repeat(100));
        assert!(words.starts_with("status 400: long text long") && words.len() < 260 && !again, "{words}");
    }

    #[test]
    fn what_is_set_up_is_chosen() {
        let both = Keys { google: true, azure: true };
        assert_eq!(choose("auto", both, "west").unwrap(), Some(Provider::Google));
        assert_eq!(choose("azure", both, "west").unwrap(), Some(Provider::Azure));
        assert_eq!(choose("azure", both, "").unwrap(), None);
        assert_eq!(choose("auto", Keys { google: false, azure: true }, "west").unwrap(), Some(Provider::Azure));
        assert_eq!(choose("google", Keys { google: false, azure: true }, "west").unwrap(), None);
        assert!(choose("polly", both, "").is_err());
    }

    #[test]
    fn formats_and_names() {
        assert_eq!(Format::of_platform("telegram"), Format::OggOpus);
        assert_eq!(Format::of_platform("slack").file_name(Language::Hebrew), "mercury-tts-he.mp3");
        assert_eq!(Format::OggOpus.file_name(Language::English), "mercury-tts-en.ogg");
    }
}
