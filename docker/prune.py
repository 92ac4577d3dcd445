"""Runs in the builder: takes away what installed packages bring along and no service loads, a quarter of their size.

Their own tests, headers and static libraries for building on them, stubs for type checkers, and the part of pyarrow
that serves. `install.sh` looks afterwards whether everything still loads.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

TESTED = ("numba", "numpy", "pandas", "pyarrow", "scipy", "sklearn")
FOLDERS = (
    *("pyarrow/include", "pyarrow/src", "Crypto/SelfTest", "numpy/_core/include", "torch/include"),
    *("numba/cuda", "sklearn/datasets/data", "sklearn/datasets/images"),
)
UNUSED_ARROW = ("flight",)
PATTERNS = ("**/*.a", "**/*.pyi", "**/*.pxd", "**/*.pyx", "pyarrow/**/*.h")


def superfluous(site: Path) -> Iterator[Path]:
    """Files and folders of a site-packages."""
    for name in TESTED:
        yield from (path for path in (site / name).glob("**/tests") if path.is_dir())
    yield from (site / folder for folder in FOLDERS)
    yield from (site / "pyarrow").glob("*flight*")
    for pattern in PATTERNS:
        yield from site.glob(pattern)


def main(site: Path) -> None:
    """Removes it."""
    for path in list(superfluous(site)):  # all is looked for before the first is removed
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
