"""A directory store and a cache, both empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from disentanglement.storage.cache import Cache
from disentanglement.storage.directory_store import DirectoryStore


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")
