//! What a transcription needs of the world.

/// A file of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub handle: String,
    /// With parameters, as the platform told it.
    pub mime_type: String,
    pub file_name: Option<String>,
    pub size_bytes: u64,
}

impl Note {
    /// `audio/ogg` of `audio/ogg; codecs=opus`.
    pub fn bare_mime_type(&self) -> &str {
        self.mime_type.split(';').next().unwrap_or_default().trim()
    }
}

/// Where the key goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Bearer(&'static str),
    /// Secret and name of the header.
    Header(&'static str, &'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Json(String),
    /// The file itself, under its type.
    File {
        handle: String,
        mime_type: String,
    },
    /// Fields, and the file as the part `file`.
    Form {
        fields: Vec<(&'static str, String)>,
        handle: String,
        file_name: String,
        mime_type: String,
    },
}

/// A `POST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub uri: String,
    pub key: Key,
    pub body: Body,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Of the header `retry-after`, in seconds.
    pub retry_after_s: Option<u64>,
    pub body: String,
}

/// Why there was no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    Timeout,
    /// Nothing had been sent.
    Unreachable(String),
    Other(String),
}

/// The world: the host's calls in the component, a table in tests.
pub trait Exchange {
    fn has_key(&mut self, secret: &str) -> bool;
    fn post(&mut self, request: &Request) -> Result<Response, Broken>;
    /// Bytes of a file; fewer than asked for only at its end.
    fn read(&mut self, handle: &str, offset: u64, length: u32) -> Result<Vec<u8>, String>;
    fn wait(&mut self, seconds: u64);
    /// Seconds since the hook was called.
    fn elapsed_s(&mut self) -> u64;
    /// For the operator's log.
    fn warn(&mut self, text: &str);
}
