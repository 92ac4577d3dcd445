"""A tiny cluster for the looks of a controller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_cluster import TinyCluster
from tiny_kubernetes import tiny_kubernetes


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[TinyCluster]:
    """One namespace, one store, and what looks at its studies."""
    with tiny_kubernetes() as kubernetes:
        yield TinyCluster(kubernetes, tmp_path)
