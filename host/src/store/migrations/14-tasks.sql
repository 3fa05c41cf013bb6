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
