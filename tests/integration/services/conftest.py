"""The four services, once for each test process, with `dummy_data` in their store."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from service_processes import Stack, start_stack

from disentanglement import Client
from disentanglement.cli.data_sets import obtain
from disentanglement.storage.directory_store import DirectoryStore


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("services")
    obtain(DirectoryStore(folder / "store"), "dummy_data", released=None, report=lambda share, note: None)
    started = start_stack(folder)
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with Client(stack.address) as connected:
        yield connected


@pytest.fixture
def codes_and_factors() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    factors_NK = rng.integers(0, 3, (300, 2))
    return (factors_NK @ rng.normal(size=(2, 4))).astype(np.float32), factors_NK
