"""The real controller before a real API server. Pods are kwok's; what their workers commit, the test writer does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kwok.cluster import Cluster
from kwok.controller_process import USER
from kwok.outcomes import Fate

from disentanglement.cluster.kinds import STUDIES, Kind, Object, ObjectName
from disentanglement.cluster.names import STEP_LABEL, SYSTEM_NAMESPACE
from disentanglement.specs import Step

MakeSpec = Callable[..., Object]


def steps_of(jobs: list[Object]) -> list[str]:
    return sorted(job["metadata"]["labels"][STEP_LABEL] for job in jobs)


def test_a_study_goes_through_jobs_to_its_end(cluster: Cluster, spec: MakeSpec) -> None:
    with cluster.finishing("small") as writer:
        cluster.apply("small", spec(models=3))
        status = cluster.wait_for_phase("small", "Succeeded")
    assert status["counts"] == {"total": 3, "trained": 3, "evaluated": 3, "failed": 0}
    assert steps_of(cluster.jobs("small")) == ["evaluate", "train"]
    assert writer.counts["committed"] == 3 * 3  # training, representation, score
    assert not writer.counts["premature"]


def test_a_paused_study_has_no_pods_until_it_goes_on(cluster: Cluster, spec: MakeSpec) -> None:
    cluster.apply("paused", spec(models=2))
    cluster.wait("two pods run", lambda: len(cluster.running_pods("paused")) == 2)
    cluster.change("paused", paused=True)
    cluster.wait_for_phase("paused", "Paused")
    cluster.wait("no pod runs", lambda: not cluster.running_pods("paused"))
    with cluster.finishing("paused"):
        cluster.change("paused", paused=False)
        cluster.wait_for_phase("paused", "Succeeded")


def test_parallelism_is_changed_while_jobs_run(cluster: Cluster, spec: MakeSpec) -> None:
    cluster.apply("wider", spec(models=4, parallelism=1))
    cluster.wait("one pod runs", lambda: len(cluster.running_pods("wider")) == 1)
    cluster.change("wider", parallelism=3)
    cluster.wait("three pods run", lambda: len(cluster.running_pods("wider")) == 3)
    with cluster.finishing("wider"):
        cluster.wait_for_phase("wider", "Succeeded")


@pytest.mark.timeout(240)
def test_a_deleted_study_leaves_no_jobs(cluster: Cluster, spec: MakeSpec) -> None:
    cluster.apply("deleted", spec(models=2))
    cluster.wait("pods run", lambda: len(cluster.running_pods("deleted")) == 2)
    cluster.api.delete(STUDIES, ObjectName(SYSTEM_NAMESPACE, "deleted"))
    # Kubernetes' garbage collector learns of a new kind of owner within half a minute or so.
    cluster.wait("no Jobs", lambda: not cluster.jobs("deleted") and not cluster.running_pods("deleted"), within_s=120)


def test_a_metric_that_is_added_is_all_that_is_computed(cluster: Cluster, spec: MakeSpec) -> None:
    wanted = spec(models=2)
    with cluster.finishing("more"):
        cluster.apply("more", wanted)
        cluster.wait_for_phase("more", "Succeeded")
    with cluster.finishing("more") as writer:
        cluster.change("more", metrics=[*wanted["metrics"], "sap_score: {num_train: 100, num_test: 50}"])
        cluster.wait("two more scores", lambda: writer.counts["committed"] == 2)
        status = cluster.wait_for_phase("more", "Succeeded")
    assert status["counts"]["evaluated"] == 2
    assert steps_of(cluster.jobs("more")) == ["evaluate", "evaluate", "train"]


def test_a_metric_that_cannot_be_computed_stops_no_study_under_way(cluster: Cluster, spec: MakeSpec) -> None:
    wanted = spec(models=2)
    cluster.apply("partly", wanted)
    cluster.wait("two pods run", lambda: len(cluster.running_pods("partly")) == 2)
    cluster.change("partly", metrics=[*wanted["metrics"], "plugin: {name: 'nowhere:Metric'}"])

    def refusal() -> str:
        found = cluster.api.get(STUDIES, ObjectName(SYSTEM_NAMESPACE, "partly"))["status"]
        told = {each["type"]: each for each in found["conditions"]}["Accepted"]
        return told["message"] if told["status"] == "False" and found["phase"] == "Running" else ""

    cluster.wait("the metric is refused, the rest runs", lambda: "delete the Study and apply it again" in refusal())
    assert len(cluster.running_pods("partly")) == 2
    with cluster.finishing("partly"):
        status = cluster.wait_for_phase("partly", "Invalid")
    assert status["counts"] == {"total": 2, "trained": 2, "evaluated": 2, "failed": 0}


def test_failed_models_are_tried_again_when_asked(cluster: Cluster, spec: MakeSpec) -> None:
    def first_fails(step: Step, number: int) -> Fate:
        return Fate.REFUSED if (step, number) == ("train", 0) else Fate.COMMITTED

    with cluster.finishing("again", choose=first_fails):
        cluster.apply("again", spec(models=2))
        status = cluster.wait_for_phase("again", "Failed")
    assert status["counts"] == {"total": 2, "trained": 1, "evaluated": 1, "failed": 1}
    assert [(failure["step"], failure["model"]) for failure in status["failures"]] == [("train", 0)]
    with cluster.finishing("again"):
        cluster.change("again", retryGeneration=1)
        status = cluster.wait_for_phase("again", "Succeeded")
    assert status["counts"] == {"total": 2, "trained": 2, "evaluated": 2, "failed": 0}


def test_a_controller_that_is_killed_goes_on_where_it_was(cluster: Cluster, spec: MakeSpec) -> None:
    cluster.apply("killed", spec(models=4))
    cluster.wait("pods run", lambda: len(cluster.running_pods("killed")) == 4)
    cluster.controller.kill()
    with cluster.finishing("killed") as writer:
        cluster.wait("all are trained", lambda: cluster.status("killed")["counts"]["trained"] == 4)
        cluster.controller.kill()
        cluster.wait_for_phase("killed", "Succeeded")
    assert writer.counts["committed"] == 4 * 3
    assert not writer.counts["idle"]


NEEDED = [
    ("list", "disentanglement.dev", "studies", ""),
    ("patch", "disentanglement.dev", "studies", "status"),
    ("create", "batch", "jobs", ""),
    ("delete", "batch", "jobs", ""),
    ("create", "coordination.k8s.io", "leases", ""),
]
FORBIDDEN = [
    ("get", "", "secrets", ""),
    ("create", "", "pods", ""),
    ("create", "", "pods", "exec"),
    ("create", "rbac.authorization.k8s.io", "rolebindings", ""),
    ("delete", "", "nodes", ""),
]


@pytest.mark.parametrize(
    ("right", "wanted"), [*((right, True) for right in NEEDED), *((right, False) for right in FORBIDDEN)]
)
def test_the_controller_may_do_its_work_and_nothing_else(
    cluster: Cluster, right: tuple[str, str, str, str], wanted: bool
) -> None:
    verb, group, resource, subresource = right
    asked = {"namespace": SYSTEM_NAMESPACE, "verb": verb, "group": group, "resource": resource}
    review: Object = {
        "metadata": {},
        "spec": {"user": USER, "resourceAttributes": asked | {"subresource": subresource}},
    }
    answer = cluster.api.create(
        Kind("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview"), review
    )
    assert answer["status"]["allowed"] is wanted
