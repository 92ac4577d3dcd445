"""Work that has failed: written down before its Job is forgotten, blamed on nobody else, tried again when asked."""

from __future__ import annotations

import pytest
from tiny_cluster import INLINE, NAMESPACE, TinyCluster, failed_pod, failure_names

from disentanglement.cluster.kinds import JOBS
from disentanglement.cluster.names import MODELS_ANNOTATION, PACK_ANNOTATION
from disentanglement.specs import StepKey
from disentanglement.storage.failures import list_failed


def test_a_failure_is_written_down_with_what_the_pod_said_before_its_job_is_forgotten(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.put_pod(job, "first", 1, failed_pod(1, "an earlier word", finished="2030-01-01T00:00:00Z"))
    cluster.put_pod(job, "last", 1, failed_pod(1, "CUDA error: no kernel image", finished="2030-01-02T00:00:00Z"))
    cluster.commit(job, but=[1])
    cluster.end(job, failed="1")
    cluster.look()
    assert failure_names(cluster, "train") == ["RETRIES_SPENT"]
    cluster.look()
    [failure] = cluster.status()["failures"]
    assert (failure["model"], failure["step"]) == (1, "train")
    assert "CUDA error" in failure["message"]
    assert "exit code 1" in failure["message"]
    [job] = cluster.jobs_of("train")
    assert job["spec"]["ttlSecondsAfterFinished"] > 0, "only now may it be forgotten"


def test_a_worker_without_memory_is_told_from_others(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.put_pod(job, "p", 0, failed_pod(137, reason="OOMKilled"))
    cluster.commit(job, but=[0])
    cluster.end(job, failed="0")
    cluster.look()
    assert failure_names(cluster, "train") == ["OUT_OF_MEMORY"]


def test_a_worker_that_only_waited_for_the_store_has_not_failed(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.put_pod(job, "first", 1, failed_pod(75, finished="2030-01-01T00:00:00Z"))
    cluster.put_pod(job, "last", 1, failed_pod(75, finished="2030-01-02T00:00:00Z"))
    cluster.put_pod(job, "other", 2, failed_pod(75, finished="2030-01-01T00:00:00Z"))
    cluster.put_pod(job, "crashed", 2, failed_pod(1, finished="2030-01-02T00:00:00Z"))
    cluster.commit(job, but=[1, 2])
    cluster.end(job, failed="1-2")
    cluster.look(times=2)
    assert len(failure_names(cluster, "train")) == 1, "the one that crashed"
    [job] = cluster.jobs_of("train")
    assert job["spec"]["ttlSecondsAfterFinished"] == 60
    cluster.kubernetes.remove(JOBS.path(NAMESPACE, job["metadata"]["name"]))
    cluster.look()
    [again] = cluster.jobs_of("train")
    assert again["metadata"]["annotations"][MODELS_ANNOTATION] == "1"


def test_failures_are_written_down_a_few_in_a_look(cluster: TinyCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disentanglement.cluster.effects.MOST_RECORDS", 2)
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.end(job, failed="0-2")
    cluster.look()
    assert len(failure_names(cluster, "train")) == 2
    [job] = cluster.jobs_of("train")
    assert "ttlSecondsAfterFinished" not in job["spec"]
    cluster.look(times=2)
    assert len(failure_names(cluster, "train")) == 3
    [job] = cluster.jobs_of("train")
    assert "ttlSecondsAfterFinished" in job["spec"]


def test_a_job_that_somebody_made_by_hand_under_our_labels_is_left_alone(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    for name, change in (
        ("a", {MODELS_ANNOTATION: "all"}),
        ("b", {PACK_ANNOTATION: "0"}),
        ("c", {PACK_ANNOTATION: "x"}),
    ):
        annotations = {**job["metadata"]["annotations"], **change}
        metadata = {**job["metadata"], "name": name, "uid": name, "annotations": annotations}
        cluster.kubernetes.put(JOBS.path(NAMESPACE, name), {**job, "metadata": metadata})
    cluster.look()
    assert cluster.status()["counts"]["total"] == 3


def test_a_failure_whose_pods_are_gone_is_written_down_all_the_same(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.commit(job, but=[2])
    cluster.end(job, failed="2")
    cluster.look()
    assert failure_names(cluster, "train") == ["RETRIES_SPENT"]


def test_what_was_committed_after_all_is_no_failure(cluster: TinyCluster) -> None:
    """The listing that called it a failure may be older than the commit."""
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.commit(job)
    cluster.end(job, failed="0")
    cluster.look(times=2)
    assert failure_names(cluster, "train") == []


def test_a_retry_forgets_failures_and_trains_what_failed(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.commit(job, but=[1])
    cluster.end(job, failed="1")
    cluster.look(times=2)
    assert cluster.status()["counts"]["failed"] == 1
    cluster.apply(retryGeneration=1)
    cluster.look(times=2)
    assert failure_names(cluster, "train") == []
    assert len(cluster.jobs_of("train")) == 2
    cluster.restart()
    cluster.look(times=2)
    assert len(cluster.jobs_of("train")) == 2, "what was forgotten once is not forgotten again"


def test_failures_of_one_cell_are_listed_by_cell_and_study(cluster: TinyCluster) -> None:
    cluster.apply("mine")
    cluster.apply("theirs", inline={**INLINE, "grid": {"sweep": {"random_seed": [7]}}})
    cluster.look("mine")
    cluster.look("theirs")
    for job in cluster.jobs_of("train"):
        cluster.end(job, failed="0") if "theirs" in job["metadata"]["name"] else cluster.commit(job)
    cluster.look("mine")
    cluster.look("theirs")
    assert failure_names(cluster, "train", "mine") == []
    assert failure_names(cluster, "train", "theirs") == ["RETRIES_SPENT"]
    [key] = list_failed(cluster.store, "default", "theirs", "train")
    assert isinstance(key, StepKey)
