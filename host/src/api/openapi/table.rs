//! Every route of the API, in the order of the document.

use super::{
    Access::{Caller, Chat, Console, Open, Operator},
    Route, route,
};

const PAGE: &[&str] = &["limit", "after"];

pub(super) const ROUTES: &[Route] = &[
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
        &["id", "space", "alsoUnlinked"],
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
        "/api/console/storage",
        Console,
        "What the spaces' files and the database take, and what is left on the disk.",
        &["disk", "spaces", "databaseBytes"],
    ),
    route(
        "get",
        "/api/console/spaces/{space}/config",
        Console,
        "What is set for a space.",
        &["spaceId", "config", "available"],
    ),
    route("put", "/api/console/spaces/{space}/config", Console, "Sets something for a space.", &["ok"])
        .body("{\"key\": \"messages.locale\", \"value\": \"en\"}"),
    route("get", "/api/console/connections", Console, "The same as /api/connections.", &["connections"]),
    route("post", "/api/console/restart", Console, "Has the host begin anew with the files as they are now.", &[
        "ok",
        "restarting",
    ]),
    route(
        "post",
        "/api/console/credentials",
        Console,
        "Writes a credential into .env, or takes it out where the value is empty. `waits` says why the host does not begin anew yet, though it should.",
        &["ok", "envVar", "restarting"],
    )
    .body("{\"envVar\": \"MERCURY_GROQ_API_KEY\", \"value\": \"\", \"restart\": false}"),
    route("get", "/api/console/adapters", Console, "The chat platforms, and which of their credentials are set.", &[
        "adapters",
    ]),
    route(
        "post",
        "/api/console/adapters/configure",
        Console,
        "Switches chat platforms on or off, writes their credentials, and has the host begin anew, or says in `waits` why not yet.",
        &["ok", "restarting"],
    )
    .body("{\"adapters\": {\"telegram\": {\"enabled\": true}}}"),
    route(
        "post",
        "/api/console/adapters/whatsapp/purge",
        Console,
        "Removes what the replaced system kept of its account of WhatsApp.",
        &["wiped"],
    ),
    route("get", "/api/console/extensions", Console, "The plugins that are at work.", &["extensions"]),
    route("get", "/api/console/extensions/catalog", Console, "The plugins that come with the host.", &["extensions"]),
    route(
        "post",
        "/api/console/extensions/install",
        Console,
        "Switches a plugin of the catalog on; shows what a package asks for, and installs it with the digest of what was agreed to.",
        &["ok", "name"],
    )
    .body("{\"catalogName\": \"none\"}"),
    route(
        "delete",
        "/api/console/extensions/{name}",
        Console,
        "Removes a plugin, or switches one off that comes with the host.",
        &["ok"],
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
        "post",
        "/api/compact",
        Caller,
        "Forgets for good what was said before. Needs `compact`.",
        &["spaceId", "boundary"],
    ),
    route(
        "post",
        "/api/clear",
        Caller,
        "Lets the next run start without what was said before. Needs `clear`.",
        &["spaceId", "boundary"],
    ),
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
    route("get", "/api/mutes", Caller, "Who is not heard in the space for now. Needs `mutes.list`.", &["mutes", "next"])
        .query(PAGE),
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
        "Messages that hold some words, the newest first; not `complete` where the space has more than the 50,000 it looks at. Needs `compact`.",
        &["messages", "complete"],
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
    route(
        "get",
        "/api/media",
        Caller,
        "Received or produced files of the space. Needs `media.purge`.",
        &["folder", "files", "next"],
    )
    .query(&["folder", "limit", "after"]),
    route(
        "post",
        "/api/media/purge",
        Caller,
        "Removes received and produced files of the space. Needs `media.purge`.",
        &["purged", "total"],
    )
    .body("{\"inbox\": true}"),
    route(
        "get",
        "/api/storage",
        Caller,
        "What the space's files take; for an admin of all every space's, the disk and the database. Needs `spaces.list`.",
        &["spaces"],
    ),
    route(
        "post",
        "/api/tts/synthesize",
        Caller,
        "Reads a text aloud. Needs `tts.synthesize`, and the plugin voice-synth.",
        &["mimeType", "filename", "dataBase64", "sizeBytes"],
    )
    .body("{\"text\": \"Good morning\", \"language\": \"en-US\"}"),
    route(
        "post",
        "/api/broadcast",
        Caller,
        "Writes a text to every direct conversation with a space of its own. Needs an admin of all.",
        &["total", "delivered", "failed", "errors"],
    )
    .body("{\"text\": \"I am back at work.\"}"),
    route(
        "post",
        "/api/send",
        Caller,
        "Writes a text to a person, or to a space's conversations. Needs an admin of all.",
        &["delivered", "spaceId"],
    )
    .body("{\"recipient\": \"telegram:4711\", \"text\": \"Good morning\"}"),
    route(
        "get",
        "/api/character",
        Caller,
        "What the assistant is like everywhere. Needs an admin of all.",
        &["character", "updatedBy"],
    ),
    route(
        "put",
        "/api/character",
        Caller,
        "Says what the assistant is like everywhere. Needs an admin of all.",
        &["ok"],
    )
    .body("{\"text\": \"Dry, brief, and never without a source\"}"),
    route("delete", "/api/character", Caller, "Takes that back. Needs an admin of all.", &["ok"]),
    route("get", "/api/ext", Caller, "The plugins, and what each brings for agents.", &["extensions"]),
    route("get", "/api/connections", Caller, "How the services stand that plugins present.", &["connections"]),
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
        &["conversationId", "unlinked", "alsoUnlinked"],
    ),
];
