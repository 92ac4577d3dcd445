"""Builds the servers that tests run for real, from the Go module beside this file, into a per-user cache.

The cache is keyed by what decides the programs (go.mod and go.sum), so a second checkout builds nothing.
Standard library alone: `make tools` runs it before there is a virtual environment.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MODULE = Path(__file__).parent
OLDEST_GO = (1, 26)
PROGRAMS = ("minio",)


def cache_folder() -> Path:
    """Where this version of the programs is kept, whether it has been built or not."""
    decides = (MODULE / "go.mod").read_bytes() + (MODULE / "go.sum").read_bytes()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "disentanglement" / "tools" / hashlib.sha256(decides).hexdigest()[:16]


def program(name: str) -> Path | None:
    """The built program, or None where `make tools` has not run."""
    path = cache_folder() / name
    return path if path.is_file() else None


def go_version() -> tuple[int, int] | None:
    """The version of the Go on the PATH, or None where there is none."""
    if shutil.which("go") is None:
        return None
    said = subprocess.run(["go", "version"], capture_output=True, text=True, cwd="/", check=True).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def what_is_missing() -> str | None:
    """What to install before the programs can be built, or None where everything is there."""
    wanted = ".".join(map(str, OLDEST_GO))
    version = go_version()
    if version is None:
        return f"Go is missing: install Go >= {wanted} and put `go` on the PATH."
    if version < OLDEST_GO:
        return f"Go {version[0]}.{version[1]} is too old: install Go >= {wanted} and put it first on the PATH."
    return None


def build() -> Path:
    """Build every program, then move them into the cache in one step; returns their folder."""
    folder = cache_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".building-") as building:
        programs = Path(building) / "programs"
        environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(programs)}
        install = ["go", "install", "-mod=readonly", "-ldflags=-s -w", "tool"]
        subprocess.run(install, cwd=MODULE, env=environment, check=True)
        try:
            programs.rename(folder)
        except OSError:  # another checkout was faster
            if not folder.is_dir():
                raise
    return folder


def main() -> int:
    """Build what is not in the cache; returns the exit status."""
    if all(program(name) for name in PROGRAMS):
        return 0
    if missing := what_is_missing():
        sys.stderr.write(f"The test servers ({', '.join(PROGRAMS)}) can not be built. {missing}\n")
        return 1
    sys.stderr.write(f"building {', '.join(PROGRAMS)}: minutes the first time, then kept in {cache_folder()}\n")
    build()
    return 0


if __name__ == "__main__":
    sys.exit(main())
