-- An old database is known by what is in it, wherever it lies.
CREATE TABLE brought (
    id INTEGER PRIMARY KEY,
    -- Where it lay when it was brought over last.
    source TEXT NOT NULL,
    last_message INTEGER NOT NULL,
    -- When that one was written: in a copy that has gone its own way it is another.
    last_message_at INTEGER,
    last_usage INTEGER NOT NULL,
    last_task INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;
INSERT INTO brought (source, last_message, last_usage, last_task, at)
    SELECT source, last_message, last_usage, last_task, at FROM imports;
DROP TABLE imports;
ALTER TABLE brought RENAME TO imports;
CREATE TABLE import_marks (
    import INTEGER NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    mark TEXT NOT NULL,
    PRIMARY KEY (import, mark)
) STRICT, WITHOUT ROWID;
CREATE INDEX import_marks_by_mark ON import_marks (mark);
