-- Ids that adapters know to be another id of somebody: each names one person, who may have several.
CREATE TABLE aliases (
    alias TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    -- How the adapter came to know it, in its own word.
    source TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_by_person ON aliases (person, updated_at DESC, alias);

-- What is kept of a person moves with them.
CREATE INDEX members_by_person ON members (person);
CREATE INDEX mutes_by_person ON mutes (person);
CREATE INDEX asked_of_person ON asked (person);
CREATE INDEX asked_daily_by_person ON asked_daily (person);
CREATE INDEX tasks_by_maker ON tasks (created_by);
CREATE INDEX unconfirmed_by_person ON unconfirmed (person);
