-- Attempts in which the adapter itself broke, of all that failed.
ALTER TABLE deliveries ADD COLUMN faults INTEGER NOT NULL DEFAULT 0;
