-- What decides about messages beside their text: settings and mutes of a space, how often people have
-- asked, what they were told and asked themselves, and which messages are one.
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
