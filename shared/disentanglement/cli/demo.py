"""`disentangle demo`."""
def demo() -> None:
    """Demo."""
