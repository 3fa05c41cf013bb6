//! The description of the API: one table, from which the OpenAPI document is made. `docs/openapi.json` is
//! its copy, so that every change of the API is seen; a test holds the table against the routers, and
//! another the document against the running server.

mod table;

use axum::Json;
use serde_json::{Map, Value, json};

/// Who is let in, as the document says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Everybody who reaches the listener.
    Open,
    /// The chat key, where one is set.
    Chat,
    /// The API secret or a session; where neither secret nor chat key is set, this machine.
    Operator,
    /// The same, and closed without a secret.
    Console,
    /// An agent on its run's socket; on TCP the operator for a caller, whom two headers name.
    Caller,
}

struct Route {
    method: &'static str,
    path: &'static str,
    access: Access,
    about: &'static str,
    query: &'static [&'static str],
    /// An example of the body.
    body: &'static str,
    /// Of success.
    status: &'static str,
    /// What a JSON answer has at least; empty for any other answer.
    answer: &'static [&'static str],
}

const fn route(
    method: &'static str,
    path: &'static str,
    access: Access,
    about: &'static str,
    answer: &'static [&'static str],
) -> Route {
    Route { method, path, access, about, query: &[], body: "", status: "200", answer }
}

impl Route {
    const fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    const fn body(self, body: &'static str) -> Self {
        Self { body, ..self }
    }

    const fn status(self, status: &'static str) -> Self {
        Self { status, ..self }
    }
}

use Access::{Caller, Chat, Console, Open, Operator};
use table::ROUTES;

/// `GET /api/openapi.json`
pub(super) async fn show() -> Json<Value> {
    Json(document())
}

/// The OpenAPI document, version 3.1.
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let operations = paths.entry(route.path).or_insert_with(|| json!({}));
        operations[route.method] = operation(route);
    }
    let text = |about: &str| json!({ "type": "string", "description": about });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Mercury",
            "version": crate::VERSION,
            "description": "Webhooks of chat platforms, and what only a run's own socket serves, are left out. Every error has the shape `Error`. Lists come in pages: `next` is `after` of the next one, or null.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": super::access::COOKIE,
                    "description": "Other methods than GET need the session's `csrf` as X-CSRF-Token." },
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error", "code"],
                    "properties": {
                        "error": text("The thing and the reason, for people."),
                        "code": text("Stable, for programs."),
                        "next": text("What to do next."),
                        "retryable": { "type": "boolean" },
                        "reply": text("What a person in a chat would read instead."),
                        "run": text("The run that the error belongs to."),
                    },
                    "additionalProperties": false,
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let string = |place: &str, name: &str, required: bool| json!({ "in": place, "name": name, "required": required, "schema": { "type": "string" } });
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path.map(|name| string("path", name, true)).collect();
    parameters.extend(route.query.iter().map(|name| string("query", name, false)));
    if route.access == Caller {
        parameters.extend(["X-Mercury-Caller", "X-Mercury-Space"].map(|name| string("header", name, false)));
    }
    let error = json!({ "description": "An error.", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } } });
    let mut responses = json!({ route.status: { "description": "Success." }, "default": error });
    if !route.answer.is_empty() {
        let schema = json!({ "type": "object", "required": route.answer });
        responses[route.status]["content"] = json!({ "application/json": { "schema": schema } });
    }
    let mut operation = json!({
        "summary": route.about,
        "parameters": parameters,
        "responses": responses,
        "security": match route.access {
            Open => json!([{}]),
            Chat => json!([{}, { "bearer": [] }]),
            Console | Operator | Caller => json!([{ "bearer": [] }, { "session": [] }]),
        },
    });
    if let Ok(example) = serde_json::from_str::<Value>(route.body) {
        operation["requestBody"] =
            json!({ "content": { "application/json": { "schema": { "type": "object" }, "example": example } } });
    }
    operation
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The routers' own source: what is served and not described is seen.
    const SOURCES: &[&str] = &[include_str!("mod.rs"), include_str!("../callers/mod.rs")];

    fn served() -> BTreeSet<(String, String)> {
        let mut served = BTreeSet::new();
        for source in SOURCES {
            let source: String = source.chars().filter(|letter| !letter.is_whitespace()).collect();
            for call in source.split(".route(\"").skip(1) {
                let (path, methods) = call.split_once('"').unwrap();
                let methods = methods.split("))").next().unwrap();
                for method in ["get", "post", "put", "patch", "delete"] {
                    if methods.contains(&format!("{method}(")) {
                        served.insert((method.to_owned(), path.to_owned()));
                    }
                }
            }
        }
        served
    }

    #[test]
    fn every_route_is_described() {
        let described: BTreeSet<_> = ROUTES.iter().map(|it| (it.method.to_owned(), it.path.to_owned())).collect();
        assert_eq!(described.len(), ROUTES.len(), "a route is described twice");
        let served = served();
        let differing: Vec<_> = served.symmetric_difference(&described).collect();
        assert!(differing.is_empty(), "served or described, but not both: {differing:?}");
    }

    /// `MERCURY_WRITE_DOCS=1` writes it anew.
    #[test]
    fn the_copy_is_current() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        let text = format!("{:#}\n", document());
        if std::env::var_os("MERCURY_WRITE_DOCS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let copy = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            copy == text,
            "docs/openapi.json is not what the API is; write it with MERCURY_WRITE_DOCS=1 and look at the difference"
        );
    }

    #[test]
    fn examples_are_json() {
        for route in ROUTES.iter().filter(|route| !route.body.is_empty()) {
            assert!(serde_json::from_str::<Value>(route.body).is_ok(), "{} {}", route.method, route.path);
        }
    }
}
