"""The steps themselves: spec in, committed artifacts out, safe to repeat; and how several run at once."""
