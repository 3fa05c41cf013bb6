//! The description of the API: one table, from which the OpenAPI document is made. `docs/openapi.json` is
//! its copy, so that every change of the API is seen; a test holds the table against the routers, and
//! another the document against the running server.

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

const PAGE: &[&str] = &["limit", "after"];

const ROUTES: &[Route] = &[
    route("get", "/health", Open, "Whether the host is ready, and what it is doing.", &["status", "uptime"]),
    route("get", "/metrics", Operator, "Metrics in the text format of Prometheus.", &[]),
    route("post", "/chat", Chat, "A message, and its answer in the same exchange.", &["files"])
        .body("{\"text\": \"hello\", \"spaceId\": \"main\", \"messageId\": \"1\"}"),
    route("get", "/dashboard/login", Open, "Opens a session by a link that was typed.", &[])
        .query(&["token"])
        .status("302"),
    route(
        "post",
        "/dashboard/login",
        Open,
        "Opens a session: its cookie, and the token that changes need.",
        &["csrf", "endsAt"],
    )
    .body("{\"token\": \"the API secret\"}"),
    route(
        "get",
        "/dashboard/session",
        Operator,
        "The session's own token against forged requests, and its end.",
        &["csrf", "endsAt"],
    ),
    route("post", "/dashboard/logout", Operator, "Ends this session, or those of everybody.", &["ended"])
        .body("{\"everywhere\": false}"),
    route("get", "/dashboard/events", Operator, "The same as /api/events.", &[]),
    route(
        "get",
        "/api/events",
        Operator,
        "Live state as server-sent events: `health`, `active-count`, and `lost` for whoever reads too slowly.",
        &[],
    ),
    route("get", "/api/openapi.json", Operator, "This document.", &["openapi", "paths"]),
    route("get", "/approvals", Operator, "Tool calls that wait for somebody's answer.", &["questions"]),
    route("get", "/approvals/decisions", Operator, "What was decided of tool calls.", &["decisions"]).query(&["count"]),
    route("post", "/approvals/{question}", Operator, "Answers a question.", &["note"])
        .body("{\"choice\": \"deny\", \"reason\": \"not today\"}"),
    route("get", "/api/runs", Operator, "Runs, the newest first.", &["runs", "next"])
        .query(&["space", "limit", "after"]),
    route("post", "/api/spaces/{space}/stop", Operator, "Ends what a space is doing.", &["stopped", "dropped"]),
    route("get", "/api/plugins", Operator, "The plugins, and what each did.", &["plugins", "disabled"]),
    route(
        "post",
        "/api/plugins/reload",
        Operator,
        "Takes up what was installed, updated or removed.",
        &["added", "updated", "removed", "refused"],
    ),
    route(
        "post",
        "/api/plugins/{name}/purge",
        Operator,
        "Deletes what is kept of a plugin that is not installed any more.",
        &["keys", "files"],
    ),
    route("get", "/api/plugins/jobs", Operator, "The plugins' jobs.", &["jobs"]),
    route("get", "/api/plugins/widgets", Operator, "The plugins' panels.", &["widgets"]).query(&["space"]),
    route("get", "/api/plugins/{name}/log", Operator, "What a plugin logged.", &["lines"]).query(&["count"]),
    route("post", "/api/plugins/{name}/recording", Operator, "Records a plugin's calls, a line of JSON each.", &[])
        .body("{\"calls\": 1, \"seconds\": 1}"),
    route("get", "/api/adapters", Operator, "How the chat platforms' adapters stand.", &["adapters"]),
    route("post", "/api/adapters/{platform}/restart", Operator, "Starts an adapter anew.", &["restarting"]),
    route(
        "put",
        "/api/conversations/{id}",
        Operator,
        "Links a conversation to a space, or takes the link away.",
        &["id", "space"],
    )
    .body("{\"space\": \"main\"}"),
    route("get", "/api/deliveries", Operator, "What waits to be sent, and what was given up.", &["deliveries"]),
    route("post", "/api/deliveries/{id}/retry", Operator, "Tries a delivery once more.", &["retrying"]),
    route("delete", "/api/config", Operator, "Takes a setting back.", &["key", "deleted"]).query(&["key", "space"]),
    route(
        "post",
        "/pre-build-ext-image",
        Console,
        "Builds the derived image of an image that is about to be used.",
        &["derivedImage"],
    )
    .body("{\"targetAgentImage\": \"\"}"),
    route("get", "/api/console/spaces", Console, "Spaces, the oldest first.", &["spaces", "next"]).query(PAGE),
    route("post", "/api/console/spaces", Console, "Makes a space.", &["id", "name", "createdAt"])
        .body("{\"id\": \"team\", \"name\": \"The team\"}")
        .status("201"),
    route("patch", "/api/console/spaces/{space}", Console, "Renames a space.", &["ok"])
        .body("{\"name\": \"The team\"}"),
    route(
        "delete",
        "/api/console/spaces/{space}",
        Console,
        "Removes a space with its workspace, unless it is busy.",
        &["ok", "removed"],
    ),
    route(
        "get",
        "/api/console/spaces/{space}/messages",
        Console,
        "What was said in a space: a page of the newest, in its order.",
        &["messages", "next"],
    )
    .query(PAGE),
    route(
        "post",
        "/api/console/spaces/{space}/tasks",
        Console,
        "Schedules a task of the host's own that comes again.",
        &["id", "cron", "prompt", "timezone", "name", "nextRunAt"],
    )
    .body("{\"cron\": \"0 8 * * *\", \"prompt\": \"What is new today?\", \"timezone\": \"UTC\"}")
    .status("201"),
    route(
        "get",
        "/api/console/usage",
        Console,
        "What the models were asked for, in all and by space.",
        &["totals", "perSpace"],
    ),
    route(
        "get",
        "/api/whoami",
        Caller,
        "Who asks, in which role, and what that may do.",
        &["callerId", "spaceId", "role", "permissions"],
    ),
    route("post", "/api/stop", Caller, "Ends what the space is doing. Needs `stop`.", &["stopped", "dropped"]),
    route(
        "get",
        "/api/config",
        Caller,
        "The plugins' settings for the space. Needs `config.get`; the operator may ask without a caller.",
        &["spaceId", "config", "available"],
    )
    .query(&["space", "plugin"]),
    route(
        "put",
        "/api/config",
        Caller,
        "Sets a plugin's setting. Needs `config.set`; the operator may set without a caller.",
        &["spaceId", "key", "value"],
    )
    .body("{\"key\": \"napkin.backfill-days\", \"value\": \"30\"}"),
    route("get", "/api/prefs", Caller, "The space's preferences. Needs `prefs.get`.", &["spaceId", "preferences"]),
    route("put", "/api/prefs", Caller, "Sets a preference. Needs `prefs.set`.", &["spaceId", "key", "value"])
        .body("{\"key\": \"language\", \"value\": \"German\"}"),
    route("get", "/api/prefs/{key}", Caller, "One preference. Needs `prefs.get`.", &["spaceId", "key", "value"]),
    route(
        "delete",
        "/api/prefs/{key}",
        Caller,
        "Removes a preference. Needs `prefs.set`.",
        &["spaceId", "key", "deleted"],
    ),
    route("get", "/api/roles", Caller, "Who has which role. Needs `roles.list`.", &["roles", "next"]).query(PAGE),
    route(
        "post",
        "/api/roles",
        Caller,
        "Gives somebody a role. Needs `roles.grant`, and everything that the role may.",
        &["spaceId", "platformUserId", "role"],
    )
    .body("{\"platformUserId\": \"telegram:4711\", \"role\": \"admin\"}"),
    route(
        "delete",
        "/api/roles/{person}",
        Caller,
        "Makes a member of somebody. Needs `roles.revoke`.",
        &["spaceId", "platformUserId", "role"],
    ),
    route("get", "/api/mutes", Caller, "Who is not heard in the space for now. Needs `mutes.list`.", &["mutes"]),
    route(
        "post",
        "/api/mutes",
        Caller,
        "Stops hearing somebody for a while; without `confirm`, says what that is for. Needs `mutes.mute`.",
        &[],
    )
    .body("{\"platformUserId\": \"telegram:42\", \"duration\": \"1h\", \"confirm\": true}"),
    route("delete", "/api/mutes/{person}", Caller, "Hears somebody again. Needs `mutes.unmute`.", &["unmuted"]),
    route(
        "get",
        "/api/permissions",
        Caller,
        "What roles may do in the space. Needs `permissions.get`.",
        &["spaceId", "permissions"],
    )
    .query(&["role"]),
    route(
        "put",
        "/api/permissions",
        Caller,
        "Says what a role may do, exactly. Needs `permissions.set`, and everything that is given or taken.",
        &["spaceId", "role", "permissions"],
    )
    .body("{\"role\": \"moderator\", \"permissions\": [\"prompt\", \"stop\"]}"),
    route(
        "delete",
        "/api/permissions",
        Caller,
        "Brings a role's defaults back. Needs `permissions.set`.",
        &["spaceId", "role", "permissions"],
    )
    .query(&["role"]),
    route(
        "get",
        "/api/spaces",
        Caller,
        "The caller's space; all of them for an admin of all. Needs `spaces.list`.",
        &["spaces", "next"],
    )
    .query(PAGE),
    route("get", "/api/spaces/current", Caller, "The caller's space.", &["space"]),
    route(
        "delete",
        "/api/spaces/current",
        Caller,
        "Removes the caller's space with its workspace, unless it is busy. Needs `spaces.delete`.",
        &["spaceId", "deleted", "removed"],
    ),
    route("put", "/api/spaces/current/name", Caller, "Renames the space. Needs `spaces.rename`.", &["spaceId", "name"])
        .body("{\"name\": \"The team\"}"),
    route(
        "get",
        "/api/messages/search",
        Caller,
        "Messages that hold some words, the newest first. Needs `compact`.",
        &["messages"],
    )
    .query(&["q", "limit"]),
    route(
        "get",
        "/api/tasks",
        Caller,
        "The space's scheduled tasks, the oldest first. Needs `tasks.list`; the operator may ask without a caller, for all.",
        &["tasks", "next"],
    )
    .query(PAGE),
    route(
        "post",
        "/api/tasks",
        Caller,
        "Schedules a task: with `cron` one that comes again, with `at` one that comes once. Needs `tasks.create`.",
        &["id", "cron", "at", "prompt", "silent", "timezone", "nextRunAt"],
    )
    .body("{\"prompt\": \"What is new today?\", \"cron\": \"0 8 * * 1-5\", \"timezone\": \"Europe/Berlin\"}"),
    route("delete", "/api/tasks/{id}", Caller, "Deletes a task. Needs `tasks.delete`.", &["id", "deleted"]),
    route("post", "/api/tasks/{id}/pause", Caller, "Lets a task rest. Needs `tasks.pause`.", &["id", "active"]),
    route(
        "post",
        "/api/tasks/{id}/resume",
        Caller,
        "Lets a task go on, from now. Needs `tasks.resume`.",
        &["id", "active", "nextRunAt"],
    ),
    route(
        "post",
        "/api/tasks/{id}/run",
        Caller,
        "Lets a task run soon, whatever its schedule says. Needs `tasks.create`.",
        &["id", "triggered"],
    ),
    route("get", "/api/ext", Caller, "The plugins, and what each brings for agents.", &["extensions"]),
    route(
        "get",
        "/api/conversations",
        Caller,
        "The space's conversations; all of them for an admin of all, and for the operator. Needs `spaces.list`.",
        &["conversations"],
    )
    .query(&["linked", "platform"]),
    route(
        "post",
        "/api/conversations/{id}/link",
        Caller,
        "Links a conversation to a space. Needs `spaces.rename`, and an admin of all.",
        &["conversationId", "spaceId", "linked"],
    )
    .body("{\"spaceId\": \"main\"}"),
    route(
        "post",
        "/api/conversations/{id}/unlink",
        Caller,
        "Takes a conversation out of its space. Needs `spaces.rename`.",
        &["conversationId", "unlinked"],
    ),
];

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
