-- Folders of removed spaces that are still to be deleted, by where each lies.
CREATE TABLE removals (
    folder TEXT PRIMARY KEY,
    removed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
