-- Somebody took the conversation out of its space on purpose: it takes over none of another id of its person.
ALTER TABLE conversations ADD COLUMN apart INTEGER NOT NULL DEFAULT 0;
