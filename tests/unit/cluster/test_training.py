"""CreateTrainingJob in a cluster: a Study of one model, before a tiny API server and a store in a directory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import tiny_steps
from kubernetes import client
from tiny_kubernetes import Fault, TinyKubernetes, tiny_kubernetes

from disentanglement.cluster.kinds import STUDIES
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.cluster.names import check_study_name, resource_name
from disentanglement.cluster.studies import ClusterStudies
from disentanglement.cluster.training import ClusterTraining, one_model_name
from disentanglement.errors import ArtifactConflict, ArtifactNotFound, NonFiniteLoss, SpecError, TrainingFailed
from disentanglement.jobs.states import JobState
from disentanglement.services.trainer import __main__ as trainer
from disentanglement.specs import canonical
from disentanglement.specs.canonical import contract_version, step_of
from disentanglement.steps.ledger import StudyLedger
from disentanglement.storage.commit import Attempt, commit
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.pending import WorkItem, steps_of

NAMESPACE = "disentanglement"
ITEM = next(steps_of(tiny_steps.plan("0" * 64).model(0)))
NAME = one_model_name(ITEM.key)
PATH = STUDIES.path(NAMESPACE, resource_name(NAME))


@pytest.fixture
def cluster() -> Iterator[TinyKubernetes]:
    with tiny_kubernetes() as cluster:
        yield cluster


@pytest.fixture
def studies(cluster: TinyKubernetes) -> ClusterStudies:
    configuration = client.Configuration()
    configuration.host = cluster.url
    return ClusterStudies(KubernetesApi(configuration, namespace=NAMESPACE))


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


@pytest.fixture
def training(store: DirectoryStore, studies: ClusterStudies) -> ClusterTraining:
    async def no_sleep(seconds: float) -> None:
        pass

    return ClusterTraining(store, studies, now=lambda: datetime(2026, 1, 1, tzinfo=UTC), sleep=no_sleep)


def tell(cluster: TinyKubernetes, **status: Any) -> None:
    """The controller writes a status."""
    cluster.put(PATH, {**cluster.objects[PATH], "status": status})


def commit_training(store: DirectoryStore, item: WorkItem = ITEM) -> None:
    attempt = Attempt(store, item.step, item.key)
    commit(store, attempt.manifest(spec=canonical(item.spec), contract=contract_version(*step_of(item.spec))))


async def state(training: ClusterTraining) -> JobState:
    return (await training.get("default", "train", ITEM.key)).state


def test_the_name_of_a_training_is_a_name_that_a_resource_can_have() -> None:
    assert check_study_name(resource_name(NAME)).startswith("train-")


async def test_a_training_becomes_a_study_of_one_model_without_metrics(
    training: ClusterTraining, cluster: TinyKubernetes
) -> None:
    job = await training.submit(ITEM, project="default")
    assert job.state is JobState.QUEUED
    spec = cluster.objects[PATH]["spec"]
    assert spec["metrics"] == []
    assert spec["inline"]["model"]["training_steps"] == 12
    assert "grid" not in spec["inline"]


async def test_asking_twice_makes_one_study(training: ClusterTraining, cluster: TinyKubernetes) -> None:
    await training.submit(ITEM, project="default")
    await training.submit(ITEM, project="default")
    assert cluster.count("POST", "studies") == 1
    assert await training.jobs("default", "train") == [ITEM.key]


async def test_what_is_committed_asks_the_cluster_for_nothing(
    training: ClusterTraining, cluster: TinyKubernetes, store: DirectoryStore
) -> None:
    commit_training(store)
    assert (await training.submit(ITEM, project="default")).state is JobState.SUCCEEDED
    assert cluster.requests == []


async def test_the_state_follows_the_resource_and_the_store(
    training: ClusterTraining, cluster: TinyKubernetes, store: DirectoryStore
) -> None:
    await training.submit(ITEM, project="default")
    tell(cluster, phase="Running", running=1)
    assert await state(training) is JobState.RUNNING
    tell(cluster, phase="Running", running=0)
    assert await state(training) is JobState.QUEUED
    commit_training(store)
    assert await state(training) is JobState.SUCCEEDED


async def test_a_failed_training_has_its_error_and_is_tried_again_when_asked_for(
    training: ClusterTraining, cluster: TinyKubernetes, store: DirectoryStore
) -> None:
    await training.submit(ITEM, project="default")
    StudyLedger(store, "default", NAME).record_failure(ITEM, NonFiniteLoss(7))
    job = await training.get("default", "train", ITEM.key)
    assert job.state is JobState.FAILED
    assert isinstance(job.error, NonFiniteLoss)

    again = await training.submit(ITEM, project="default")
    assert again.state is JobState.QUEUED  # the controller forgets the failure record later
    assert cluster.objects[PATH]["spec"]["retryGeneration"] == 1


async def test_a_failed_training_whose_study_was_deleted_is_tried_again_at_the_first_call(
    training: ClusterTraining, cluster: TinyKubernetes, store: DirectoryStore
) -> None:
    await training.submit(ITEM, project="default")
    StudyLedger(store, "default", NAME).record_failure(ITEM, NonFiniteLoss(7))
    cluster.remove(PATH)
    assert (await training.submit(ITEM, project="default")).state is JobState.QUEUED
    assert cluster.objects[PATH]["spec"]["retryGeneration"] == 1


async def test_a_study_that_the_controller_refuses_is_a_failed_training(
    training: ClusterTraining, cluster: TinyKubernetes
) -> None:
    await training.submit(ITEM, project="default")
    refused = {"type": "Accepted", "status": "False", "reason": "UnknownPool", "message": "no pool"}
    tell(cluster, phase="Invalid", conditions=[refused])
    job = await training.get("default", "train", ITEM.key)
    assert job.state is JobState.FAILED
    assert isinstance(job.error, TrainingFailed)
    assert str(job.error) == "UnknownPool: no pool"


async def test_cancelling_deletes_the_study_and_asking_again_makes_it_again(
    training: ClusterTraining, cluster: TinyKubernetes
) -> None:
    await training.submit(ITEM, project="default")
    assert (await training.cancel("default", "train", ITEM.key)).state is JobState.CANCELLED
    assert PATH not in cluster.objects
    assert (await training.submit(ITEM, project="default")).state is JobState.QUEUED
    assert PATH in cluster.objects


async def test_a_study_deleted_by_somebody_else_is_a_cancelled_training(
    training: ClusterTraining, cluster: TinyKubernetes
) -> None:
    await training.submit(ITEM, project="default")
    cluster.remove(PATH)
    assert await state(training) is JobState.CANCELLED


async def test_watching_ends_with_the_commit(
    training: ClusterTraining, cluster: TinyKubernetes, store: DirectoryStore
) -> None:
    await training.submit(ITEM, project="default")
    seen = []
    async for job in training.watch("default", "train", ITEM.key):
        seen.append(job.state)
        if job.state is JobState.QUEUED:
            tell(cluster, phase="Running", running=1)
        elif job.state is JobState.RUNNING:
            commit_training(store)
    assert seen == [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]


async def test_the_studies_of_finished_trainings_are_removed_and_no_others(
    cluster: TinyKubernetes, store: DirectoryStore, studies: ClusterStudies
) -> None:
    rounds = 0

    async def sleep(seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            assert PATH in cluster.objects, "its pod may still extract codes"
            tell(cluster, phase="Succeeded")
        elif rounds == 2:
            cluster.faults.append(Fault("GET", "studies", 401))
        else:
            raise asyncio.CancelledError

    training = ClusterTraining(store, studies, sleep=sleep)
    await training.submit(ITEM, project="default")
    commit_training(store)
    tell(cluster, phase="Running")
    somebodys = STUDIES.path(NAMESPACE, "train-of-thought")
    cluster.put(somebodys, {**study("train-of-thought"), "status": {"phase": "Succeeded"}})
    with pytest.raises(asyncio.CancelledError):
        await training.tidy()
    assert [path for path in (PATH, somebodys) if path in cluster.objects] == [somebodys]
    assert await state(training) is JobState.SUCCEEDED


async def test_the_service_tidies_up_as_long_as_it_serves(
    training: ClusterTraining, cluster: TinyKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "in_cluster", lambda *_: training)
    service = trainer.build({"DISENTANGLEMENT_STORE": str(tmp_path), "DISENTANGLEMENT_CLUSTER": "1"})
    await service.start()
    while not cluster.count("GET", "studies"):
        await asyncio.sleep(0.01)
    await service.drain()
    assert len(asyncio.all_tasks()) == 1


async def test_a_training_that_nobody_asked_for_is_not_found(training: ClusterTraining) -> None:
    with pytest.raises(ArtifactNotFound):
        await training.get("default", "train", ITEM.key)


async def test_a_project_without_a_namespace_here_is_refused(training: ClusterTraining) -> None:
    with pytest.raises(SpecError, match="projects/other"):
        await training.submit(ITEM, project="other")


# ----------------------------------------------------------------------------------------------------------- resources


def study(name: str = "tiny", **spec: Any) -> dict[str, Any]:
    inline = {"model": tiny_steps.STUDY["model"], "representations": ["mean"]}
    given = {"inline": inline, "metrics": ["mig"], **spec}
    return {
        "apiVersion": "disentanglement.dev/v1alpha1",
        "kind": "Study",
        "metadata": {"name": name},
        "spec": given,
    }


def test_the_same_study_written_otherwise_stands(studies: ClusterStudies, cluster: TinyKubernetes) -> None:
    studies.ask(study(parallelism=3))
    other = {"model": {**tiny_steps.STUDY["model"], "random_seed": 0}, "representations": [{"mean": {}}]}
    studies.ask(study(inline=other))
    assert cluster.objects[STUDIES.path(NAMESPACE, "tiny")]["spec"]["parallelism"] == 3


def test_another_study_of_the_same_name_is_refused(studies: ClusterStudies) -> None:
    studies.ask(study())
    with pytest.raises(ArtifactConflict, match="disentanglement/tiny"):
        studies.ask(study(set={"training_steps": 13}))


def test_metrics_that_a_standing_study_lacks_are_added(studies: ClusterStudies, cluster: TinyKubernetes) -> None:
    written = ["mig: {num_bins:    10}"]  # the API server lets nobody write it otherwise
    studies.ask(study(metrics=written))
    studies.ask(study(metrics=[{"dci": {"num_train": 10}}, {"mig": {"num_bins": 10}}]))
    assert cluster.objects[STUDIES.path(NAMESPACE, "tiny")]["spec"]["metrics"] == [*written, 'dci: {"num_train": 10}']


def test_retrying_a_study_that_is_not_there_asks_for_nothing(studies: ClusterStudies, cluster: TinyKubernetes) -> None:
    studies.retry("tiny")
    assert cluster.count("PATCH", "") == 0
