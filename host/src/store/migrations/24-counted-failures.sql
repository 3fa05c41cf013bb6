-- The message of the failure that was counted last: one that is looked at again after a restart counts once.
ALTER TABLE tasks ADD COLUMN counted INTEGER;
