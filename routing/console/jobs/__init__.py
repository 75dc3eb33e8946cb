"""Jobs: what is done to many rows at once, by a task of the maintenance domain, in batches that can be gone on with."""
