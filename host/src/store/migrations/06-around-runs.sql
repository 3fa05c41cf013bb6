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
