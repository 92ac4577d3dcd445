"""Points as metrics draw them, in the reference's order."""
