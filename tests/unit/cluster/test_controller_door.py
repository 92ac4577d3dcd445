"""The door to the Kubernetes API, before a tiny server that can fail on demand (the real one cannot be asked to).
What a real API server answers is tested in tests/integration/cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kubernetes import client
from tiny_kubernetes import HANG, RESET, Fault, TinyKubernetes, tiny_kubernetes

from disentanglement.cluster.api_errors import OutOfDate, QuotaExceeded
from disentanglement.cluster.kinds import JOBS, PODS, STUDIES, ObjectName
from disentanglement.cluster.kubernetes_jobs import KubernetesApi, connect
from disentanglement.errors import (
    ArtifactConflict,
    ArtifactNotFound,
    DeadlineExceeded,
    PermissionDenied,
    ResourceExhausted,
    SpecError,
    Unauthenticated,
    Unavailable,
)

A_JOB = ObjectName("lab", "a")


@pytest.fixture
def cluster() -> Iterator[TinyKubernetes]:
    with tiny_kubernetes() as cluster:
        yield cluster


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def api(cluster: TinyKubernetes, pauses: list[float]) -> KubernetesApi:
    return api_of(cluster, pauses)


def api_of(cluster: TinyKubernetes, pauses: list[float], read_s: float = 5.0) -> KubernetesApi:
    configuration = client.Configuration()
    configuration.host = cluster.url
    return KubernetesApi(configuration, namespace="lab", pause=pauses.append, read_s=read_s)


def job(name: str, **labels: str) -> dict[str, object]:
    return {"metadata": {"namespace": "lab", "name": name, "labels": labels}, "spec": {}}


def test_a_listing_longer_than_a_page_is_whole(cluster: TinyKubernetes, api: KubernetesApi) -> None:
    for number in range(1101):
        cluster.put(JOBS.path("lab", f"job-{number:04}"), job(f"job-{number:04}"))
    assert len(api.list(JOBS, "lab").items) == 1101
    assert api.requests["GET", "jobs"] == 3


def test_the_first_few_are_read_in_one_page(cluster: TinyKubernetes, api: KubernetesApi) -> None:
    for number in range(9):
        cluster.put(JOBS.path("lab", f"job-{number}"), job(f"job-{number}"))
    assert [item["metadata"]["name"] for item in api.list(JOBS, "lab", most=2).items] == ["job-0", "job-1"]
    assert api.num_requests() == 1


def test_a_listing_chooses_by_label_and_namespace(cluster: TinyKubernetes, api: KubernetesApi) -> None:
    cluster.put(JOBS.path("lab", "a"), job("a", colour="red"))
    cluster.put(JOBS.path("lab", "b"), job("b", colour="blue"))
    cluster.put(JOBS.path("other", "c"), {"metadata": {"namespace": "other", "name": "c", "labels": {"colour": "red"}}})
    assert [item["metadata"]["name"] for item in api.list(JOBS, "lab", labels="colour=red").items] == ["a"]
    assert [item["metadata"]["name"] for item in api.list(JOBS, labels="colour=red").items] == ["a", "c"]


def test_a_listing_whose_pages_are_out_of_date_begins_anew(cluster: TinyKubernetes, api: KubernetesApi) -> None:
    cluster.put(JOBS.path("lab", "a"), job("a"))
    cluster.faults.append(Fault("GET", "jobs", 410))
    assert len(api.list(JOBS, "lab").items) == 1


def test_a_watch_goes_on_where_the_listing_was(cluster: TinyKubernetes, api: KubernetesApi) -> None:
    cluster.put(JOBS.path("lab", "a"), job("a"))
    listing = api.list(JOBS, "lab")
    cluster.put(JOBS.path("lab", "b"), job("b"))
    cluster.remove(JOBS.path("lab", "a"))
    events = api.watch(JOBS, "lab", listing.version, timeout_s=1)
    told = [(event.type, event.item["metadata"]["name"]) for event in events]
    assert told == [("ADDED", "b"), ("DELETED", "a")]


def test_a_watch_from_a_forgotten_moment_is_out_of_date(cluster: TinyKubernetes, api: KubernetesApi) -> None:
    listing = api.list(JOBS, "lab")
    cluster.put(JOBS.path("lab", "a"), job("a"))
    cluster.forget_history()
    with pytest.raises(OutOfDate):
        list(api.watch(JOBS, "lab", listing.version, timeout_s=1))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, Unauthenticated),
        (403, PermissionDenied),
        (404, ArtifactNotFound),
        (409, ArtifactConflict),
        (422, SpecError),
    ],
)
def test_a_refusal_has_its_type_and_the_servers_words(
    cluster: TinyKubernetes, api: KubernetesApi, pauses: list[float], status: int, error: type[Exception]
) -> None:
    cluster.faults.append(Fault("POST", "jobs", status, message="spec.template: Required value"))
    with pytest.raises(error, match="Required value"):
        api.create(JOBS, job("a"))
    assert pauses == [], "what is refused for good is not asked again"


def test_a_full_quota_is_told_at_once(cluster: TinyKubernetes, api: KubernetesApi, pauses: list[float]) -> None:
    cluster.faults.append(Fault("POST", "jobs", 403, message='jobs.batch "a" is forbidden: exceeded quota: jobs'))
    with pytest.raises(QuotaExceeded):
        api.create(JOBS, job("a"))
    assert pauses == []


def test_a_busy_server_is_asked_again_when_it_says(
    cluster: TinyKubernetes, api: KubernetesApi, pauses: list[float]
) -> None:
    cluster.faults.append(Fault("POST", "jobs", 429, times=2, headers={"Retry-After": "7"}))
    api.create(JOBS, job("a"))
    assert pauses == [7, 7]


def test_a_server_that_stays_busy_is_an_error(cluster: TinyKubernetes, api: KubernetesApi) -> None:
    cluster.faults.append(Fault("GET", "jobs", 429, times=99))
    with pytest.raises(ResourceExhausted):
        api.list(JOBS, "lab")


def test_a_failing_server_is_asked_again_with_longer_and_longer_pauses(
    cluster: TinyKubernetes, api: KubernetesApi, pauses: list[float]
) -> None:
    cluster.faults.append(Fault("GET", "jobs", 500, times=4))
    api.list(JOBS, "lab")
    assert len(pauses) == 4
    assert pauses[3] > pauses[0]


def test_a_server_that_hangs_up_is_an_error(cluster: TinyKubernetes) -> None:
    cluster.faults.append(Fault("GET", "jobs", RESET, times=99))
    with pytest.raises(Unavailable):
        api_of(cluster, []).list(JOBS, "lab")


def test_a_server_that_hangs_is_given_up_after_the_deadline(cluster: TinyKubernetes) -> None:
    pauses: list[float] = []
    api = api_of(cluster, pauses, read_s=0.05)
    cluster.faults.append(Fault("GET", "jobs", HANG, times=99))
    with pytest.raises(DeadlineExceeded):
        api.list(JOBS, "lab")
    assert len(pauses) == 4


def test_a_creation_whose_answer_was_lost_is_found_on_the_second_try(
    cluster: TinyKubernetes, api: KubernetesApi
) -> None:
    cluster.faults.append(Fault("POST", "jobs", 500, after=True))
    with pytest.raises(ArtifactConflict):  # the caller, whose names are deterministic, takes that for success
        api.create(JOBS, job("a"))
    assert len(cluster.below("/jobs/")) == 1


def test_status_is_written_apart_from_the_spec(cluster: TinyKubernetes, api: KubernetesApi) -> None:
    cluster.put(STUDIES.path("lab", "s"), {"metadata": {"namespace": "lab", "name": "s"}, "spec": {"study": "test"}})
    api.merge(STUDIES, ObjectName("lab", "s"), {"status": {"phase": "Running"}, "spec": {}}, subresource="status")
    study = api.get(STUDIES, ObjectName("lab", "s"))
    assert (study["spec"], study["status"]) == ({"study": "test"}, {"phase": "Running"})


def test_an_object_of_the_same_name_is_not_deleted_for_another(cluster: TinyKubernetes, api: KubernetesApi) -> None:
    cluster.put(JOBS.path("lab", "a"), job("a"))
    with pytest.raises(ArtifactConflict):
        api.delete(JOBS, A_JOB, uid="that-of-an-earlier-one")
    api.delete(JOBS, A_JOB)
    api.delete(JOBS, A_JOB)
    assert api.find(JOBS, A_JOB) is None


def test_deleting_takes_along_what_is_owned(cluster: TinyKubernetes, api: KubernetesApi) -> None:
    api.delete(JOBS, A_JOB)
    assert cluster.requests[-1].body["propagationPolicy"] == "Background"


def test_a_replacement_of_an_older_version_is_a_conflict(cluster: TinyKubernetes, api: KubernetesApi) -> None:
    cluster.put(JOBS.path("lab", "a"), job("a"))
    standing = api.get(JOBS, A_JOB)
    api.replace(JOBS, standing)
    with pytest.raises(ArtifactConflict):
        api.replace(JOBS, standing)


def test_the_end_of_a_log_is_text(cluster: TinyKubernetes, api: KubernetesApi) -> None:
    cluster.logs[PODS.path("lab", "p", "log")] = "step 7\nout of memory\n"
    assert api.pod_log(ObjectName("lab", "p"), container="worker", tail_lines=9) == "step 7\nout of memory\n"
    assert cluster.requests[-1].query["tailLines"] == "9"


def test_kueue_is_there_when_its_group_is_served(cluster: TinyKubernetes, api: KubernetesApi) -> None:
    assert not api.has_group("kueue.x-k8s.io")
    cluster.groups.append("kueue.x-k8s.io")
    assert api.has_group("kueue.x-k8s.io")


def test_requests_are_counted_by_method_and_kind(api: KubernetesApi) -> None:
    api.create(JOBS, job("a"))
    api.list(JOBS, "lab")
    api.hurried(1.0).list(PODS, "lab")
    assert dict(api.requests) == {("POST", "jobs"): 1, ("GET", "jobs"): 1, ("GET", "pods"): 1}
    assert api.num_requests() == 3


def test_without_a_cluster_the_error_says_what_is_wanted(tmp_path: object) -> None:
    with pytest.raises(SpecError, match="KUBECONFIG"):
        connect({"KUBECONFIG": f"{tmp_path}/none"})
