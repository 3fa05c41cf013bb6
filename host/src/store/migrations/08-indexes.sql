-- Everything that is looked for on an index, and everything that points to a row which may be removed.
-- So that a start finds the runs without an answer and need not look at all that ever were.
ALTER TABLE runs ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET answered = 1 WHERE EXISTS (SELECT 1 FROM outbound o WHERE o.inbound = runs.inbound);
CREATE INDEX runs_unanswered ON runs (id) WHERE answered = 0 AND state IN ('finished', 'failed', 'aborted');
CREATE INDEX inbound_by_space ON inbound (space, id);
CREATE INDEX inbound_direct ON inbound (author, id) WHERE json_extract(chat, '$.direct');
CREATE INDEX outbound_by_run ON outbound (run);
CREATE INDEX deliveries_by_outbound ON deliveries (outbound);
CREATE INDEX deliveries_undelivered ON deliveries (id) WHERE state <> 'delivered';
CREATE INDEX plugin_settings_by_space ON plugin_settings (space) WHERE space IS NOT NULL;
CREATE INDEX messages_by_space ON messages (space, id);
