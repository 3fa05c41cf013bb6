-- Chat platforms: where people talk, what the bot says there, and where adapters stand.
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
