-- Lists of mutes begin with the one that ends first.
CREATE INDEX mutes_by_end ON mutes (space, expires_at, person);
