"""A metric that can't be computed, added to a Study that was accepted: the rest goes on, and the cure is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tiny_cluster import METRICS, NAMESPACE, POOLS, TinyCluster
from tiny_kubernetes import tiny_kubernetes

from disentanglement.cluster.kinds import STUDIES
from disentanglement.metrics import catalog

LATER = "dci: {num_train: 60, num_test: 30}"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyCluster]:
    """With a release that does not compute `dci`."""
    monkeypatch.delitem(catalog.METRICS, "dci")
    with tiny_kubernetes() as kubernetes:
        yield TinyCluster(kubernetes, tmp_path)


def finish(cluster: TinyCluster) -> None:
    cluster.finish("train")
    cluster.look()
    cluster.finish("evaluate")
    cluster.look(times=2)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_the_accepted_part_of_a_running_study_goes_on(cluster: TinyCluster, is_restarted: bool) -> None:
    cluster.apply()
    cluster.look()
    cluster.progress(cluster.jobs_of("train")[0], active=2, ready=2)
    cluster.apply(metrics=[*METRICS, LATER])
    if is_restarted:
        cluster.restart()
    cluster.look()
    assert (cluster.status()["phase"], cluster.status()["running"]) == ("Running", 2)
    status, reason, message = cluster.condition("Accepted")
    assert (status, reason) == ("False", "NotBuiltYet")
    assert cluster.condition("Degraded") == ("True", reason, message)
    finish(cluster)
    assert cluster.status()["counts"] == {"total": 3, "trained": 3, "evaluated": 3, "failed": 0}


def test_the_condition_names_the_metric_and_the_cure(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    cluster.apply(metrics=[*METRICS, LATER])
    cluster.look()
    message = cluster.condition("Accepted")[2]
    assert 'dci: {"num_train": 60, "num_test": 30} is not built yet' in message
    assert "delete the Study and apply it again without dci" in message
    assert "nothing is computed twice" in message
    assert "mig" not in message


def test_a_finished_study_is_not_complete_with_a_metric_that_nobody_computes(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    finish(cluster)
    assert cluster.status()["phase"] == "Succeeded"
    cluster.apply(metrics=[*METRICS, LATER])
    cluster.look(times=2)
    assert cluster.status()["phase"] == "Invalid"
    assert cluster.status()["counts"]["evaluated"] == 3
    assert cluster.condition("Complete")[0] == "False"
    assert cluster.jobs_of("evaluate") == cluster.jobs_of("evaluate")[:1], "nothing is computed again"


def test_deleting_the_study_and_applying_it_again_without_the_metric_is_the_cure(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    finish(cluster)
    cluster.apply(metrics=[*METRICS, LATER])
    cluster.look()
    cluster.kubernetes.remove(STUDIES.path(NAMESPACE, "small"))
    before = len(cluster.kubernetes.below("/jobs/"))
    cluster.apply(metrics=METRICS)
    cluster.look(times=2)
    assert (cluster.status()["phase"], cluster.status()["counts"]["evaluated"]) == ("Succeeded", 3)
    assert len(cluster.kubernetes.below("/jobs/")) == before


def test_good_metrics_that_are_added_with_a_bad_one_are_computed(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    finish(cluster)
    cluster.apply(metrics=[*METRICS, LATER, "sap_score: {num_train: 60, num_test: 30}"])
    cluster.look(times=2)
    assert len(cluster.jobs_of("evaluate")) == 2
    cluster.finish("evaluate")
    cluster.look(times=2)
    assert (cluster.status()["phase"], cluster.status()["counts"]["evaluated"]) == ("Invalid", 3)


def test_a_parameter_of_an_added_metric_that_cannot_be_is_named(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    cluster.apply(metrics=[*METRICS, "sap_score: {num_train: 0}"])
    cluster.look()
    assert cluster.condition("Accepted")[:2] == ("False", "InvalidSpec")
    assert "num_train" in cluster.condition("Accepted")[2]
    assert cluster.status()["phase"] == "Pending"
    assert len(cluster.jobs_of("train")) == 1


def test_a_new_study_with_a_metric_that_is_not_built_is_refused_whole(cluster: TinyCluster) -> None:
    cluster.apply(metrics=[*METRICS, LATER])
    cluster.look()
    assert cluster.status()["phase"] == "Invalid"
    status, reason, message = cluster.condition("Accepted")
    assert (status, reason) == ("False", "NotBuiltYet")
    assert "metric.dci" in message
    assert "delete the Study and apply it again" in message
    assert cluster.kubernetes.below("/jobs/") == []


def test_pods_of_a_study_that_is_refused_later_are_counted(cluster: TinyCluster) -> None:
    cluster.apply(pool="gpu")
    cluster.look()
    cluster.progress(cluster.jobs_of("train")[0], active=2, ready=2)
    cluster.look()
    cluster.pools.write_text(yaml.safe_dump({**POOLS, "pools": {"cpu": POOLS["pools"]["cpu"]}}))
    cluster.look()
    assert (cluster.status()["phase"], cluster.status()["running"]) == ("Invalid", 2)
