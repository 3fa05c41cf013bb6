-- Model calls that the gateway let through, written before they are made. No foreign keys: what is
-- spent stays spent when a space is removed.
CREATE TABLE spending (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    space TEXT NOT NULL,
    person TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    ended_at INTEGER,
    -- open, complete, estimated or failed.
    state TEXT NOT NULL,
    input INTEGER NOT NULL DEFAULT 0,
    output INTEGER NOT NULL DEFAULT 0,
    cache_read INTEGER NOT NULL DEFAULT 0,
    cache_write INTEGER NOT NULL DEFAULT 0,
    -- Millionths of a US dollar; NULL where the price is not known.
    micro_usd INTEGER
) STRICT;
CREATE INDEX spending_by_run ON spending (run, id);
CREATE INDEX spending_by_day ON spending (began_at, person, space, micro_usd);
CREATE INDEX spending_open ON spending (state) WHERE state = 'open';
