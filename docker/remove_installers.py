"""Runs once while an image is built: takes pip, setuptools and their bundled wheels away from the base's Python."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

LIBRARIES = ("pip", "setuptools", "pkg_resources", "wheel", "_distutils_hack")
PATHS = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")}
PROGRAMS = Path(sysconfig.get_path("scripts"))
WHEELS = Path("/usr/share/python-wheels")


def found() -> Iterator[Path]:
    """What installs packages."""
    for folder in PATHS:
        yield folder / "ensurepip"
        for name in LIBRARIES:
            yield folder / name
            yield from folder.glob(f"{name}-*.dist-info")
    yield from (Path("/usr/lib/python3/dist-packages") / name for name in LIBRARIES)
    yield from PROGRAMS.glob("pip*")
    yield WHEELS


for path in found():
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
