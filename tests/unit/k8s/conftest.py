"""Everything that somebody may apply, rendered once in each test process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from manifests import K8S, compose, render

Render = Callable[[str], list[dict[str, Any]]]

COMPOSED: Mapping[str, tuple[str, ...]] = {
    "cluster with TLS": ("overlays/cluster", "components/tls"),
    "cluster with Kueue": ("overlays/cluster", "components/kueue"),
    "local with TLS": ("overlays/local", "components/tls"),
}
"""An overlay and a component that it leaves out."""
STACKS = ("overlays/local", "overlays/cluster", *COMPOSED)
"""Whole installations."""
LAUNCHER = "namespace with a launcher"
ALL = (*STACKS, "namespace", LAUNCHER)


@pytest.fixture(scope="session")
def rendered(kubectl_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """What kubectl makes of one of `ALL`."""

    @cache
    def once(name: str) -> list[dict[str, Any]]:
        folder = tmp_path_factory.mktemp("overlay")
        if name == LAUNCHER:
            return render(kubectl_program, compose(folder, resources=["namespace", "launcher"]))
        if name not in COMPOSED:
            return render(kubectl_program, K8S / name)
        overlay, *components = COMPOSED[name]
        return render(kubectl_program, compose(folder, resources=[overlay], components=components))

    return once


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest, rendered: Render) -> list[dict[str, Any]]:
    """Each installation."""
    return rendered(request.param)


@pytest.fixture(params=ALL)
def items(request: pytest.FixtureRequest, rendered: Render) -> list[dict[str, Any]]:
    """Each installation, and what a further namespace needs."""
    return rendered(request.param)
