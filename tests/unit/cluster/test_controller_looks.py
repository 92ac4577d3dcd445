"""What one look at a study does, before a tiny API server whose objects the test moves by hand. The real API server,
and real Jobs, are in tests/integration/cluster."""

from __future__ import annotations

import pytest
from tiny_cluster import INLINE, NAMESPACE, TinyCluster, failure_names
from tiny_kubernetes import Fault
from tiny_steps import STUDY

from disentanglement.cluster.kinds import JOBS, STUDIES
from disentanglement.storage.data_sets import card_key


def test_a_study_goes_from_training_to_scores_to_its_end(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    assert [len(cluster.jobs_of(step)) for step in ("train", "postprocess", "evaluate")] == [1, 0, 0]
    cluster.finish("train")
    cluster.look()
    assert [len(cluster.jobs_of(step)) for step in ("train", "postprocess", "evaluate")] == [1, 0, 1]
    cluster.finish("evaluate")
    cluster.look(times=2)
    status = cluster.status()
    assert (status["phase"], status["counts"]) == (
        "Succeeded",
        {"total": 3, "trained": 3, "evaluated": 3, "failed": 0},
    )
    assert cluster.condition("Complete")[0] == "True"
    assert {event["reason"] for event in cluster.events()} >= {"Planned", "AllDone"}


def test_jobs_belong_to_the_study_and_go_with_it(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    [study] = cluster.kubernetes.below("/studies/")
    [owner] = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Study", study["metadata"]["uid"], True)


def test_a_finished_study_costs_no_request_but_for_reading(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    cluster.finish("train")
    cluster.look()
    cluster.finish("evaluate")
    cluster.look(times=3)
    before = len([request for request in cluster.kubernetes.requests if request.method != "GET"])
    cluster.look(times=5)
    assert len([request for request in cluster.kubernetes.requests if request.method != "GET"]) == before


@pytest.mark.parametrize("moment", ["after training", "after scores"])
def test_a_restarted_controller_makes_nothing_twice(cluster: TinyCluster, moment: str) -> None:
    cluster.apply()
    cluster.look()
    cluster.finish("train")
    if moment == "after scores":
        cluster.look()
        cluster.finish("evaluate")
    for job in cluster.kubernetes.below("/jobs/"):  # as their TTL would
        cluster.kubernetes.remove(JOBS.path(NAMESPACE, job["metadata"]["name"]))
    cluster.restart()
    cluster.look(times=2)
    assert cluster.jobs_of("train") == []
    assert len(cluster.jobs_of("evaluate")) == (moment == "after training")


def test_a_job_that_was_made_and_forgotten_is_not_made_again(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.kubernetes.faults.append(Fault("POST", "/jobs", 500, after=True))
    cluster.look()
    assert len(cluster.jobs_of("train")) == 1


def test_a_status_that_cannot_be_written_holds_nothing_up(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.kubernetes.faults.append(Fault("PATCH", "/status", 403, times=1000))
    cluster.look()
    cluster.finish("train")
    cluster.look()
    assert len(cluster.jobs_of("evaluate")) == 1
    cluster.kubernetes.faults.clear()
    cluster.look()
    assert cluster.status()["counts"]["trained"] == 3, "it is told as soon as that is possible"


def test_a_study_that_is_made_again_is_told_of_anew(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    cluster.finish("train")
    cluster.look()
    cluster.finish("evaluate")
    cluster.look(times=3)
    cluster.kubernetes.remove(STUDIES.path(NAMESPACE, "small"))
    cluster.apply()
    cluster.look(times=2)
    assert cluster.status()["phase"] == "Succeeded"


def test_jobs_of_a_study_that_was_deleted_and_corrected_blame_no_new_model(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.end(job, failed="0-2")
    cluster.kubernetes.remove(STUDIES.path(NAMESPACE, "small"))
    cluster.apply(inline={**INLINE, "model": {**STUDY["model"], "training_steps": 7}})
    cluster.look(times=2)
    assert failure_names(cluster, "train") == []
    assert len(cluster.jobs_of("train")) == 2


def test_a_study_that_is_made_again_waits_until_the_names_of_its_jobs_are_free(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.end(job, failed="0-2")
    cluster.kubernetes.remove(STUDIES.path(NAMESPACE, "small"))
    cluster.apply()
    cluster.look(times=2)
    assert failure_names(cluster, "train") == []
    cluster.kubernetes.remove(JOBS.path(NAMESPACE, job["metadata"]["name"]))  # as it goes with its owner
    cluster.look()
    [again] = cluster.jobs_of("train")
    assert again["metadata"]["uid"] != job["metadata"]["uid"]


def test_refused_trainings_do_not_keep_evaluations_back(cluster: TinyCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = {"grid": {"sweep": {"random_seed": list(range(6))}}}
    cluster.apply(inline={**INLINE, **seeds}, parallelism=6)
    cluster.look(times=2)
    [job] = cluster.jobs_of("train")
    cluster.commit(job, but=[2, 3, 4, 5])
    cluster.kubernetes.remove(JOBS.path(NAMESPACE, job["metadata"]["name"]))
    monkeypatch.setattr("disentanglement.cluster.reconcile.MAX_GROUPS", 1)
    cluster.kubernetes.faults.append(Fault("POST", "/jobs", 422, times=3))
    cluster.look()
    assert [len(cluster.jobs_of(step)) for step in ("train", "evaluate")] == [0, 2]


def test_codes_that_were_evicted_are_extracted_again_before_scores(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    cluster.finish("train")
    [job] = cluster.jobs_of("train")
    for model in cluster.models(job).values():
        cluster.store.delete(cluster.codes_key(model))
    cluster.look()
    assert [len(cluster.jobs_of(step)) for step in ("postprocess", "evaluate")] == [1, 0]
    cluster.finish("postprocess")
    cluster.look(times=2)
    assert len(cluster.jobs_of("evaluate")) == 1


def test_codes_are_removed_once_scored_where_that_is_wanted(cluster: TinyCluster) -> None:
    cluster.apply(retention={"codes": "untilScored"})
    cluster.look()
    cluster.finish("train")
    cluster.look()
    [job] = cluster.jobs_of("train")
    keys = [cluster.codes_key(model) for model in cluster.models(job).values()]
    assert all(cluster.store.head(key) for key in keys)
    cluster.finish("evaluate")
    cluster.look(times=2)
    assert not any(cluster.store.head(key) for key in keys)
    assert cluster.status()["phase"] == "Succeeded"


def test_a_metric_that_is_added_computes_what_is_missing_and_no_more(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    cluster.finish("train")
    cluster.look()
    cluster.finish("evaluate")
    cluster.look()
    cluster.apply(metrics=["mig: {num_train: 100}", "dci: {num_train: 60, num_test: 30}"])
    cluster.look(times=2)
    assert [len(cluster.jobs_of(step)) for step in ("train", "postprocess", "evaluate")] == [1, 0, 2]


def test_data_that_is_imported_later_changes_no_study_under_way(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    plan = cluster.status()["plan"]
    cluster.store.delete(card_key("dummy_data", cluster.digest))  # as if another version were the best one now
    cluster.restart()
    cluster.look()
    assert cluster.status()["plan"] == plan
    assert cluster.condition("Accepted")[0] == "True"


def test_jobs_are_not_made_faster_than_allowed(cluster: TinyCluster) -> None:
    cluster.jobs_per_second, cluster.burst = 0.5, 1
    cluster.apply("one")
    cluster.apply("two")
    tools = cluster.tools()
    cluster.tools = lambda tell=None: tools  # type: ignore[method-assign]
    cluster.look("one", after_s=0)
    wait_s = cluster.look("two", after_s=0)
    assert len(cluster.jobs_of("train")) == 1
    assert 0 < wait_s <= 2
    cluster.look("two", after_s=2.0)
    assert len(cluster.jobs_of("train")) == 2


def test_a_paused_study_suspends_its_jobs(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    cluster.apply(paused=True)
    cluster.look()
    [job] = cluster.jobs_of("train")
    assert job["spec"]["suspend"] is True
    assert cluster.status()["phase"] == "Paused"
    cluster.apply(paused=False)
    cluster.look()
    [job] = cluster.jobs_of("train")
    assert job["spec"]["suspend"] is False


def test_counts_alone_are_not_told_at_every_look(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look(times=2)
    [job] = cluster.jobs_of("train")
    before = cluster.kubernetes.count("PATCH", "/status")
    for active in range(1, 9):
        cluster.progress(job, active=active)
        cluster.look(after_s=0.5)
    assert cluster.kubernetes.count("PATCH", "/status") - before <= 2
