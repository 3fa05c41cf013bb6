-- Files of a run's message that its person may not send to the agent.
ALTER TABLE runs ADD COLUMN withheld INTEGER NOT NULL DEFAULT 0;
