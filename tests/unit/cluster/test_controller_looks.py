"""What one look at a study does and tells, before a tiny API server whose objects the test moves by hand. The real API
server, and real Jobs, are in tests/integration/cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tiny_cluster import INLINE, NAMESPACE, POOLS, TinyCluster, failed_pod, failure_names, waiting_pod
from tiny_kubernetes import Fault, tiny_kubernetes
from tiny_steps import STUDY

from disentanglement.cluster.kinds import EVENTS, JOBS, LOCAL_QUEUES, STUDIES, Object
from disentanglement.cluster.names import MODELS_ANNOTATION, PACK_ANNOTATION
from disentanglement.errors import StoreRefused, Unavailable
from disentanglement.specs import StepKey
from disentanglement.specs.canonical import CONTRACTS
from disentanglement.storage.data_sets import card_key
from disentanglement.storage.failures import list_failed


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[TinyCluster]:
    with tiny_kubernetes() as kubernetes:
        yield TinyCluster(kubernetes, tmp_path)


class DownStore:
    """A store that does not answer."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> object:
        def fail(*_: object, **__: object) -> object:
            raise self._error

        return fail


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


def test_an_unknown_pool_is_told_with_those_that_there_are(cluster: TinyCluster) -> None:
    cluster.apply(pool="a100")
    cluster.look()
    status, reason, message = cluster.condition("Accepted")
    assert (status, reason) == ("False", "UnknownPool")
    assert "cpu, gpu" in message
    assert cluster.status()["phase"] == "Invalid"
    assert cluster.kubernetes.below("/jobs/") == []


def test_a_study_goes_on_once_its_pool_is_there(cluster: TinyCluster) -> None:
    cluster.apply(pool="a100")
    cluster.look()
    cluster.pools.write_text(yaml.safe_dump({**POOLS, "pools": {**POOLS["pools"], "a100": POOLS["pools"]["cpu"]}}))
    cluster.look()
    assert cluster.condition("Accepted")[0] == "True"
    assert len(cluster.jobs_of("train")) == 1


def test_damaged_pools_are_told(cluster: TinyCluster) -> None:
    cluster.pools.write_text("pools: [")
    cluster.apply()
    cluster.look()
    assert cluster.condition("Accepted")[1] == "PoolsInvalid"


def test_a_queue_without_kueue_is_told_and_makes_no_job(cluster: TinyCluster) -> None:
    cluster.apply(queue="lab")
    cluster.look()
    assert cluster.condition("Accepted")[:2] == ("False", "KueueMissing")
    assert cluster.kubernetes.below("/jobs/") == []


def test_a_queue_that_is_not_there_is_told_with_those_that_are(cluster: TinyCluster) -> None:
    cluster.kubernetes.groups.append("kueue.x-k8s.io")
    cluster.kubernetes.put(
        LOCAL_QUEUES.path(NAMESPACE, "students"), {"metadata": {"namespace": NAMESPACE, "name": "students"}}
    )
    cluster.apply(queue="lab")
    cluster.look()
    status, reason, message = cluster.condition("Accepted")
    assert (status, reason) == ("False", "QueueMissing")
    assert "students" in message


def test_a_queue_that_is_there_is_put_on_the_jobs(cluster: TinyCluster) -> None:
    cluster.kubernetes.groups.append("kueue.x-k8s.io")
    cluster.kubernetes.put(LOCAL_QUEUES.path(NAMESPACE, "lab"), {"metadata": {"namespace": NAMESPACE, "name": "lab"}})
    cluster.apply(queue="lab")
    cluster.look()
    [job] = cluster.jobs_of("train")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "lab"
    assert job["spec"]["suspend"] is True


def test_a_gpu_that_no_node_has_is_told(cluster: TinyCluster) -> None:
    cluster.put_node("worker-1", cpu="8")
    cluster.apply(pool="gpu")
    cluster.look()
    status, reason, message = cluster.condition("Degraded")
    assert (status, reason) == ("True", "GpuMissing")
    assert "nvidia.com/gpu" in message
    assert len(cluster.jobs_of("train")) == 1, "nodes may be added when pods need them"
    cluster.put_node("worker-2", nvidia_com_gpu="4")
    cluster.look(times=4)
    assert cluster.condition("Degraded")[0] == "False"


def test_an_image_that_cannot_be_had_is_told(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.progress(job, active=1)
    cluster.put_pod(job, "worker-0", 0, waiting_pod("ImagePullBackOff", "not found"))
    cluster.look()
    status, reason, message = cluster.condition("Degraded")
    assert (status, reason) == ("True", "ImageNotPulled")
    assert "trainer:1" in message
    assert "worker-images" in message


def test_missing_configuration_of_the_workers_is_told(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.progress(job, active=1)
    cluster.put_pod(
        job, "w", 0, waiting_pod("CreateContainerConfigError", 'configmap "disentanglement-store" not found')
    )
    cluster.look()
    assert cluster.condition("Degraded")[1] == "ConfigMissing"
    assert "disentanglement-store" in cluster.condition("Degraded")[2]


NO_DRIVER = "attempt ended\ntrainer: PyTorch cannot compute on cuda: ... (PyTorch 2.15.0; no NVIDIA driver is loaded)"


def test_pods_that_fail_and_are_tried_again_are_told_with_their_last_line(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.put_pod(job, "worker-0", 0, failed_pod(1, NO_DRIVER))
    cluster.progress(job, active=0, failed=1)
    cluster.look()
    status, reason, message = cluster.condition("Degraded")
    assert (status, reason) == ("True", "WorkersFail")
    assert message.startswith("pod worker-0 failed and is tried again: trainer: PyTorch cannot compute on cuda")
    assert "install the GPU driver" in message
    cluster.progress(job, active=1, ready=1, failed=1, completedIndexes="0")
    cluster.look()
    assert cluster.condition("Degraded")[0] == "False", "the next try went well"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (failed_pod(75), False),
        (failed_pod(137), False),
        (failed_pod(137, reason="OOMKilled"), True),
        (failed_pod(1, finished="2020-01-01T00:00:00Z"), False),
        ({"phase": "Failed", "reason": "Evicted"}, False),
    ],
    ids=["asked to try again", "killed", "out of memory", "long ago", "nobody saw its end"],
)
def test_pods_are_told_of_that_fail_by_themselves(cluster: TinyCluster, status: Object, told: bool) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.put_pod(job, "worker-0", 0, status)
    cluster.progress(job, active=0, failed=1)
    cluster.look()
    assert (cluster.condition("Degraded")[1] == "WorkersFail") is told


def test_pods_that_cannot_be_made_are_told(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    event = {
        "metadata": {"namespace": NAMESPACE, "name": "e"},
        "involvedObject": {"name": job["metadata"]["name"]},
        "reason": "FailedCreate",
        "message": "pods is forbidden: exceeded quota: gpus",
    }
    cluster.kubernetes.put(EVENTS.path(NAMESPACE, "e"), event)
    old = {"message": "old", "lastTimestamp": "2020-01-01T00:00:00Z"}
    cluster.kubernetes.put(
        EVENTS.path(NAMESPACE, "f"), {**event, **old, "metadata": {"namespace": NAMESPACE, "name": "f"}}
    )
    cluster.look()
    assert cluster.condition("Degraded")[1] == "PodsNotCreated"
    assert "exceeded quota" in cluster.condition("Degraded")[2]
    cluster.kubernetes.remove(EVENTS.path(NAMESPACE, "e"))
    cluster.look()
    assert cluster.condition("Degraded")[0] == "False", "what is left is old"


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


def test_a_job_that_the_api_server_refuses_is_told(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.kubernetes.faults.append(
        Fault("POST", "/jobs", 422, message="spec.template.spec.tolerations: Invalid value")
    )
    cluster.look()
    assert cluster.condition("Degraded")[:2] == ("True", "JobRefused")
    assert "tolerations" in cluster.condition("Degraded")[2]
    cluster.look()
    assert cluster.condition("Degraded")[0] == "False"
    assert len(cluster.jobs_of("train")) == 1


def test_workers_of_another_contract_version_are_told(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.end(job, reason="PodFailurePolicy")
    cluster.look(times=2)
    status, reason, message = cluster.condition("Degraded")
    assert (status, reason) == ("True", "OtherContract")
    assert "trainer:1" in message
    assert len(cluster.jobs_of("train")) == 1, "the same image would end the same way"


def test_a_plan_of_another_contract_version_is_told(cluster: TinyCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.apply()
    cluster.look()
    cluster.restart()
    monkeypatch.setitem(CONTRACTS, "train", 2)
    cluster.look()
    assert cluster.condition("Accepted")[:2] == ("False", "OtherContract")


@pytest.mark.parametrize("error", [Unavailable("no route to MinIO"), StoreRefused("wrong secret key")])
@pytest.mark.parametrize("is_new", [True, False], ids=["new study", "study under way"])
def test_a_store_that_is_down_is_told_and_waited_for(cluster: TinyCluster, error: Exception, is_new: bool) -> None:
    cluster.apply()
    if not is_new:
        cluster.look()
    store, cluster.store = cluster.store, DownStore(error)  # type: ignore[assignment]
    cluster.restart()
    with pytest.raises(type(error)):
        cluster.look()
    status, reason, message = cluster.condition("Degraded")
    assert (status, reason) == ("True", "StoreUnavailable")
    assert str(error) in message
    assert cluster.status()["counts"]["total"] == (0 if is_new else 3), "what was counted stays"
    cluster.store = store
    cluster.restart()
    cluster.look()
    assert cluster.condition("Degraded")[0] == "False"
    assert len(cluster.jobs_of("train")) == 1


def test_a_data_set_that_the_store_lacks_is_told(cluster: TinyCluster) -> None:
    cluster.store.delete(card_key("dummy_data", cluster.digest))
    cluster.apply()
    cluster.look()
    status, reason, message = cluster.condition("Accepted")
    assert (status, reason) == ("False", "DataSetMissing")
    assert "disentangle data import dummy_data" in message


def test_a_model_to_start_from_that_is_not_trained_is_told(cluster: TinyCluster) -> None:
    absent = f"dummy_data.beta_vae.{'a' * 52}"
    cluster.apply(inline={**INLINE, "model": {**STUDY["model"], "init_from": absent}})
    cluster.look()
    status, reason, message = cluster.condition("Accepted")
    assert (status, reason) == ("False", "InitialModelMissing")
    assert absent in message


def test_what_this_release_does_not_do_is_told(cluster: TinyCluster) -> None:
    options = [{"correlated_factors": {"factors": ["x", "y"], "strength": 1.0}}]
    model = {**STUDY["model"], "dataset": {"name": STUDY["model"]["dataset"], "options": options}}
    cluster.apply(inline={**INLINE, "model": model})
    cluster.look()
    assert cluster.condition("Accepted")[:2] == ("False", "NotBuiltYet")
    assert "dataset.options.correlated_factors" in cluster.condition("Accepted")[2]


def test_a_spec_that_cannot_be_is_told_with_its_field(cluster: TinyCluster) -> None:
    cluster.apply(inline={**INLINE, "grid": {"sweep": {"random_seed": [-1]}}})
    cluster.look()
    status, reason, message = cluster.condition("Accepted")
    assert (status, reason) == ("False", "InvalidSpec")
    assert "random_seed" in message


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
