"""The engine: one model or a pack, step by step or recorded."""
