"""A real control plane, fake nodes and our controller with its own rights: once for all tests of this folder.

etcd, the API server, the controller manager and the scheduler are real; kwok plays the nodes and runs no container.
What a worker would commit, the test writer does (`tests/tools/kwok`), in the process of the test.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kube.control_plane import ControlPlane
from kwok.cluster import Cluster
from kwok.controller_process import ControllerProcess, install, kubeconfig_of_service_account, settings
from kwok.fake_nodes import cpu_nodes, gpu_nodes
from kwok.processes import running_kwok
from tiny_steps import STUDY, import_dummy_data

from disentanglement.cluster.kinds import NODES, Object
from disentanglement.cluster.kubernetes_jobs import connect
from disentanglement.storage.directory_store import DirectoryStore

SETTINGS = {"DISENTANGLEMENT_LEASE_S": "2", "DISENTANGLEMENT_JOBS_PER_SECOND": "20"}
SEEDS = itertools.count(step=100)


@pytest.fixture(scope="session")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with the definition, accounts and rights of `k8s/base`."""
    install(control_plane)
    return control_plane


@pytest.fixture(scope="session")
def cluster(plane: ControlPlane, kwok_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Nodes with 16 GPUs, and the controller on a store with `dummy_data`."""
    folder = tmp_path_factory.mktemp("cluster")
    admin = connect({"KUBECONFIG": str(plane.admin_kubeconfig)}, field_manager="test")
    for node in (*gpu_nodes(2), *cpu_nodes(1)):
        admin.apply(NODES, node)
    store = DirectoryStore(folder / "store")
    import_dummy_data(store)
    where = {"DISENTANGLEMENT_STORE": str(folder / "store")}
    environment = settings(folder, kubeconfig_of_service_account(plane, folder), where | SETTINGS)
    with (
        running_kwok(kwok_program, plane.admin_kubeconfig, folder),
        ControllerProcess(environment, folder / "controller.log") as controller,
    ):
        yield Cluster(admin, plane, store, controller)


@pytest.fixture
def spec() -> Callable[..., Object]:
    """Makes specs of small inline studies whose models no other test has."""
    first = next(SEEDS)

    def small(models: int = 2, **fields: Any) -> Object:
        seeds = list(range(first, first + models))
        inline = {"model": STUDY["model"], "grid": {"sweep": {"random_seed": seeds}}, "representations": ["mean"]}
        return {"inline": inline, "metrics": ["mig: {num_train: 100}"], "parallelism": 4, **fields}

    return small
