"""Scores as people read them: one table per cell, and the reference's JSON."""
