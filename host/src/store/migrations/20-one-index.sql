-- The very same as `messages_by_space`.
DROP INDEX messages_of_space;
