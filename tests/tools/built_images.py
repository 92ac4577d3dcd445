"""The project's images, built by an engine of our own; and one archive of them all, for whoever imports images.

`python tests/tools/built_images.py` prints where the archive is. It is kept in the per-user cache, keyed by what
decides the images, so it is built again when the sources have changed, and only then.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import version as installed
from pathlib import Path

import cpu_torch
from base_image import base_images, go_version
from caches import cache
from container_engine import Engine, engine, what_is_missing
from images import ROOT, TARGETS, Build, build, version

SOURCES = (
    "docker",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "requirements/images",
    "services",
    "shared",
    "tests/tools/base_image.py",
    "tests/tools/cpu_torch.py",
)
SAVE_S = 900.0
BUILD_CACHE = "8GB"
"""Kept of what former builds made, the downloads of pip and Go included."""


def build_images(engine: Engine) -> dict[str, int]:
    """Builds the five images; the size in bytes of each by its name (`disentanglement/trainer:0.1.0`)."""
    bases = base_images(engine)
    with cpu_torch.served_index() as index:
        plan = Build(engine.docker, version(), "", {**bases, "TORCH_INDEX": index}, network="host")
        built = dict(build(plan, TARGETS, engine.environment))
    engine.run("image", "prune", "--force")
    engine.run("builder", "prune", "--force", f"--keep-storage={BUILD_CACHE}", timeout_s=SAVE_S)
    return built


def image_archive() -> Path:
    """An archive (`docker save`) of the five images as the present sources have them."""
    archive = cache("images") / _key() / "images.tar"
    if not archive.is_file():
        with engine(has_bridge=False) as started:
            if archive.is_file():  # somebody else made it while we waited for the engine
                return archive
            names = build_images(started)
            for former in sorted(cache("images").glob("*/"), key=_made_at)[:-1]:  # the last may be in use
                shutil.rmtree(former)
            archive.parent.mkdir(parents=True, exist_ok=True)
            started.run("save", "--output", f"{archive}.new", *names, timeout_s=SAVE_S)
            Path(f"{archive}.new").replace(archive)
    return archive


def _made_at(folder: Path) -> float:
    return folder.stat().st_mtime


def _key() -> str:
    digest = hashlib.sha256(f"{installed('torch')} {go_version()} {version()}".encode())
    for path in _files():
        digest.update(f"{path.relative_to(ROOT)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def _files() -> Iterator[Path]:
    for name in SOURCES:
        path = ROOT / name
        found = [path] if path.is_file() else sorted(path.glob("**/*"))
        yield from (file for file in found if file.is_file() and "__pycache__" not in file.parts)


if __name__ == "__main__":
    if reason := what_is_missing():
        sys.exit(f"images can not be built: {reason}")
    print(image_archive())
