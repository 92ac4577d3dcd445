"""A store with `dummy_data` in it for each test, and processes that have imported torch already."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from tiny_steps import Place, import_dummy_data

from disentanglement.storage.data_sets import data_set_digests
from disentanglement.storage.directory_store import DirectoryStore


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Starts real processes from one that has imported everything: each costs milliseconds."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["crashing_step", "tiny_steps", "disentanglement.steps.train", "disentanglement.steps.extract"]
    )
    return context


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds `dummy_data` and nothing else."""
    folder = tmp_path_factory.mktemp("imported") / "store"
    import_dummy_data(DirectoryStore(folder))
    return folder


@pytest.fixture(scope="session")
def digest(imported: Path) -> str:
    """The digest of `dummy_data`."""
    return data_set_digests(DirectoryStore(imported), ["dummy_data"])["dummy_data"]


@pytest.fixture
def place(imported: Path, tmp_path: Path) -> Place:
    """A copy of `imported` for one test."""
    shutil.copytree(imported, tmp_path / "store")
    return Place(tmp_path / "store", tmp_path / "cache")
