"""What all tests share: the components that must be running, and what happens where one is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import build_tools
import hypothesis
import manifests
import minio_server as minio
import pytest
from kube import control_plane as kubernetes

# A shared machine is slow at times: the limit of a test is its timeout, not the time that one example takes.
hypothesis.settings.register_profile("shared-machine", deadline=None)
hypothesis.settings.load_profile("shared-machine")

COMPONENTS = ("minio", "kubectl", "control-plane")
MARKERS = {"minio_server": "minio", "kubectl_program": "kubectl", "control_plane": "control_plane"}
"""Of the tests that use a fixture."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        action="append",
        default=[],
        choices=COMPONENTS,
        metavar="COMPONENT",
        help=f"fail, instead of skipping, where this component is missing ({', '.join(COMPONENTS)}); repeatable",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use a component, so that `-m "not minio"` leaves them out."""
    for item in items:
        for fixture, marker in MARKERS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)


def missing(config: pytest.Config, component: str, reason: str) -> NoReturn:
    """End the test: skipped, or failed where the component was named with `--require`."""
    if component in config.getoption("--require"):
        pytest.fail(f"{component} is required: {reason}", pytrace=False)
    pytest.skip(f"{component}: {reason}")


@pytest.fixture(scope="session")
def minio_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[minio.S3Server]:
    """A real MinIO (one for each test process), or the S3 endpoint given in DISENTANGLEMENT_TEST_S3_*."""
    if given := minio.given_server(os.environ):
        with minio.own_buckets(given) as server:
            yield server
        return
    program = build_tools.program("minio")
    if program is None:
        missing(request.config, "minio", f"run make tools. {build_tools.what_is_missing() or ''}")
    with minio.running_minio(program, tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def kubectl_program(request: pytest.FixtureRequest) -> Path:
    """The program that renders our manifests."""
    program = manifests.kubectl()
    if program is None:
        missing(request.config, "kubectl", "put it on the PATH, or run make tools")
    return program


@pytest.fixture(scope="session")
def control_plane_programs(request: pytest.FixtureRequest) -> None:
    """The programs of a control plane are there."""
    if reason := kubernetes.missing_programs():
        missing(request.config, "control-plane", reason)


@pytest.fixture(scope="session")
def control_plane(
    control_plane_programs: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[kubernetes.ControlPlane]:
    """A real etcd, API server, controller manager and scheduler, without any node."""
    with kubernetes.running_control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture(scope="session")
def kwok_program(request: pytest.FixtureRequest) -> Path:
    """The program that plays nodes and pods beside a control plane."""
    program = build_tools.program("kwok")
    if program is None:
        missing(
            request.config, "control-plane", f"run make tools TEST_SERVERS=kwok. {build_tools.what_is_missing() or ''}"
        )
    return program
