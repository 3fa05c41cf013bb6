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
