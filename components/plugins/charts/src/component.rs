//! The component's export.

use mercury_plugin::{
    broker::{self, Answer, Failure},
    media,
    types::{Caller, MediaKind},
};
use serde_json::{Value, json};

use crate::{Refusal, Theme, render, schema};

/// What the host hands on of an answer's text.
const MOST_INLINE: usize = 240 << 10;

struct Charts;

impl broker::Guest for Charts {
    fn invoke(_caller: Caller, action: String, arguments: String) -> Result<Answer, Failure> {
        match action.as_str() {
            "render" => drawn(&arguments),
            "schema" => shapes(&arguments),
            other => {
                Err(failure(404, "not-found", format!("charts has no action `{other}`; it has render and schema")))
            }
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Render {
    option: Value,
    #[serde(default = "usual_width")]
    width: u32,
    #[serde(default = "usual_height")]
    height: u32,
    theme: Option<String>,
    /// The SVG itself instead of a file.
    #[serde(default)]
    inline: bool,
}

fn usual_width() -> u32 {
    800
}

fn usual_height() -> u32 {
    400
}

fn drawn(arguments: &str) -> Result<Answer, Failure> {
    let call: Render = serde_json::from_str(arguments)
        .map_err(|error| failure(422, "invalid-arguments", format!("the arguments do not fit: {error}")))?;
    // The option may come as text, which is what a shell hands over most easily.
    let option = match &call.option {
        Value::String(text) => text.clone(),
        option => option.to_string(),
    };
    let theme = Theme::named(call.theme.as_deref()).map_err(refuse)?;
    let drawing = render(&option, call.width, call.height, theme).map_err(refuse)?;
    if call.inline {
        if drawing.svg.len() > MOST_INLINE {
            let said = "the picture is too large to be handed over as text; draw fewer points, or call without inline and take the file from the outbox";
            return Err(failure(422, "limit", said.to_owned()));
        }
        let output = json!({ "svg": drawing.svg, "ignored": drawing.ignored });
        return Ok(Answer { output: output.to_string(), files: Vec::new() });
    }
    let file = media::create(MediaKind::Image, "image/svg+xml", "chart.svg", drawing.svg.as_bytes());
    let file = file.map_err(|error| match error {
        media::Error::Denied(line) => failure(403, "denied", line),
        error => failure(500, "storage", format!("the picture cannot be kept: {error:?}")),
    })?;
    let output = json!({ "mimeType": "image/svg+xml", "sizeBytes": file.size_bytes, "ignored": drawing.ignored });
    Ok(Answer { output: output.to_string(), files: vec![file] })
}

fn shapes(arguments: &str) -> Result<Answer, Failure> {
    let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
    let names = |list: &[(&'static str, &'static str)]| list.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let output = match arguments["name"].as_str() {
        None => json!({ "types": names(schema::TYPES), "components": names(schema::COMPONENTS) }).to_string(),
        Some(name) => schema::shape(name).map(str::to_owned).ok_or_else(|| {
            let known: Vec<_> = names(schema::TYPES).into_iter().chain(names(schema::COMPONENTS)).collect();
            failure(404, "not-found", format!("there is no `{name}`; there are {}", known.join(", ")))
        })?,
    };
    Ok(Answer { output, files: Vec::new() })
}

fn refuse(refusal: Refusal) -> Failure {
    failure(422, refusal.code(), refusal.to_string())
}

fn failure(status: u16, code: &str, message: String) -> Failure {
    Failure { status, code: code.to_owned(), message, retryable: false }
}

broker::export!(Charts);
