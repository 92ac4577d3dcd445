"""Where tests keep what is costly to make: below the user's cache home, shared by all checkouts."""

from __future__ import annotations

import os
from pathlib import Path


def cache(name: str) -> Path:
    """The folder of one kind of thing; it may not exist yet."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "disentanglement" / name
