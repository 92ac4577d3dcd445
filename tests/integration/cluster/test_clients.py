"""Clients of a cluster: the command and the services, before a real API server with our controller behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kwok.cluster import Cluster
from kwok.controller_process import NAMESPACE, kubeconfig_of_service_account
from kwok.outcomes import Fate
from service_processes import ServiceProcess, start
from tiny_steps import STUDY
from typer.testing import CliRunner

from disentanglement import Client
from disentanglement.cli.app import app
from disentanglement.cluster.kinds import STUDIES, Object, ObjectName
from disentanglement.jobs.states import JobState
from disentanglement.specs import Step
from disentanglement.storage.directory_store import DirectoryStore

MakeSpec = Callable[..., Object]
GPUS = 16


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


Run = Callable[..., Ended]


def runner(kubeconfig: Path, folder: Path) -> Run:
    def invoke(*arguments: object) -> Ended:
        words = ["study", *map(str, arguments)]
        result = CliRunner().invoke(app, words, env={"KUBECONFIG": str(kubeconfig), "DISENTANGLEMENT_STORE": None})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def study(cluster: Cluster, tmp_path: Path) -> Run:
    """`disentangle study ...` as the cluster's admin."""
    return runner(cluster.plane.admin_kubeconfig, tmp_path)


@pytest.fixture
def study_of_nobody(cluster: Cluster, tmp_path: Path) -> Run:
    """`disentangle study ...` with the rights of a worker: none."""
    account = kubeconfig_of_service_account(cluster.plane, tmp_path, "disentanglement-worker")
    return runner(account, tmp_path)


def written(folder: Path, name: str, spec: Object) -> Path:
    """A Study in a file."""
    item = {"apiVersion": STUDIES.api_version, "kind": STUDIES.name, "metadata": {"name": name}, "spec": spec}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(item))
    return path


def test_a_submitted_study_is_worked_off_and_watched_to_its_end(
    cluster: Cluster, study: Run, spec: MakeSpec, tmp_path: Path
) -> None:
    with cluster.finishing("told"):
        submitted = study("submit", written(tmp_path, "told", spec(models=2)), "--cluster", "--json")
        assert (submitted.code, submitted.json["namespace"]) == (0, NAMESPACE)
        watched = study("watch", "told", "--cluster", "--json")
    assert watched.code == 0
    assert watched.json["phase"] == "Succeeded"
    assert watched.json["counts"] == {"total": 2, "trained": 2, "evaluated": 2, "failed": 0}
    assert "told is Succeeded: 2 of 2 models trained" in study("status", "told", "--cluster").out


def test_submitting_again_changes_what_may_change_and_no_more(
    cluster: Cluster, study: Run, spec: MakeSpec, tmp_path: Path
) -> None:
    wanted = spec(models=2, paused=True)
    assert study("submit", written(tmp_path, "twice", wanted)).code == 0
    assert study("submit", written(tmp_path, "twice", wanted | {"parallelism": 3})).code == 0
    assert cluster.api.get(STUDIES, ObjectName(NAMESPACE, "twice"))["spec"]["parallelism"] == 3
    refused = study("submit", written(tmp_path, "twice", wanted | {"modelsPerPod": 2}))
    assert refused.code == 2
    assert "modelsPerPod" in refused.err


def test_who_has_no_rights_learns_the_verb_and_the_role(study_of_nobody: Run, spec: MakeSpec, tmp_path: Path) -> None:
    refused = study_of_nobody("submit", written(tmp_path, "nobodys", spec()))
    assert refused.code == 77
    assert 'cannot patch resource "studies"' in refused.err
    assert "disentanglement-study-editor" in refused.err


def test_why_tells_of_pods_that_no_node_takes(cluster: Cluster, study: Run, spec: MakeSpec, tmp_path: Path) -> None:
    study("submit", written(tmp_path, "crowd", spec(models=GPUS + 4, parallelism=GPUS + 4)))
    cluster.wait("all GPUs are taken", lambda: len(cluster.running_pods("crowd")) == GPUS)
    cluster.wait("why tells it", lambda: "nvidia.com/gpu" in study("why", "crowd").out)
    (reason,) = [reason for reason in study("why", "crowd", "--json").json if reason["kind"] == "pod"]
    assert reason["what"].startswith("4 pods (train dummy_data.beta_vae) wait for a node")
    assert "every GPU is taken" in reason["todo"]
    assert study("cancel", "crowd", "--cluster").code == 0
    assert study("status", "crowd", "--cluster").code == 3


def test_why_tells_what_the_controller_refuses(cluster: Cluster, study: Run, spec: MakeSpec, tmp_path: Path) -> None:
    study("submit", written(tmp_path, "lost", spec(pool="a100")))
    cluster.wait_for_phase("lost", "Invalid")
    told = study("why", "lost").out
    assert "a100" in told
    assert "gpu" in told
    assert study("watch", "lost", "--cluster").code == 2


def test_failed_models_are_told_and_tried_again(cluster: Cluster, study: Run, spec: MakeSpec, tmp_path: Path) -> None:
    def first_fails(step: Step, number: int) -> Fate:
        return Fate.REFUSED if (step, number) == ("train", 0) else Fate.COMMITTED

    with cluster.finishing("fails", choose=first_fails):
        study("submit", written(tmp_path, "fails", spec(models=2)))
        assert study("watch", "fails", "--cluster").code == 4
    (reason,) = [reason for reason in study("why", "fails", "--json").json if reason["kind"] == "model"]
    assert reason["what"].startswith("train of model 0 failed for good")
    with cluster.finishing("fails"):
        assert study("retry", "fails", "--cluster", "--json").json["retried_models"] == 1
        assert study("watch", "fails", "--cluster").code == 0


# ------------------------------------------------------------------------------------------------------------- services


@pytest.fixture(scope="module")
def services(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ServiceProcess]]:
    """The trainer and the aggregator with the rights of their service account."""
    assert isinstance(cluster.store, DirectoryStore)
    folder = tmp_path_factory.mktemp("services")
    account = kubeconfig_of_service_account(cluster.plane, folder, "disentanglement-aggregator")
    environment = {
        "DISENTANGLEMENT_STORE": str(cluster.store.root),
        "DISENTANGLEMENT_CACHE": str(folder / "cache"),
        "DISENTANGLEMENT_CLUSTER": "1",
        "KUBECONFIG": str(account),
    }
    trainer = start("trainer", folder, environment)
    aggregator = start("aggregator", folder, environment | {"DISENTANGLEMENT_TRAINER": trainer.address})
    yield {"trainer": trainer, "aggregator": aggregator}
    for service in (aggregator, trainer):
        service.stop()


@pytest.fixture
def client(services: dict[str, ServiceProcess]) -> Iterator[Client]:
    with Client(services["aggregator"].address) as connected:
        yield connected


def test_a_study_submitted_by_grpc_is_worked_off_by_the_controller(
    cluster: Cluster, client: Client, spec: MakeSpec
) -> None:
    inline = spec(models=2)["inline"]
    with cluster.finishing("by-grpc"):
        client.submit({**inline, "name": "by_grpc", "metrics": [{"mig": {"num_train": 100}}]})
        last = list(client.watch("by_grpc"))[-1]
    assert (last.state, last.done, last.total) == ("succeeded", 6, 6)
    assert cluster.status("by-grpc")["counts"]["evaluated"] == 2


def test_a_training_asked_for_by_grpc_is_done_by_a_job_of_one_model(
    cluster: Cluster, client: Client, spec: MakeSpec
) -> None:
    job = client.train({**STUDY["model"], "random_seed": 9_000_001})
    (study,) = [
        item["metadata"]["name"]
        for item in cluster.api.list(STUDIES, NAMESPACE).items
        if item["metadata"]["name"].startswith("train-")
    ]
    with cluster.finishing(study):
        cluster.wait("it is trained", lambda: bool(cluster.status(study).get("counts", {}).get("trained")))
        last = list(client.watch_training(job.name))[-1]
    assert last.state is JobState.SUCCEEDED
    cluster.wait_for_phase(study, "Succeeded")
