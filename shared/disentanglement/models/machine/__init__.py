"""The device: which one, how it computes, what is recorded on it."""
