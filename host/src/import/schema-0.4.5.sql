-- The replaced system's tables, as its version 0.9 leaves a file of 0.4.5.
CREATE TABLE spaces (id TEXT PRIMARY KEY, name TEXT NOT NULL, tags TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, platform TEXT NOT NULL, external_id TEXT NOT NULL, kind TEXT NOT NULL DEFAULT 'group',
    observed_title TEXT, space_id TEXT REFERENCES spaces(id) ON DELETE SET NULL,
    first_seen_at INTEGER NOT NULL, last_seen_at INTEGER NOT NULL, UNIQUE (platform, external_id)
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, space_id TEXT NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL,
    attachments TEXT, run_meta TEXT, reply_to_id INTEGER REFERENCES messages(id),
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
);
CREATE INDEX idx_messages_space_created ON messages(space_id, created_at);
CREATE TABLE message_platform_ids (
    mercury_message_id INTEGER NOT NULL REFERENCES messages(id), platform TEXT NOT NULL,
    conversation_external_id TEXT NOT NULL, platform_message_id TEXT NOT NULL, created_at INTEGER NOT NULL,
    PRIMARY KEY (platform, conversation_external_id, platform_message_id)
);
CREATE INDEX idx_mpi_mercury_id ON message_platform_ids(mercury_message_id);
CREATE TABLE chat_state (
    space_id TEXT PRIMARY KEY, min_message_id INTEGER NOT NULL DEFAULT 0, clear_boundary INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
);
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, space_id TEXT NOT NULL, cron TEXT, at TEXT, prompt TEXT NOT NULL,
    active INTEGER NOT NULL DEFAULT 1, silent INTEGER NOT NULL DEFAULT 0, next_run_at INTEGER NOT NULL,
    created_by TEXT NOT NULL DEFAULT 'system', timezone TEXT, name TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
);
CREATE INDEX idx_tasks_next ON tasks(active, next_run_at);
CREATE TABLE space_roles (
    space_id TEXT NOT NULL, platform_user_id TEXT NOT NULL, role TEXT NOT NULL, granted_by TEXT, display_name TEXT,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (space_id, platform_user_id)
);
CREATE TABLE space_config (
    space_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, updated_by TEXT,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (space_id, key)
);
CREATE TABLE space_preferences (
    space_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (space_id, key)
);
CREATE TABLE extension_state (
    extension TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (extension, key)
);
CREATE TABLE mutes (
    space_id TEXT NOT NULL, platform_user_id TEXT NOT NULL, expires_at INTEGER NOT NULL, reason TEXT,
    muted_by TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (space_id, platform_user_id)
);
CREATE TABLE token_usage (
    id INTEGER PRIMARY KEY AUTOINCREMENT, space_id TEXT NOT NULL, input_tokens INTEGER, output_tokens INTEGER,
    total_tokens INTEGER, cache_read_tokens INTEGER, cache_write_tokens INTEGER, cost REAL, model TEXT, provider TEXT,
    created_at INTEGER NOT NULL
);
CREATE INDEX idx_token_usage_space ON token_usage(space_id, created_at);
CREATE TABLE daily_rate_usage (
    space_id TEXT NOT NULL, platform_user_id TEXT NOT NULL, date TEXT NOT NULL, count INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL, PRIMARY KEY (space_id, platform_user_id, date)
);
CREATE TABLE project_config (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, updated_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
);
CREATE TABLE wa_identity_aliases (
    lid TEXT PRIMARY KEY, pn TEXT NOT NULL, source TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
);
CREATE INDEX idx_wa_aliases_pn ON wa_identity_aliases(pn);
