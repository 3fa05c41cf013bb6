-- What somebody has asked, and is to say yes to before it is asked of an agent.
CREATE TABLE unconfirmed (
    conversation TEXT NOT NULL,
    -- '' where the conversation has none.
    thread TEXT NOT NULL,
    person TEXT NOT NULL,
    inbound INTEGER NOT NULL REFERENCES inbound (id) ON DELETE CASCADE,
    -- Those that were named in the question, as JSON.
    connections TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (conversation, thread, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX unconfirmed_by_inbound ON unconfirmed (inbound);

-- Where the message is the yes: the connections that were named. What its parts say is asked, and it says nothing
-- itself.
ALTER TABLE inbound ADD COLUMN consented TEXT;
