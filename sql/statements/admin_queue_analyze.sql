-- What PostgreSQL believes about the size of the queue may date from when it
-- was empty; who is about to change much of it lets it look first.
ANALYZE baton.queue;
