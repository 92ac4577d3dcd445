"""Services that work in a cluster make Studies there: real servers and a real client before a tiny API server.
(What the real one does with a Study is tested in tests/integration/cluster.)"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from service_processes import ServiceProcess, start
from tiny_kubernetes import TinyKubernetes, tiny_kubernetes

from disentanglement import Client
from disentanglement.cli.data_sets import obtain
from disentanglement.cluster.kinds import STUDIES
from disentanglement.errors import ArtifactNotFound, NonFiniteLoss, SpecError
from disentanglement.jobs.states import JobState
from disentanglement.specs import canonical
from disentanglement.specs.canonical import contract_version, step_of
from disentanglement.steps.ledger import StudyLedger
from disentanglement.storage.commit import Attempt
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.pending import WorkItem, steps_of
from disentanglement.studies.records import load_plan

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


@pytest.fixture(scope="module")
def aggregator(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    process = start("aggregator", tmp_path_factory.mktemp("aggregator"), environment)
    yield process
    assert process.stop() == 0


@pytest.fixture
def client(aggregator: ServiceProcess) -> Iterator[Client]:
    with Client(aggregator.address) as connected:
        yield connected


def resource(cluster: TinyKubernetes, name: str) -> dict[str, Any]:
    return cluster.objects[STUDIES.path(NAMESPACE, name)]


def tell(cluster: TinyKubernetes, name: str, **status: Any) -> None:
    """The controller writes a status."""
    cluster.put(STUDIES.path(NAMESPACE, name), {**resource(cluster, name), "status": status})


def study(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "model": TRAIN,
        "grid": {"sweep": {"random_seed": [0, 1]}},
        "representations": ["mean"],
        "metrics": [{"mig": {"num_train": 100}}],
        **changes,
    }


def commit_step(store: DirectoryStore, item: WorkItem) -> None:
    """Writes the manifest of a step, as a worker would."""
    step, member = step_of(item.spec)
    manifest = Attempt(store, step, item.key).manifest(
        spec=canonical(item.spec), contract=contract_version(step, member), upstream=item.upstream[:1]
    )
    store.put(manifest.key, manifest.to_bytes())


def test_a_study_becomes_a_resource_and_is_driven_by_nobody_here(client: Client, cluster: TinyKubernetes) -> None:
    view = client.submit(study("one_study"))
    assert (view.state, view.total) == ("pending", 6)
    spec = resource(cluster, "one-study")["spec"]
    assert spec["inline"]["grid"] == {"sweep": {"random_seed": [0, 1]}}
    assert spec["metrics"] == ['mig: {"num_train": 100}']
    tell(cluster, "one-study", phase="Running", running=2)
    assert client.status("one_study").state == "running"


def test_the_same_study_twice_is_one_and_another_of_its_name_is_refused(
    client: Client, cluster: TinyKubernetes
) -> None:
    plan = client.submit(study("twice")).plan
    assert client.submit(study("twice")).plan == plan
    with pytest.raises(SpecError, match="twice"):
        client.submit(study("twice", evaluation_seed=1))


def test_a_metric_is_added_to_the_resource(client: Client, cluster: TinyKubernetes) -> None:
    client.submit(study("grows"))
    client.submit(study("grows", metrics=[{"mig": {"num_train": 100}}, "dci"]))
    assert len(resource(cluster, "grows")["spec"]["metrics"]) == 2


def test_a_name_that_no_resource_can_have_is_refused_and_leaves_nothing_behind(
    client: Client, cluster: TinyKubernetes
) -> None:
    with pytest.raises(SpecError, match=r"spec\.name"):
        client.submit(study("a" * 53))
    with pytest.raises(ArtifactNotFound):
        client.status("a" * 53)


def test_cancelling_a_study_removes_its_resource(client: Client, cluster: TinyKubernetes) -> None:
    client.submit(study("goes"))
    assert client.cancel("goes").state == "cancelled"
    assert STUDIES.path(NAMESPACE, "goes") not in cluster.objects
    assert [view.state for view in client.watch("goes")] == ["cancelled"]


def test_a_study_whose_resource_was_deleted_is_cancelled_until_it_is_submitted_again(
    client: Client, cluster: TinyKubernetes
) -> None:
    client.submit(study("deleted"))
    cluster.remove(STUDIES.path(NAMESPACE, "deleted"))
    assert client.status("deleted").state == "cancelled"
    assert [view.state for view in client.watch("deleted")] == ["cancelled"]
    assert client.submit(study("deleted")).state == "pending"


def test_a_finished_study_whose_resource_was_deleted_has_succeeded(
    client: Client, cluster: TinyKubernetes, environment: dict[str, str]
) -> None:
    own = {**TRAIN, "training_steps": 11}  # whose steps no other test has
    plan = client.submit(study("finished", model=own)).plan
    store = DirectoryStore(Path(environment["DISENTANGLEMENT_STORE"]))
    for model in load_plan(store, plan).models:
        for item in steps_of(model):
            commit_step(store, item)
    cluster.remove(STUDIES.path(NAMESPACE, "finished"))
    assert client.status("finished").state == "succeeded"


def test_a_study_of_which_a_metric_is_refused_goes_on(client: Client, cluster: TinyKubernetes) -> None:
    client.submit(study("partly"))
    refused = {"type": "Accepted", "status": "False", "reason": "NotBuiltYet", "message": "not built yet: irs"}
    tell(cluster, "partly", phase="Pending", conditions=[refused])
    assert client.status("partly").state == "pending"


def test_a_study_that_the_controller_refuses_has_failed_with_its_words(client: Client, cluster: TinyKubernetes) -> None:
    client.submit(study("refused"))
    refused = {"type": "Accepted", "status": "False", "reason": "UnknownPool", "message": "no pool a100"}
    tell(cluster, "refused", phase="Invalid", conditions=[refused])
    assert [view.state for view in client.watch("refused")] == ["failed"]


def test_a_paused_study_is_not_at_its_end(client: Client, cluster: TinyKubernetes) -> None:
    client.submit(study("held"))
    tell(cluster, "held", phase="Paused")
    view = client.status("held")
    assert (view.state, view.is_final) == ("paused", False)


def test_failed_models_are_tried_again_all_together(
    client: Client, cluster: TinyKubernetes, environment: dict[str, str]
) -> None:
    plan = client.submit(study("again")).plan
    store = DirectoryStore(Path(environment["DISENTANGLEMENT_STORE"]))
    ledger = StudyLedger(store, "default", "again")
    for model in load_plan(store, plan).models:
        ledger.record_failure(next(steps_of(model)), NonFiniteLoss(7))
    tell(cluster, "again", phase="Failed")
    assert client.status("again").state == "failed"
    with pytest.raises(SpecError, match="all failed models"):
        client.retry("again", [1])
    assert client.retry("again") == 2
    assert resource(cluster, "again")["spec"]["retryGeneration"] == 1
    assert client.status("again").state == "running"


def test_who_watches_sees_commits_and_failures(
    client: Client, cluster: TinyKubernetes, environment: dict[str, str]
) -> None:
    plan = client.submit(study("watched")).plan
    store = DirectoryStore(Path(environment["DISENTANGLEMENT_STORE"]))
    tell(cluster, "watched", phase="Running", running=2)
    views = client.watch("watched")
    assert next(views).events == ()
    ledger = StudyLedger(store, "default", "watched")
    for model in load_plan(store, plan).models:
        ledger.record_failure(next(steps_of(model)), NonFiniteLoss(7))
    tell(cluster, "watched", phase="Failed")
    last = list(views)[-1]
    assert last.state == "failed"
    assert [(event.step, event.state) for event in last.events] == [("train", "failed")] * 2
    assert "step 7" in last.events[0].message


def test_another_project_than_that_of_the_namespace_is_refused(aggregator: ServiceProcess) -> None:
    with Client(aggregator.address, project="other") as other, pytest.raises(SpecError, match="projects/other"):
        other.submit(study("elsewhere"))
