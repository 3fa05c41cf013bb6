//! Tells a space when a page on the web has changed.

use mercury_plugin::{
    http::{self, Body, Request},
    job, kv,
    messenger::{self, Recipient},
    settings,
    types::Content,
};

/// plugin.toml grants it.
const PAGE: &str = "https://status.example.com/status.txt";
/// The text that was there when it was looked at last.
const LAST: &str = "last";

fn page() -> Result<String, String> {
    let request = Request {
        method: "GET".into(),
        uri: PAGE.into(),
        headers: Vec::new(),
        credentials: Vec::new(),
        body: Body::Empty,
        timeout_ms: None,
    };
    let response = http::fetch(&request).map_err(|error| error.message)?;
    match response.body {
        Content::Text(text) if response.status == 200 => Ok(text),
        _ => Err(format!("{PAGE} answered {}", response.status)),
    }
}

struct Plugin;

impl job::Guest for Plugin {
    fn run(_name: String) -> Result<(), String> {
        let text = page()?;
        let last = kv::get(LAST).map_err(|error| format!("kv: {error:?}"))?;
        if last.as_deref() == Some(text.as_bytes()) {
            return Ok(());
        }
        if last.is_some() {
            // Before it is kept: what fails here is told at the next run.
            let space = settings::get("space", None).unwrap_or_default();
            messenger::send(&Recipient::Space(space), &format!("{PAGE} has changed."))
                .map_err(|error| format!("messenger: {error:?}"))?;
        }
        kv::set(LAST, text.as_bytes()).map_err(|error| format!("kv: {error:?}"))
    }
}

#[cfg(target_family = "wasm")]
job::export!(Plugin);
