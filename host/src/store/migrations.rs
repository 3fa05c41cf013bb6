//! The schema, forward only. A migration that has been released is never edited.

use rusqlite::{Connection, TransactionBehavior};

const FIRST: &str = "
CREATE TABLE spaces (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- When the executor last took a run of the space: the least recently served comes next.
    served_at INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE members (
    space TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    person TEXT NOT NULL,
    role TEXT NOT NULL,
    display_name TEXT,
    PRIMARY KEY (space, person)
) STRICT, WITHOUT ROWID;

-- What arrived. Written before anything is done about it.
CREATE TABLE inbound (
    id INTEGER PRIMARY KEY,
    platform TEXT NOT NULL,
    event TEXT NOT NULL,
    space TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    conversation TEXT NOT NULL,
    author TEXT NOT NULL,
    author_name TEXT,
    text TEXT NOT NULL,
    attachments TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    decided INTEGER NOT NULL DEFAULT 0,
    UNIQUE (platform, event)
) STRICT;
CREATE INDEX inbound_undecided ON inbound (id) WHERE decided = 0;

-- What is to be done. Written before a container is created.
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    inbound INTEGER NOT NULL UNIQUE REFERENCES inbound (id) ON DELETE CASCADE,
    space TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    -- The agent's result as JSON, kept before it is processed.
    result TEXT,
    -- The failure as JSON.
    failure TEXT,
    -- Moments of each stage as JSON.
    marks TEXT NOT NULL DEFAULT '{}'
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_unfinished ON runs (state, id) WHERE state IN ('queued', 'preparing', 'running');
CREATE INDEX runs_by_space ON runs (space, id);

-- What is to be said. Written before it is sent.
CREATE TABLE outbound (
    id INTEGER PRIMARY KEY,
    inbound INTEGER NOT NULL UNIQUE REFERENCES inbound (id) ON DELETE CASCADE,
    run TEXT REFERENCES runs (id) ON DELETE CASCADE,
    reply TEXT NOT NULL,
    files TEXT NOT NULL,
    -- Where the message was refused or failed: code, status, operator's text, next step, as JSON.
    problem TEXT,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    delivered_at INTEGER
) STRICT;

-- The conversation as the agent may see it later.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    space TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    conversation TEXT NOT NULL,
    run TEXT,
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (run, role)
) STRICT;
CREATE INDEX messages_by_conversation ON messages (space, conversation, id);

CREATE TABLE plugin_kv (
    plugin TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (plugin, key)
) STRICT, WITHOUT ROWID;

INSERT INTO spaces (id, name, created_at) VALUES ('main', 'main', unixepoch() * 1000);
";

const APPROVALS: &str = "
-- A tool call that waits for a person's answer.
CREATE TABLE questions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    -- The tool guard's own id of the call, under which it asks again.
    call TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    digest TEXT NOT NULL,
    plugin TEXT NOT NULL,
    tool TEXT NOT NULL,
    arguments TEXT NOT NULL,
    edited INTEGER NOT NULL,
    text TEXT NOT NULL,
    approver TEXT NOT NULL,
    state TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    answered_by TEXT,
    answered_at INTEGER,
    -- What the tool guard is told, as JSON.
    verdict TEXT,
    UNIQUE (run, ordinal)
) STRICT;
CREATE INDEX questions_by_call ON questions (run, call, id);
CREATE INDEX questions_open ON questions (id) WHERE state = 'open';

-- Every decision about a tool call. Without references: the record outlives what it is about.
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    call TEXT NOT NULL,
    tool TEXT NOT NULL,
    digest TEXT NOT NULL,
    excerpt TEXT NOT NULL,
    plugin TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT,
    person TEXT,
    at INTEGER NOT NULL
) STRICT;
";

/// A stop that was promised is kept across a restart.
const STOP_REQUESTS: &str = "ALTER TABLE runs ADD COLUMN stop_requested INTEGER NOT NULL DEFAULT 0;";

const SPENDING: &str = "
-- Model calls that the gateway let through, written before they are made. No foreign keys: what is
-- spent stays spent when a space is removed.
CREATE TABLE spending (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    space TEXT NOT NULL,
    person TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    ended_at INTEGER,
    -- open, complete, estimated or failed.
    state TEXT NOT NULL,
    input INTEGER NOT NULL DEFAULT 0,
    output INTEGER NOT NULL DEFAULT 0,
    cache_read INTEGER NOT NULL DEFAULT 0,
    cache_write INTEGER NOT NULL DEFAULT 0,
    -- Millionths of a US dollar; NULL where the price is not known.
    micro_usd INTEGER
) STRICT;
CREATE INDEX spending_by_run ON spending (run, id);
CREATE INDEX spending_by_day ON spending (began_at, person, space, micro_usd);
CREATE INDEX spending_open ON spending (state) WHERE state = 'open';
";

/// Chat platforms: where people talk, what the bot says there, and where adapters stand.
const CHATS: &str = "
CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    platform TEXT NOT NULL,
    direct INTEGER NOT NULL,
    title TEXT,
    -- What the adapter needs to reach it again.
    address TEXT,
    -- Without one its messages are dropped.
    space TEXT REFERENCES spaces (id) ON DELETE SET NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    -- When the bot was last removed from it.
    removed_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX conversations_by_space ON conversations (space);

ALTER TABLE inbound ADD COLUMN message TEXT;
-- What only a chat's message has, as JSON.
ALTER TABLE inbound ADD COLUMN chat TEXT;
CREATE INDEX inbound_by_message ON inbound (conversation, message) WHERE message IS NOT NULL;
ALTER TABLE messages ADD COLUMN inbound INTEGER;
CREATE INDEX messages_by_inbound ON messages (inbound) WHERE inbound IS NOT NULL;

-- What an adapter is to send: answers, questions, texts of plugins. Sent in the order of the ids.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Stable over attempts and restarts.
    message TEXT NOT NULL UNIQUE,
    platform TEXT NOT NULL,
    conversation TEXT NOT NULL,
    thread TEXT,
    reply_to TEXT,
    outbound INTEGER REFERENCES outbound (id) ON DELETE SET NULL,
    text TEXT NOT NULL,
    files TEXT NOT NULL,
    choices TEXT NOT NULL,
    -- pending, delivered or dead.
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- The adapter's own account of what it has sent already.
    progress TEXT,
    not_before INTEGER NOT NULL DEFAULT 0,
    -- Why the last attempt failed.
    reason TEXT,
    created_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE INDEX deliveries_pending ON deliveries (conversation, id) WHERE state = 'pending';
CREATE INDEX deliveries_dead ON deliveries (id) WHERE state = 'dead';

-- The platform's ids of what the bot said, so that an answer to it is known as one.
CREATE TABLE said (
    conversation TEXT NOT NULL,
    message TEXT NOT NULL,
    delivery INTEGER NOT NULL,
    PRIMARY KEY (conversation, message)
) STRICT, WITHOUT ROWID;

-- Messages that show how long a run takes; to be removed at its end.
CREATE TABLE progress (
    inbound INTEGER NOT NULL,
    platform TEXT NOT NULL,
    conversation TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (inbound, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursors (
    plugin TEXT PRIMARY KEY,
    cursor TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE timers (
    plugin TEXT NOT NULL,
    name TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Changes with each setting, so that one that was set anew meanwhile is not taken away.
    version INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (plugin, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX timers_by_time ON timers (plugin, due_at);
";

const AROUND_RUNS: &str = "
-- What run hooks put behind the prompt.
ALTER TABLE runs ADD COLUMN appended TEXT;
-- Whether plugins were told of the space.
ALTER TABLE spaces ADD COLUMN announced INTEGER NOT NULL DEFAULT 0;

-- Values of plugins' settings: of one space, or with NULL of all.
CREATE TABLE plugin_settings (
    plugin TEXT NOT NULL,
    key TEXT NOT NULL,
    space TEXT REFERENCES spaces (id) ON DELETE CASCADE,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX plugin_settings_key ON plugin_settings (plugin, key, coalesce(space, ''));

-- The last run of each job. Without an end where the host ended in it.
CREATE TABLE plugin_jobs (
    plugin TEXT NOT NULL,
    job TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    -- ok or failed.
    outcome TEXT,
    detail TEXT,
    PRIMARY KEY (plugin, job)
) STRICT, WITHOUT ROWID;

-- Agent runs that plugins asked for. The run hangs on the inbound row like any other.
CREATE TABLE plugin_tasks (
    plugin TEXT NOT NULL,
    id TEXT NOT NULL,
    inbound INTEGER NOT NULL UNIQUE REFERENCES inbound (id) ON DELETE CASCADE,
    system_prompt TEXT,
    started_at INTEGER NOT NULL,
    -- Whether the plugin was told of its end.
    told INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (plugin, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX plugin_tasks_by_day ON plugin_tasks (plugin, started_at);
CREATE INDEX plugin_tasks_untold ON plugin_tasks (inbound) WHERE told = 0;
";

const CONFINED_TASKS: &str = "
-- What the run of a task is denied, as JSON (domain::confinement). NULL: nothing.
ALTER TABLE plugin_tasks ADD COLUMN confinement TEXT;
";

/// Everything that is looked for on an index, and everything that points to a row which may be removed.
const INDEXES: &str = "
-- So that a start finds the runs without an answer and need not look at all that ever were.
ALTER TABLE runs ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET answered = 1 WHERE EXISTS (SELECT 1 FROM outbound o WHERE o.inbound = runs.inbound);
CREATE INDEX runs_unanswered ON runs (id) WHERE answered = 0 AND state IN ('finished', 'failed', 'aborted');
CREATE INDEX inbound_by_space ON inbound (space, id);
CREATE INDEX inbound_direct ON inbound (author, id) WHERE json_extract(chat, '$.direct');
CREATE INDEX outbound_by_run ON outbound (run);
CREATE INDEX deliveries_by_outbound ON deliveries (outbound);
CREATE INDEX deliveries_undelivered ON deliveries (id) WHERE state <> 'delivered';
CREATE INDEX plugin_settings_by_space ON plugin_settings (space) WHERE space IS NOT NULL;
CREATE INDEX messages_by_space ON messages (space, id);
";

const IMPORTS: &str = "
-- Databases of the replaced system that were brought over, and how far.
CREATE TABLE imports (
    source TEXT PRIMARY KEY,
    last_message INTEGER NOT NULL,
    last_usage INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

const KV_USAGE: &str = "
-- What each plugin keeps, counted as it changes: adding all of it up at each write would let one plugin
-- with many small keys hold the writer up.
CREATE TABLE plugin_kv_usage (
    plugin TEXT NOT NULL PRIMARY KEY,
    keys INTEGER NOT NULL,
    -- Of keys and values together.
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO plugin_kv_usage (plugin, keys, bytes)
    SELECT plugin, count(*), sum(length(CAST(key AS BLOB)) + length(value)) FROM plugin_kv GROUP BY plugin;

CREATE TRIGGER plugin_kv_added AFTER INSERT ON plugin_kv BEGIN
    INSERT INTO plugin_kv_usage (plugin, keys, bytes)
        VALUES (new.plugin, 1, length(CAST(new.key AS BLOB)) + length(new.value))
        ON CONFLICT (plugin) DO UPDATE SET keys = keys + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER plugin_kv_changed AFTER UPDATE OF value ON plugin_kv BEGIN
    UPDATE plugin_kv_usage SET bytes = bytes + length(new.value) - length(old.value) WHERE plugin = new.plugin;
END;
CREATE TRIGGER plugin_kv_removed AFTER DELETE ON plugin_kv BEGIN
    UPDATE plugin_kv_usage SET keys = keys - 1, bytes = bytes - length(CAST(old.key AS BLOB)) - length(old.value)
        WHERE plugin = old.plugin;
END;
";

/// What decides about messages beside their text: settings and mutes of a space, how often people have
/// asked, what they were told and asked themselves, and which messages are one.
const PIPELINE: &str = "
-- Of one space, or with NULL of all.
CREATE TABLE space_settings (
    space TEXT REFERENCES spaces (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX space_settings_key ON space_settings (key, coalesce(space, ''));
CREATE INDEX space_settings_by_space ON space_settings (space);

CREATE TABLE mutes (
    space TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    person TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    reason TEXT,
    muted_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (space, person)
) STRICT, WITHOUT ROWID;

-- The moments of admitted requests, as long as a window may be.
CREATE TABLE asked (
    space TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    person TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX asked_by_person ON asked (space, person, at);
CREATE INDEX asked_by_space ON asked (space, at);
CREATE INDEX asked_by_time ON asked (at);

CREATE TABLE asked_daily (
    space TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    person TEXT NOT NULL,
    -- Days of UTC since the epoch.
    day INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (space, person, day)
) STRICT, WITHOUT ROWID;

-- What somebody was told in a conversation, and need not be told again before then.
CREATE TABLE told (
    conversation TEXT NOT NULL,
    person TEXT NOT NULL,
    code TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (conversation, person, code)
) STRICT, WITHOUT ROWID;

-- What the host has asked one person: yes or no.
CREATE TABLE confirmations (
    conversation TEXT NOT NULL,
    person TEXT NOT NULL,
    space TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    -- The space that is to be deleted.
    subject TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (conversation, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX confirmations_by_space ON confirmations (space);

-- What was said before is no context any more: of the next run, or of any.
CREATE TABLE boundaries (
    space TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    conversation TEXT NOT NULL,
    compacted INTEGER NOT NULL DEFAULT 0,
    cleared INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (space, conversation)
) STRICT, WITHOUT ROWID;

-- The message that this one is a part of: it was written shortly before it.
ALTER TABLE inbound ADD COLUMN merged_into INTEGER;
CREATE INDEX inbound_merged ON inbound (merged_into) WHERE merged_into IS NOT NULL;
";

const OPERATORS: &str = "
-- Sessions of operators in a browser, each by the digest of its token.
CREATE TABLE sessions (
    digest BLOB PRIMARY KEY,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_age ON sessions (created_at);
";

const RIGHTS: &str = "
ALTER TABLE members ADD COLUMN granted_by TEXT;
ALTER TABLE members ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX members_by_age ON members (space, created_at, person);
CREATE INDEX members_by_role ON members (space, role);

-- When it was renamed last; 0 for never.
ALTER TABLE spaces ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX spaces_by_age ON spaces (created_at, id);
CREATE INDEX messages_of_space ON messages (space, id);

-- What a space says that a role may do, in the place of the defaults: names as a JSON list.
CREATE TABLE role_permissions (
    space TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    permissions TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (space, role)
) STRICT, WITHOUT ROWID;

-- What people want the assistant to know in each of the space's runs.
CREATE TABLE preferences (
    space TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;
";

const TASKS: &str = "
-- What people have scheduled. The ids are never given again: the messages that a task becomes are named by it.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    space TEXT NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    name TEXT,
    prompt TEXT NOT NULL,
    -- Exactly one of the two, as it was written.
    cron TEXT,
    at TEXT,
    timezone TEXT,
    silent INTEGER NOT NULL,
    active INTEGER NOT NULL DEFAULT 1,
    created_by TEXT NOT NULL,
    -- Where its answers go.
    platform TEXT NOT NULL,
    conversation TEXT NOT NULL,
    thread TEXT,
    direct INTEGER NOT NULL,
    next_run_at INTEGER NOT NULL,
    -- Somebody wants it to run, whatever its schedule says.
    requested_at INTEGER,
    last_inbound INTEGER,
    last_run_at INTEGER,
    -- One after the other.
    failures INTEGER NOT NULL DEFAULT 0,
    -- Why the host itself has stopped it.
    note TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tasks_of_space ON tasks (space, id);
CREATE INDEX tasks_due ON tasks (next_run_at) WHERE active = 1;

-- The time at which a task was due, where the message comes from one: as JSON (domain::task).
ALTER TABLE inbound ADD COLUMN occasion TEXT;
ALTER TABLE imports ADD COLUMN last_task INTEGER NOT NULL DEFAULT 0;
";

/// In their order; the place of each is the version that it leads to.
pub(super) const ALL: &[&str] = &[
    FIRST,
    APPROVALS,
    STOP_REQUESTS,
    SPENDING,
    CHATS,
    AROUND_RUNS,
    CONFINED_TASKS,
    INDEXES,
    IMPORTS,
    KV_USAGE,
    PIPELINE,
    OPERATORS,
    RIGHTS,
    TASKS,
];
/// The version of the schema that this version of Mercury has.
pub const LATEST: usize = ALL.len();

/// Applies what is missing, all of it or nothing. The version is read in the same transaction: two
/// processes that open the database at once do not both apply a step.
pub(super) fn run(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let version = version as usize;
    for step in ALL.iter().skip(version) {
        transaction.execute_batch(step)?;
    }
    if version < LATEST {
        transaction.pragma_update(None, "user_version", LATEST as i64)?;
    }
    transaction.commit()
}
