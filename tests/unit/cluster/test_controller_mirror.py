"""The mirror of a cluster's objects, before a tiny API server whose history can be lost."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from kubernetes import client
from tiny_kubernetes import Fault, TinyKubernetes, tiny_kubernetes

from disentanglement.cluster.kinds import JOBS, Object, ObjectName
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.cluster.mirror import Mirror


@pytest.fixture
def cluster() -> Iterator[TinyKubernetes]:
    with tiny_kubernetes() as cluster:
        yield cluster


@contextmanager
def running(cluster: TinyKubernetes, heard: Callable[[Object], None], relist_s: float = 60.0) -> Iterator[Mirror]:
    configuration = client.Configuration()
    configuration.host = cluster.url
    api = KubernetesApi(configuration, namespace="lab", pause=lambda _: None)
    mirror = Mirror(api, JOBS, "lab", labels="part=ours", heard=heard, relist_s=relist_s)
    stop = threading.Event()
    thread = threading.Thread(target=mirror.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        stop.set()


class Heard:
    """Names of objects in the order in which they were heard of."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._more = threading.Condition()

    def __call__(self, item: Object) -> None:
        with self._more:
            self.names.append(item["metadata"]["name"])
            self._more.notify_all()

    def wait_for(self, *names: str) -> None:
        with self._more:
            assert self._more.wait_for(lambda: self.names == list(names), 15), self.names


def put(cluster: TinyKubernetes, name: str, *, part: str = "ours", **status: int) -> None:
    cluster.put(
        JOBS.path("lab", name),
        {"metadata": {"namespace": "lab", "name": name, "labels": {"part": part}}, "status": status},
    )


def names(mirror: Mirror) -> list[str]:
    return [item["metadata"]["name"] for item in mirror.items()]


def test_what_stands_and_what_changes_is_heard(cluster: TinyKubernetes) -> None:
    put(cluster, "a")
    heard = Heard()
    with running(cluster, heard) as mirror:
        heard.wait_for("a")
        put(cluster, "b")
        put(cluster, "not-ours", part="theirs")
        put(cluster, "a", succeeded=1)
        heard.wait_for("a", "b", "a")
        cluster.remove(JOBS.path("lab", "b"))
        heard.wait_for("a", "b", "a", "b")
        assert names(mirror) == ["a"]
        assert mirror.get(ObjectName("lab", "a")) is not None


def test_what_was_missed_while_history_was_lost_is_heard_from_the_next_listing(cluster: TinyKubernetes) -> None:
    put(cluster, "a")
    put(cluster, "b")
    heard = Heard()
    with running(cluster, heard) as mirror:
        heard.wait_for("a", "b")
        with cluster.changed:  # nothing is sent while this is held
            put(cluster, "c")
            cluster.remove(JOBS.path("lab", "a"))
            cluster.history.clear()
            cluster.forget_history()
        heard.wait_for("a", "b", "c", "a")
        assert names(mirror) == ["b", "c"]


def test_everything_is_listed_again_every_so_often(cluster: TinyKubernetes) -> None:
    heard = Heard()
    with running(cluster, heard, relist_s=1.0):
        deadline = time.monotonic() + 15
        while cluster.count("GET", "jobs") < 6 and time.monotonic() < deadline:
            threading.Event().wait(0.05)
    listings = [request for request in cluster.requests if not request.query.get("watch")]
    assert len(listings) >= 3
    assert heard.names == [], "a listing that brings nothing new is not news"


def test_a_server_that_fails_is_asked_until_it_answers(cluster: TinyKubernetes) -> None:
    cluster.faults.append(Fault("GET", "jobs", 503, times=6))
    put(cluster, "a")
    heard = Heard()
    with running(cluster, heard) as mirror:
        heard.wait_for("a")
        assert mirror.is_listed.is_set()


@pytest.mark.parametrize("error", [ValueError("on purpose"), KeyError("metadata")])
def test_an_object_that_cannot_be_understood_is_not_the_end(cluster: TinyKubernetes, error: Exception) -> None:
    put(cluster, "odd")
    heard = Heard()

    def hear(item: Object) -> None:
        if item["metadata"]["name"] == "odd":
            raise error
        heard(item)

    with running(cluster, hear) as mirror:
        assert mirror.is_listed.wait(15)
        put(cluster, "next")
        heard.wait_for("next")


def test_a_kind_that_is_not_installed_yet_is_waited_for(cluster: TinyKubernetes) -> None:
    cluster.faults.append(Fault("GET", "jobs", 404, times=1))
    heard = Heard()
    with running(cluster, heard) as mirror:
        assert not mirror.is_listed.wait(0.3), "nothing is known of the kind, so nothing may be thought missing"


def test_what_we_wrote_is_there_before_the_watch_tells(cluster: TinyKubernetes) -> None:
    heard = Heard()
    with running(cluster, heard) as mirror:
        assert mirror.is_listed.wait(15)
        mirror.put({"metadata": {"namespace": "lab", "name": "new", "resourceVersion": "1000"}})
        assert names(mirror) == ["new"]
        mirror.drop(ObjectName("lab", "new"))
        assert names(mirror) == []


def test_an_answer_that_comes_after_the_watch_told_of_more_changes_nothing(cluster: TinyKubernetes) -> None:
    """A Job may end, or be deleted, between our own write and its answer."""
    heard = Heard()
    put(cluster, "ended")
    put(cluster, "deleted")
    answers = [copy.deepcopy(cluster.objects[JOBS.path("lab", name)]) for name in ("ended", "deleted")]
    with running(cluster, heard) as mirror:
        heard.wait_for("deleted", "ended")
        put(cluster, "ended", succeeded=1)
        cluster.remove(JOBS.path("lab", "deleted"))
        heard.wait_for("deleted", "ended", "ended", "deleted")
        for answer in answers:
            mirror.put(answer)
        [ended] = mirror.items()
        assert ended["status"] == {"succeeded": 1}
