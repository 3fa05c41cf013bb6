-- What each plugin keeps, counted as it changes: adding all of it up at each write would let one plugin
-- with many small keys hold the writer up.
CREATE TABLE plugin_kv_usage (
    plugin TEXT NOT NULL PRIMARY KEY,
    keys INTEGER NOT NULL,
    -- Of keys and values together.
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO plugin_kv_usage (plugin, keys, bytes)
    SELECT plugin, count(*), sum(length(CAST(key AS BLOB)) + length(value)) FROM plugin_kv GROUP BY plugin;

CREATE TRIGGER plugin_kv_added AFTER INSERT ON plugin_kv BEGIN
    INSERT INTO plugin_kv_usage (plugin, keys, bytes)
        VALUES (new.plugin, 1, length(CAST(new.key AS BLOB)) + length(new.value))
        ON CONFLICT (plugin) DO UPDATE SET keys = keys + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER plugin_kv_changed AFTER UPDATE OF value ON plugin_kv BEGIN
    UPDATE plugin_kv_usage SET bytes = bytes + length(new.value) - length(old.value) WHERE plugin = new.plugin;
END;
CREATE TRIGGER plugin_kv_removed AFTER DELETE ON plugin_kv BEGIN
    UPDATE plugin_kv_usage SET keys = keys - 1, bytes = bytes - length(CAST(old.key AS BLOB)) - length(old.value)
        WHERE plugin = old.plugin;
END;
