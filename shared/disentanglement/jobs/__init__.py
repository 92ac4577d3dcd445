"""The life of a job: one table of allowed moves, and the record that survives a restart."""
