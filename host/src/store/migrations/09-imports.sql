-- Databases of the replaced system that were brought over, and how far.
CREATE TABLE imports (
    source TEXT PRIMARY KEY,
    last_message INTEGER NOT NULL,
    last_usage INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
