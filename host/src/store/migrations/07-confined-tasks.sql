-- What the run of a task is denied, as JSON (domain::confinement). NULL: nothing.
ALTER TABLE plugin_tasks ADD COLUMN confinement TEXT;
