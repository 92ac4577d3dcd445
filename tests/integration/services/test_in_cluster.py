"""Services that work in a cluster make Studies there: real servers and a real client before a tiny API server.
(What the real one does with a Study is tested in tests/integration/cluster.)"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from service_processes import ServiceProcess, start
from tiny_kubernetes import TinyKubernetes, tiny_kubernetes

from disentanglement import Client
from disentanglement.cli.data_sets import obtain
from disentanglement.jobs.states import JobState
from disentanglement.storage.directory_store import DirectoryStore

NAMESPACE = "disentanglement"
TRAIN = {"dataset": "dummy_data", "objective": {"beta_vae": {"beta": 4}}, "training_steps": 10}


@pytest.fixture(scope="module")
def cluster() -> Iterator[TinyKubernetes]:
    with tiny_kubernetes() as api:
        yield api


@pytest.fixture(scope="module")
def environment(cluster: TinyKubernetes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a service in this cluster, with `dummy_data` in its store."""
    folder = tmp_path_factory.mktemp("in_cluster")
    config = {
        "current-context": "here",
        "clusters": [{"name": "tiny", "cluster": {"server": cluster.url}}],
        "users": [{"name": "service", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "tiny", "user": "service", "namespace": NAMESPACE}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    obtain(DirectoryStore(folder / "store"), "dummy_data", released=None, report=lambda share, note: None)
    return {
        "DISENTANGLEMENT_STORE": str(folder / "store"),
        "DISENTANGLEMENT_CACHE": str(folder / "cache"),
        "DISENTANGLEMENT_CLUSTER": "1",
        "KUBECONFIG": str(folder / "kubeconfig"),
    }


@pytest.fixture(scope="module")
def trainer(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    process = start("trainer", tmp_path_factory.mktemp("trainer"), environment)
    yield process
    assert process.stop() == 0


def test_a_training_job_is_a_study_of_one_model(trainer: ServiceProcess, cluster: TinyKubernetes) -> None:
    with Client(trainer.address) as client:
        job = client.train(TRAIN)
        assert job.state is JobState.QUEUED
        (study,) = cluster.below(f"/namespaces/{NAMESPACE}/studies/train-")
        assert study["spec"]["inline"]["model"]["training_steps"] == 10
        assert client.cancel_training(job.name).state is JobState.CANCELLED
    assert cluster.below("/studies/train-") == []
