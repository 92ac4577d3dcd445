"""One study without a custom resource, before a tiny API server that has no Studies at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_cluster import INLINE, METRICS, NAMESPACE, TinyCluster
from tiny_kubernetes import tiny_kubernetes

from disentanglement.cluster import assembly
from disentanglement.cluster.kinds import JOBS, PODS, Object
from disentanglement.cluster.launcher import FAILED, SUCCEEDED, TRY_AGAIN, Narrator, launch, own_job, read_study
from disentanglement.cluster.loading import Sources
from disentanglement.cluster.manifests import Owner
from disentanglement.cluster.study_work import Tools
from disentanglement.errors import SpecError
from disentanglement.specs import Step

OWNER = Owner("launcher", "uid-1", NAMESPACE, api_version="batch/v1", kind="Job")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[TinyCluster]:
    with tiny_kubernetes() as kubernetes:
        yield TinyCluster(kubernetes, tmp_path)


def text(**spec: Any) -> str:
    whole = {"inline": dict(INLINE), "metrics": METRICS, **spec}
    return yaml.safe_dump(
        {"apiVersion": "disentanglement.dev/v1alpha1", "kind": "Study", "metadata": {"name": "small"}, "spec": whole}
    )


class Launch:
    """The launcher in a thread."""

    def __init__(self, cluster: TinyCluster, item: Object) -> None:
        self.narrator, self.stop = Narrator(), threading.Event()
        self.codes: list[int] = []
        given = cluster.tools()
        sources = Sources(
            open_store=lambda: cluster.store,
            pools=cluster.pools,
            images=given.sources.images,
            own_namespace=NAMESPACE,
            owner=OWNER,
        )
        tools = Tools(cluster.api, sources, given.surroundings, given.creations, self.narrator)
        self._thread = threading.Thread(
            target=lambda: self.codes.append(launch(item, tools, self.narrator, self.stop)), daemon=True
        )
        self._thread.start()

    def code(self) -> int:
        self._thread.join(30)
        [code] = self.codes
        return code

    def code_when_scored(self, cluster: TinyCluster) -> int:
        """The exit code, while every evaluation that is asked for is done; there may be several slices."""
        deadline = time.monotonic() + 30
        while self._thread.is_alive() and time.monotonic() < deadline:
            cluster.finish("evaluate")
            self._thread.join(0.1)
        return self.code()


def wait_for_job(cluster: TinyCluster, step: Step) -> Object:
    with cluster.kubernetes.changed:
        assert cluster.kubernetes.changed.wait_for(lambda: cluster.jobs_of(step), 30)
    [job] = cluster.jobs_of(step)
    return job


def test_a_study_is_worked_off_with_rights_on_jobs_and_pods_alone(cluster: TinyCluster) -> None:
    launched = Launch(cluster, read_study(text(), OWNER))
    job = wait_for_job(cluster, "train")
    [owner] = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "launcher", "uid-1")
    cluster.finish("train")
    assert launched.code_when_scored(cluster) == SUCCEEDED
    asked = {request.path.split("/namespaces/")[-1].split("/")[1] for request in cluster.kubernetes.requests}
    assert asked <= {"jobs", "pods", "events"}
    assert launched.narrator.last is not None
    assert launched.narrator.last.counts.evaluated == 3


def test_failed_models_end_it_with_1(cluster: TinyCluster) -> None:
    launched = Launch(cluster, read_study(text(), OWNER))
    job = wait_for_job(cluster, "train")
    cluster.commit(job, but=[1])
    cluster.end(job, failed="1")
    assert launched.code_when_scored(cluster) == FAILED


def test_a_study_that_cannot_be_worked_off_ends_with_1_and_says_why(cluster: TinyCluster) -> None:
    launched = Launch(cluster, read_study(text(pool="a100"), OWNER))
    assert launched.code() == FAILED
    assert launched.narrator.last is not None
    assert launched.narrator.last.conditions[0].reason == "UnknownPool"


def test_who_is_asked_to_stop_is_to_be_run_again(cluster: TinyCluster) -> None:
    launched = Launch(cluster, read_study(text(), OWNER))
    wait_for_job(cluster, "train")
    launched.stop.set()
    assert launched.code() == TRY_AGAIN
    again = Launch(cluster, read_study(text(), OWNER))
    cluster.finish("train")
    assert again.code_when_scored(cluster) == SUCCEEDED
    assert len(cluster.jobs_of("train")) == 1


def test_a_study_file_will_do(cluster: TinyCluster) -> None:
    item = read_study(yaml.safe_dump({**INLINE, "name": "from_a_file", "metrics": ["mig"]}), OWNER)
    assert item["metadata"] == {"name": "from-a-file", "namespace": NAMESPACE, "uid": "uid-1", "generation": 1}


def test_the_job_that_it_runs_in_is_found_by_the_pods_name(cluster: TinyCluster) -> None:
    owner = {"kind": "Job", "name": "launcher", "uid": "u", "apiVersion": "batch/v1"}
    metadata = {"namespace": NAMESPACE, "name": "launcher-x", "ownerReferences": [owner]}
    cluster.kubernetes.put(PODS.path(NAMESPACE, "launcher-x"), {"metadata": metadata})
    found = own_job(cluster.api, {"POD_NAME": "launcher-x"})
    assert (found.name, found.uid, found.kind, found.api_version) == ("launcher", "u", JOBS.name, "batch/v1")


def test_a_pod_that_no_job_made_is_told(cluster: TinyCluster) -> None:
    cluster.kubernetes.put(PODS.path(NAMESPACE, "bare"), {"metadata": {"namespace": NAMESPACE, "name": "bare"}})
    with pytest.raises(SpecError, match="no Job owns"):
        own_job(cluster.api, {"POD_NAME": "bare"})
    with pytest.raises(SpecError, match="POD_NAME"):
        own_job(cluster.api, {})


def test_a_study_in_a_namespace_whose_project_is_another_ones_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "connect", lambda *_, **__: None)
    monkeypatch.setattr(assembly, "own_job", lambda *_: replace(OWNER, namespace="default"))
    (tmp_path / "study.yaml").write_text(text())
    with pytest.raises(SpecError, match="namespace: wanted any but `default`"):
        assembly.launch_file(tmp_path / "study.yaml", {}, threading.Event())
