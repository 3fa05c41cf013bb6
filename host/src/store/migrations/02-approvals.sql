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
