-- What was asked and answered, without what was overheard between.
CREATE INDEX messages_turns ON messages (space, conversation, id) WHERE role <> 'ambient';
