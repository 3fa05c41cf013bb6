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
