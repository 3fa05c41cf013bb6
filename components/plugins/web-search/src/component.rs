//! The component's exports.

use std::collections::BTreeMap;

use mercury_plugin::{
    broker::{self, Answer, Failure},
    permissions,
    run_hook::{self, Additions, Decision, Run},
    types::Caller,
};
use serde_json::{Value, json};

use crate::{SYSTEM_PROMPT, sites, template, values::Values};

/// The plugin whose pages this one's links are opened in.
const BROWSER: &str = "web-browser";

struct WebSearch;

impl run_hook::Guest for WebSearch {
    fn before_run(run: Run) -> Result<Decision, String> {
        // The host asks only for callers with this plugin's own permission.
        let may = permissions::has(&run.caller.person, &run.caller.space, BROWSER);
        let system_prompt = may.then(|| SYSTEM_PROMPT.to_owned());
        Ok(Decision::Proceed(Additions { system_prompt, prompt: None, environment: Vec::new() }))
    }
}

impl broker::Guest for WebSearch {
    fn invoke(_caller: Caller, action: String, arguments: String) -> Result<Answer, Failure> {
        let output = match action.as_str() {
            "sites" => list(&arguments),
            "link" => link(&arguments),
            other => return Err(failure(404, "not-found", format!("web-search has no action `{other}`"))),
        };
        let output = output.map_err(|said| failure(422, "invalid-arguments", said))?;
        Ok(Answer { output: output.to_string(), files: Vec::new() })
    }
}

#[derive(serde::Deserialize)]
struct List {
    category: String,
    region: Option<String>,
}

fn list(arguments: &str) -> Result<Value, String> {
    let List { category, region } = serde_json::from_str(arguments).map_err(|error| error.to_string())?;
    let sites = sites::of_category(&category, region.as_deref())?;
    serde_json::to_value(sites).map_err(|error| error.to_string())
}

#[derive(serde::Deserialize)]
struct Link {
    site: String,
    values: BTreeMap<String, Value>,
}

fn link(arguments: &str) -> Result<Value, String> {
    let Link { site, values } = serde_json::from_str(arguments).map_err(|error| error.to_string())?;
    let known = sites::all()?;
    let found = known.iter().find(|known| known.id == site);
    let found = found.ok_or_else(|| format!("there is no site `{site}`; the action sites lists them"))?;
    let link = template::fill(&found.url, &Values::read(found, &values)?)?;
    Ok(json!({ "link": link, "wait-s": found.wait_s, "checked": found.checked, "notes": found.notes }))
}

fn failure(status: u16, code: &str, message: String) -> Failure {
    Failure { status, code: code.to_owned(), message, retryable: false }
}

run_hook::export!(WebSearch);
broker::export!(WebSearch);
