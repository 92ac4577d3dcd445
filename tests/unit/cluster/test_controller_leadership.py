"""One controller leads: the Lease before a tiny API server, so that its answers can be made to fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from kubernetes import client
from tiny_kubernetes import Fault, TinyKubernetes, tiny_kubernetes

from disentanglement.cluster.kinds import LEASES
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.cluster.leadership import LEASE_NAME, Leadership

LEASE = LEASES.path("lab", LEASE_NAME)
LEASE_S = 0.5


@pytest.fixture
def cluster() -> Iterator[TinyKubernetes]:
    with tiny_kubernetes() as cluster:
        yield cluster


def leadership(cluster: TinyKubernetes, identity: str, lease_s: float = LEASE_S) -> Leadership:
    configuration = client.Configuration()
    configuration.host = cluster.url
    return Leadership(KubernetesApi(configuration, namespace="lab"), "lab", identity, lease_s=lease_s)


def lead(who: Leadership, stop: threading.Event, leading: threading.Event) -> None:
    if who.acquire(stop):
        leading.set()


def holder(cluster: TinyKubernetes) -> str:
    [lease] = cluster.below(LEASE)
    return str(lease["spec"]["holderIdentity"])


def test_the_first_one_leads(cluster: TinyKubernetes) -> None:
    assert leadership(cluster, "one").acquire(threading.Event())
    assert holder(cluster) == "one"


def test_a_second_one_waits_until_the_first_lets_go(cluster: TinyKubernetes) -> None:
    stop, leading = threading.Event(), threading.Event()
    one, two = leadership(cluster, "one", lease_s=60), leadership(cluster, "two", lease_s=0.5)
    one.acquire(stop)
    waiting = threading.Thread(target=lead, args=(two, stop, leading))
    waiting.start()
    assert not leading.wait(0.3)
    one.release()
    assert leading.wait(10)
    assert holder(cluster) == "two"


def test_a_leader_that_died_is_followed_when_its_lease_has_run_out(cluster: TinyKubernetes) -> None:
    leadership(cluster, "killed", lease_s=1).acquire(threading.Event())
    assert leadership(cluster, "next").acquire(threading.Event())
    assert holder(cluster) == "next"


def test_a_leader_that_is_alive_is_not_followed(cluster: TinyKubernetes) -> None:
    stop, lost, leading = threading.Event(), threading.Event(), threading.Event()
    one = leadership(cluster, "one", lease_s=1)
    one.acquire(stop)
    one.keep(stop, lost.set)
    waiting = threading.Thread(target=lead, args=(leadership(cluster, "two", lease_s=1), stop, leading))
    waiting.start()
    assert not leading.wait(2)
    assert not lost.is_set()
    stop.set()
    waiting.join(10)


def test_a_container_that_starts_again_goes_on_leading(cluster: TinyKubernetes) -> None:
    leadership(cluster, "pod-1", lease_s=3600).acquire(threading.Event())
    assert leadership(cluster, "pod-1", lease_s=3600).acquire(threading.Event())


def test_a_leader_that_cannot_renew_in_time_is_told(cluster: TinyKubernetes) -> None:
    stop, lost = threading.Event(), threading.Event()
    one = leadership(cluster, "one")
    one.acquire(stop)
    cluster.faults.append(Fault("GET", "leases", 503, times=1000))
    one.keep(stop, lost.set)
    assert lost.wait(10)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429])
def test_a_leader_that_is_refused_its_lease_is_told(cluster: TinyKubernetes, status: int) -> None:
    stop, lost = threading.Event(), threading.Event()
    one = leadership(cluster, "one")
    one.acquire(stop)
    cluster.faults.append(Fault("PUT", "leases", status, times=1000))
    one.keep(stop, lost.set)
    assert lost.wait(10)


def test_a_leader_that_does_not_understand_its_lease_is_told(cluster: TinyKubernetes) -> None:
    stop, lost = threading.Event(), threading.Event()
    one = leadership(cluster, "one", lease_s=1)
    one.acquire(stop)
    [lease] = cluster.below(LEASE)
    cluster.put(LEASE, {"metadata": lease["metadata"]})
    one.keep(stop, lost.set)
    assert lost.wait(10)


def test_who_is_refused_the_lease_at_first_leads_when_it_may(cluster: TinyKubernetes) -> None:
    cluster.faults.append(Fault("GET", "leases", 401, times=2))
    assert leadership(cluster, "one").acquire(threading.Event())


def test_a_leader_survives_a_request_that_fails(cluster: TinyKubernetes) -> None:
    stop, lost = threading.Event(), threading.Event()
    one = leadership(cluster, "one", lease_s=5)
    one.acquire(stop)
    cluster.faults.append(Fault("PUT", "leases", 503, times=1))
    one.keep(stop, lost.set)
    assert not lost.wait(2.5), "one of the tries failed, the next one did not"
    stop.set()


def test_a_leader_whose_lease_was_taken_is_told(cluster: TinyKubernetes) -> None:
    stop, lost = threading.Event(), threading.Event()
    one = leadership(cluster, "one", lease_s=5)
    one.acquire(stop)
    [lease] = cluster.below(LEASE)
    lease["spec"]["holderIdentity"] = "usurper"
    cluster.put(LEASE, lease)
    one.keep(stop, lost.set)
    assert lost.wait(10)


def test_who_is_asked_to_stop_waits_no_longer(cluster: TinyKubernetes) -> None:
    leadership(cluster, "one", lease_s=3600).acquire(threading.Event())
    stop = threading.Event()
    led: list[bool] = []
    waiting = threading.Thread(target=lambda: led.append(leadership(cluster, "two", lease_s=3600).acquire(stop)))
    waiting.start()
    stop.set()
    waiting.join(10)
    assert led == [False]


def test_a_lease_that_is_somebody_elses_is_not_let_go(cluster: TinyKubernetes) -> None:
    leadership(cluster, "one", lease_s=3600).acquire(threading.Event())
    leadership(cluster, "two").release()
    assert holder(cluster) == "one"
