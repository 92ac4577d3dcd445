"""Why a study does not go on: each thing that a cluster says becomes a sentence with what to do."""

from __future__ import annotations

from typing import Any

import pytest

from disentanglement.cluster.explanation import Reason, explain
from disentanglement.cluster.inspection import Seen, models_of
from disentanglement.cluster.names import CELL_LABEL, MODELS_ANNOTATION, PACK_ANNOTATION, STEP_LABEL, STUDY_LABEL

Object = dict[str, Any]

LABELS = {STUDY_LABEL: "tiny", STEP_LABEL: "train", CELL_LABEL: "dummy_data.beta_vae"}
UNSCHEDULABLE = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."


def study(status: Object | None = None, **spec: Any) -> Object:
    """A study that the controller has looked at."""
    known = {"observedGeneration": 3, "phase": "Running", "counts": {"total": 4, "trained": 2, "evaluated": 1}}
    metadata = {"name": "tiny", "namespace": "lab", "generation": 3}
    return {"metadata": metadata, "spec": spec, "status": {**known, **(status or {})}}


def job(name: str = "tiny-train-0", models: str = "10-13", pack: int = 1, **status: Any) -> Object:
    annotations = {MODELS_ANNOTATION: models, PACK_ANNOTATION: str(pack)}
    return {"metadata": {"name": name, "labels": LABELS, "annotations": annotations}, "spec": {}, "status": status}


def pod(index: int, phase: str, *, job: str = "tiny-train-0", name: str = "", **status: Any) -> Object:
    labels = {**LABELS, "batch.kubernetes.io/job-name": job}
    annotations = {"batch.kubernetes.io/job-completion-index": str(index)}
    metadata = {"name": name or f"{job}-{index}", "labels": labels, "annotations": annotations}
    return {"metadata": metadata, "spec": {"nodeName": "node-1"}, "status": {"phase": phase, **status}}


def terminated(code: int, message: str = "", reason: str = "Error", finished: str = "2026-01-01T00:00:00Z") -> Object:
    ended = {"exitCode": code, "reason": reason, "message": message, "finishedAt": finished}
    return {"containerStatuses": [{"name": "worker", "state": {"terminated": ended}}]}


def waiting(reason: str, message: str = "", image: str = "an/image:1") -> Object:
    return {"containerStatuses": [{"image": image, "state": {"waiting": {"reason": reason, "message": message}}}]}


def unschedulable(message: str) -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"conditions": [condition]}


def event(about: str, reason: str, message: str) -> Object:
    return {"metadata": {}, "involvedObject": {"name": about}, "reason": reason, "message": message}


def only(reasons: list[Reason], kind: str) -> Reason:
    (found,) = [reason for reason in reasons if reason.kind == kind]
    return found


def test_a_study_that_goes_on_has_one_line_with_its_counts() -> None:
    (reason,) = explain(Seen(study({"running": 2})))
    assert reason.what == "tiny is Running: 2 of 4 models trained, 1 evaluated, 0 failed; 2 pods run"
    assert reason.todo == ""


def test_a_study_that_nobody_has_looked_at_points_at_the_controller() -> None:
    new = study()
    del new["status"]
    (reason,) = explain(Seen(new))
    assert "has not looked at this version of tiny" in reason.what
    assert "logs deployment/controller" in reason.todo
    assert "lab" in reason.todo


def test_a_paused_study_says_how_to_let_it_go_on() -> None:
    (reason,) = explain(Seen(study({"phase": "Paused"}, paused=True)))
    assert "it is paused" in reason.what
    assert '"paused":false' in reason.todo


def test_a_study_that_is_deleted_says_so() -> None:
    going = study()
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert "being deleted" in explain(Seen(going))[0].what


def test_conditions_that_are_bad_are_told_and_good_ones_are_not() -> None:
    conditions = [
        {"type": "Accepted", "status": "False", "reason": "UnknownPool", "message": "no pool a100; known: cpu, gpu"},
        {"type": "Degraded", "status": "True", "reason": "ImageNotPulled", "message": "no such image"},
        {"type": "Progressing", "status": "False", "reason": "X", "message": "y"},
        {"type": "Degraded", "status": "True", "reason": "UnknownPool", "message": "no pool a100; known: cpu, gpu"},
    ]
    told = [reason.what for reason in explain(Seen(study({"conditions": conditions}))) if reason.kind == "condition"]
    assert told == [
        "Accepted is False (UnknownPool): no pool a100; known: cpu, gpu",
        "Degraded is True (ImageNotPulled): no such image",
    ]


@pytest.mark.parametrize(
    ("status", "what", "todo"),
    [
        (unschedulable(UNSCHEDULABLE), "wait for a node: 0/2 nodes", "kubectl get nodes"),
        (unschedulable("0/2 nodes are available: 2 Insufficient cpu."), "Insufficient cpu", "nodes are full"),
        (
            unschedulable("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."),
            "didn't match",
            "nodeSelector",
        ),
        (
            unschedulable("0/1 nodes are available: 1 node(s) had untolerated taint {spot: true}."),
            "taint",
            "toleration",
        ),
        (waiting("ImagePullBackOff", "not found", image="lab/trainer:nope"), "lab/trainer:nope", "worker-images"),
        (waiting("CreateContainerConfigError", 'secret "x" not found'), 'secret "x" not found', "Secret"),
    ],
)
def test_a_pod_that_does_not_start_says_why_and_what_to_do(status: Object, what: str, todo: str) -> None:
    reason = only(explain(Seen(study(), jobs=[job()], pods=[pod(0, "Pending", **status)])), "pod")
    assert what in reason.what
    assert todo in reason.todo


def test_pods_that_wait_for_the_same_are_told_together() -> None:
    pods = [pod(index, "Pending", **unschedulable(UNSCHEDULABLE)) for index in range(3)]
    assert only(explain(Seen(study(), jobs=[job()], pods=pods)), "pod").what.startswith("3 pods (train dummy_data")


def test_a_failing_index_is_told_by_the_number_of_its_model_and_its_last_error() -> None:
    pods = [
        pod(2, "Failed", name="first", **terminated(1, "old news", finished="2026-01-01T00:00:00Z")),
        pod(2, "Failed", name="second", **terminated(75, "line\nthe store is away", finished="2026-01-01T00:01:00Z")),
    ]
    reason = only(explain(Seen(study(), jobs=[job()], pods=pods)), "model")
    assert reason.what.startswith("train of model 12 is tried again")
    assert "exit code 75, asked to try again" in reason.what
    assert reason.what.endswith("the store is away")


@pytest.mark.parametrize("settled", ["completedIndexes", "failedIndexes"])
def test_an_index_that_is_settled_is_not_tried_again(settled: str) -> None:
    done = job()
    done["status"][settled] = "0,2-3"
    seen = Seen(study(), jobs=[done], pods=[pod(2, "Failed", **terminated(1))])
    assert [reason.kind for reason in explain(seen)] == ["study"]


def test_want_of_memory_and_disruptions_have_their_own_words() -> None:
    disrupted = {**terminated(137), "conditions": [{"type": "DisruptionTarget", "status": "True"}]}
    pods = [pod(0, "Failed", **terminated(137, reason="OOMKilled")), pod(1, "Failed", **disrupted)]
    told = {reason.what: reason.todo for reason in explain(Seen(study(), jobs=[job()], pods=pods))[1:]}
    assert any("out of memory" in what and "memory limit" in todo for what, todo in told.items())
    assert any("its node took it away" in what and "checkpoint" in todo for what, todo in told.items())


def test_a_model_that_failed_for_good_says_how_to_read_its_log_and_how_to_retry() -> None:
    failure = {"step": "train", "model": 42, "reason": "NON_FINITE_LOSS", "message": "the loss is not finite at step 7"}
    reason = only(explain(Seen(study({"failures": [failure]}))), "model")
    assert reason.what == "train of model 42 failed for good: NON_FINITE_LOSS: the loss is not finite at step 7"
    assert "disentangle study logs tiny --model 42" in reason.todo
    assert "disentangle study retry tiny" in reason.todo


def test_a_job_that_failed_as_a_whole_is_told_but_not_one_with_failed_indexes() -> None:
    def failed(reason: str) -> Object:
        return job(f"job-{reason}", conditions=[{"type": "Failed", "status": "True", "reason": reason, "message": "m"}])

    jobs = [failed("PodFailurePolicy"), failed("FailedIndexes")]
    assert "PodFailurePolicy: m" in only(explain(Seen(study(), jobs=jobs)), "job").what


def test_a_quota_that_keeps_pods_from_being_made_is_told_once() -> None:
    message = 'Error creating: pods "x-{}" is forbidden: exceeded quota: gpus, requested: 1, used: 8, limited: 8'
    events = [event("tiny-train-0", "FailedCreate", message.format(n)) for n in range(3)]
    reason = only(explain(Seen(study(), jobs=[job()], events=events)), "job")
    assert reason.what == "pods can't be made: exceeded quota: gpus, requested: 1, used: 8, limited: 8"
    assert "ResourceQuota" in reason.todo


def test_a_volume_that_is_missing_is_told() -> None:
    events = [event("tiny-train-0-1", "FailedMount", 'configmap "x" not found')]
    assert 'configmap "x" not found' in only(explain(Seen(study(), jobs=[job()], events=events)), "pod").what


def test_a_pod_on_a_lost_node_says_how_to_taint_it() -> None:
    lost = pod(0, "Running", conditions=[{"type": "Ready", "status": "False"}])
    lost["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    reason = only(explain(Seen(study(), jobs=[job()], pods=[lost])), "pod")
    assert "kubectl taint node node-1 node.kubernetes.io/out-of-service" in reason.todo


def test_a_workload_that_waits_has_its_place_in_the_queue() -> None:
    told = {"type": "QuotaReserved", "status": "False", "message": "insufficient unused quota for gpu"}
    workload = {
        "metadata": {"name": "job-tiny-0"},
        "spec": {"queueName": "lab"},
        "status": {"conditions": [told]},
    }
    reason = only(explain(Seen(study(), workloads=[workload], positions={"job-tiny-0": 4})), "queue")
    assert reason.what == "workload job-tiny-0 waits in the queue lab, 4 before it: insufficient unused quota for gpu"


def test_a_workload_that_was_admitted_is_not_waiting() -> None:
    admitted = {"type": "Admitted", "status": "True"}
    workload = {"metadata": {"name": "job-tiny-0"}, "status": {"conditions": [admitted]}}
    assert [reason.kind for reason in explain(Seen(study(), workloads=[workload]))] == ["study"]


def test_what_may_not_be_read_is_said() -> None:
    assert "cannot list pods" in only(explain(Seen(study(), unread=["cannot list pods"])), "rights").what


@pytest.mark.parametrize(
    ("models", "pack", "index", "numbers"),
    [("0-9", 1, 3, (3,)), ("0-9", 4, 2, (8, 9)), ("5,7,20-21", 2, 1, (20, 21)), ("0-3", 1, 9, ())],
)
def test_the_models_of_an_index_are_those_of_its_pack(
    models: str, pack: int, index: int, numbers: tuple[int, ...]
) -> None:
    assert models_of(job(models=models, pack=pack), index) == numbers
