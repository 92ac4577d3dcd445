"""Python functions as machine code, compiled at first use and kept on disk: numba (BSD) on LLVM."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from disentanglement.errors import NotBuiltYet

try:
    import numba
except ImportError as error:
    raise NotBuiltYet("boosted trees need numba, which is not installed: pip install numba") from error

F = TypeVar("F", bound=Callable[..., Any])
log = logging.getLogger(__name__)


def compiled(function: F) -> F:
    """Machine code that runs without the interpreter's lock, its arithmetic as written: nothing is reordered or fused.

    numba looks at one source file to see whether what it kept is still good, though code of other files is compiled
    into it. So the folder is named by all of them.
    """
    config: Any = numba.config
    usual, config.CACHE_DIR = config.CACHE_DIR, str(kept_in())
    try:
        compile_at_first_use: F = numba.njit(function, nogil=True, cache=True, error_model="numpy")
    finally:
        config.CACHE_DIR = usual
    return compile_at_first_use


@cache
def kept_in() -> Path:
    """Where compiled code is kept: in the local cache, as `disentanglement.storage.settings` has it."""
    sources = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        sources.update(path.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(os.environ.get("DISENTANGLEMENT_CACHE") or Path(home, "disentanglement")).expanduser()
    kept = folder / "compiled" / sources.hexdigest()[:16]
    if not kept.is_dir():
        log.info("boosted trees are compiled at their first use, for some 20 seconds", extra={"kept_in": str(kept)})
    return kept
