"""The controller's loop, before a tiny API server, with looks of the test's own: who is looked at, and how often."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from kubernetes import client
from tiny_kubernetes import Fault, TinyKubernetes, tiny_kubernetes

from disentanglement.cluster.controller import Controller
from disentanglement.cluster.kinds import JOBS, STUDIES, Object, ObjectName
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.cluster.mirror import Mirror
from disentanglement.errors import Unavailable

NEVER = 3600.0


class Looks:
    """Counts looks at studies; `answers` says what a look at one does."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.gone: list[str] = []
        self.jobs_seen: dict[str, int] = {}
        self.answers: dict[str, Callable[[], float]] = {}
        self.changed = threading.Condition()

    def make(self, name: ObjectName, jobs: Mirror) -> OneLooks:
        return OneLooks(self, name, jobs)

    def wait_for(self, told: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(told, 20), self.counts


class OneLooks:
    def __init__(self, looks: Looks, name: ObjectName, jobs: Mirror) -> None:
        self._looks, self._name, self._jobs = looks, str(name), jobs

    def look(self, item: Object) -> float:
        with self._looks.changed:
            self._looks.counts[self._name] += 1
            self._looks.jobs_seen[self._name] = len(self._jobs.items())
            self._looks.changed.notify_all()
        return self._looks.answers.get(self._name, lambda: NEVER)()

    def forget(self) -> None:
        with self._looks.changed:
            self._looks.gone.append(self._name)
            self._looks.changed.notify_all()


@pytest.fixture
def cluster() -> Iterator[TinyKubernetes]:
    with tiny_kubernetes() as cluster:
        yield cluster


@contextmanager
def running(cluster: TinyKubernetes, looks: Looks, *namespaces: str) -> Iterator[threading.Thread]:
    configuration = client.Configuration()
    configuration.host = cluster.url
    api = KubernetesApi(configuration, namespace="lab", pause=lambda _: None)
    controller = Controller(api, namespaces or ("lab",), looks.make)
    stop = threading.Event()
    thread = threading.Thread(target=controller.run, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def put_study(cluster: TinyKubernetes, name: str, namespace: str = "lab") -> None:
    cluster.put(STUDIES.path(namespace, name), {"metadata": {"namespace": namespace, "name": name}, "spec": {}})


def put_job(cluster: TinyKubernetes, name: str, study: str, **status: int) -> None:
    labels = {"app.kubernetes.io/part-of": "disentanglement", "disentanglement.dev/study": study}
    item = {"metadata": {"namespace": "lab", "name": name, "labels": labels}, "spec": {}, "status": status}
    cluster.put(JOBS.path("lab", name), item)


def test_every_study_is_looked_at_and_again_when_its_jobs_change(cluster: TinyKubernetes) -> None:
    put_study(cluster, "a")
    put_study(cluster, "b")
    looks = Looks()
    with running(cluster, looks):
        looks.wait_for(lambda: looks.counts == {"lab/a": 1, "lab/b": 1})
        put_job(cluster, "a-train", "a")
        looks.wait_for(lambda: looks.counts["lab/a"] == 2 and looks.jobs_seen["lab/a"] == 1)
        cluster.remove(JOBS.path("lab", "a-train"))
        looks.wait_for(lambda: looks.counts["lab/a"] == 3 and looks.jobs_seen["lab/a"] == 0)
    assert looks.counts["lab/b"] == 1, "nothing about it has changed"


def test_many_changes_are_looked_at_together(cluster: TinyKubernetes) -> None:
    put_study(cluster, "a")
    looks = Looks()
    with running(cluster, looks):
        looks.wait_for(lambda: looks.counts["lab/a"] == 1)
        for number in range(200):
            put_job(cluster, "a-train", "a", succeeded=number)
        looks.wait_for(lambda: looks.counts["lab/a"] >= 2)
    assert looks.counts["lab/a"] < 20


def test_a_study_that_fails_holds_up_no_other(cluster: TinyKubernetes) -> None:
    def fail() -> float:
        raise Unavailable("the store is down")

    def crash() -> float:
        raise ZeroDivisionError

    looks = Looks()
    looks.answers = {"lab/a": fail, "lab/b": crash}
    for name in "abc":
        put_study(cluster, name)
    with running(cluster, looks):
        looks.wait_for(lambda: all(looks.counts[f"lab/{name}"] >= 1 for name in "abc"))
        looks.wait_for(lambda: looks.counts["lab/a"] >= 2 and looks.counts["lab/b"] >= 2)
        put_job(cluster, "c-train", "c")
        looks.wait_for(lambda: looks.counts["lab/c"] == 2)


def test_a_look_that_asks_for_another_one_gets_it(cluster: TinyKubernetes) -> None:
    looks = Looks()
    looks.answers = {"lab/a": lambda: 0.0}
    put_study(cluster, "a")
    with running(cluster, looks):
        looks.wait_for(lambda: looks.counts["lab/a"] >= 3)


def test_a_deleted_study_is_forgotten_and_a_new_one_of_its_name_is_new(cluster: TinyKubernetes) -> None:
    looks = Looks()
    put_study(cluster, "a")
    with running(cluster, looks):
        looks.wait_for(lambda: looks.counts["lab/a"] == 1)
        cluster.remove(STUDIES.path("lab", "a"))
        looks.wait_for(lambda: looks.gone == ["lab/a"])
        put_study(cluster, "a")
        looks.wait_for(lambda: looks.counts["lab/a"] == 2)


def test_several_namespaces_are_watched_and_no_other(cluster: TinyKubernetes) -> None:
    looks = Looks()
    for namespace in ("lab", "team-a", "elsewhere"):
        put_study(cluster, "a", namespace)
    with running(cluster, looks, "lab", "team-a"):
        looks.wait_for(lambda: len(looks.counts) == 2)
    assert set(looks.counts) == {"lab/a", "team-a/a"}


def test_nothing_is_looked_at_before_the_jobs_are_known(cluster: TinyKubernetes) -> None:
    """A study whose Jobs have not been listed yet would be given them once more."""
    looks = Looks()
    put_study(cluster, "a")
    put_job(cluster, "a-train", "a")
    cluster.faults.append(Fault("GET", "/jobs", 503, times=6))
    with running(cluster, looks):
        looks.wait_for(lambda: looks.counts["lab/a"] >= 1)
    assert looks.jobs_seen["lab/a"] == 1


def test_what_is_being_looked_at_when_asked_to_stop_is_looked_at_to_its_end(cluster: TinyKubernetes) -> None:
    looks, inside, go_on, ended = Looks(), threading.Event(), threading.Event(), threading.Event()

    def slow() -> float:
        inside.set()
        go_on.wait(20)
        ended.set()
        return NEVER

    looks.answers = {"lab/a": slow}
    put_study(cluster, "a")
    with running(cluster, looks) as thread:
        assert inside.wait(20)
        threading.Timer(0.2, go_on.set).start()
    assert ended.is_set()
    assert not thread.is_alive()
