"""The life of a job: one table of allowed moves."""
