"""A study becomes a plan once, and the plan says what is still to do."""
