"""What is listed in the store, and when: on a directory store and a clock of the test's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny_cluster import Clock, TinyCluster
from tiny_kubernetes import tiny_kubernetes

from disentanglement.cluster.cell_keys import CellKeys, PackedKeys
from disentanglement.cluster.kinds import Object
from disentanglement.cluster.observation import StudyObservation
from disentanglement.cluster.state import JobView
from disentanglement.storage.prefixes import Prefix
from disentanglement.storage.store import ObjectInfo, Store
from disentanglement.studies.pending import steps_of
from disentanglement.studies.records import load_plan_cell, load_study


class CountingStore:
    """A store that counts its listings by the beginning of their prefixes, and takes its time for each."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self.listings: Counter[str] = Counter()
        self.takes_s = 0.0

    def list(self, prefix: Prefix) -> Iterator[ObjectInfo]:
        text = str(prefix)
        self.listings["failures" if "/failures/" in text else text.partition("/")[0] + text.partition("/")[2][:9]] += 1
        self._clock.now += self.takes_s
        return self._store.list(prefix)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


Observe = Callable[[], tuple[StudyObservation, CountingStore]]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[TinyCluster]:
    with tiny_kubernetes() as kubernetes:
        cluster = TinyCluster(kubernetes, tmp_path)
        cluster.apply()
        cluster.look()
        yield cluster


def observation(cluster: TinyCluster) -> tuple[StudyObservation, CountingStore]:
    store = CountingStore(cluster.store, cluster.clock)
    record = load_study(cluster.store, "default", "small")
    found = StudyObservation(store, "default", "small", relist_s=300, clock=cluster.clock)  # type: ignore[arg-type]
    found.add_cell(CellKeys.of(load_plan_cell(cluster.store, record.plan, "dummy_data.beta_vae")))
    return found, store


def view(job: Object, **status: object) -> JobView:
    found = JobView.from_object({**job, "status": status})
    assert found is not None
    return found


def test_nothing_is_decided_before_everything_was_listed_once(cluster: TinyCluster) -> None:
    observed, store = observation(cluster)
    assert observed.refresh(1.0)
    assert store.listings.total() == 3 + 1 + 3  # manifests, codes, failures


def test_what_is_quiet_is_not_listed_again_until_its_time(cluster: TinyCluster) -> None:
    observed, store = observation(cluster)
    observed.refresh(1.0)
    store.listings.clear()
    cluster.clock.now += 200
    observed.refresh(1.0)
    assert store.listings.total() == 0
    cluster.clock.now += 101
    observed.refresh(1.0)
    assert store.listings.total() == 7


def test_a_job_that_failed_somewhere_is_listed_at_once(cluster: TinyCluster) -> None:
    observed, store = observation(cluster)
    [job] = cluster.jobs_of("train")
    observed.see([view(job)])
    observed.refresh(1.0)
    store.listings.clear()
    observed.see([view(job, failedIndexes="1")])
    observed.refresh(1.0)
    assert store.listings == {"manifeststrain/dum": 1, "manifestspostproce": 1, "codesdummy_dat": 1, "failures": 2}


def test_a_job_that_only_goes_on_is_listed_a_little_later(cluster: TinyCluster) -> None:
    observed, store = observation(cluster)
    [job] = cluster.jobs_of("train")
    observed.see([view(job)])
    observed.refresh(1.0)
    store.listings.clear()
    observed.see([view(job, completedIndexes="0")])
    observed.refresh(1.0)
    assert store.listings.total() == 0
    cluster.clock.now += 1.5
    observed.refresh(1.0)
    assert store.listings["manifeststrain/dum"] == 1
    assert store.listings["failures"] == 0, "nothing failed"


def test_slow_listings_come_less_often(cluster: TinyCluster) -> None:
    observed, store = observation(cluster)
    store.takes_s = 1.0
    [job] = cluster.jobs_of("evaluate") or cluster.jobs_of("train")
    observed.refresh(100.0)
    store.listings.clear()
    for second in range(300):
        cluster.clock.now += 1
        observed.see([view(job, completedIndexes="0" if second % 2 else "0,1")])
        observed.refresh(100.0)
    assert store.listings.total() < 300 * 0.3


def test_a_job_that_is_gone_is_listed_at_once(cluster: TinyCluster) -> None:
    observed, store = observation(cluster)
    [job] = cluster.jobs_of("train")
    observed.see([view(job)])
    observed.refresh(1.0)
    store.listings.clear()
    observed.see([])
    observed.refresh(1.0)
    assert store.listings["manifeststrain/dum"] == 1


def test_urgent_listings_take_no_longer_than_they_may(cluster: TinyCluster) -> None:
    observed, store = observation(cluster)
    store.takes_s = 10.0
    assert not observed.refresh(1.0)
    assert not observed.refresh(1.0)
    assert observed.refresh(1.0), "each time, one goes on where the last time ended"


def test_a_model_is_scored_when_all_of_its_scores_are_there(cluster: TinyCluster) -> None:
    observed, _ = observation(cluster)
    [job] = cluster.jobs_of("train")
    models = cluster.models(job)
    for number, model in models.items():
        for item in steps_of(model):
            if number == 0 or item.step != "evaluate" or item.upstream[0] == model.representations[0].key:
                cluster.commit_step(item)
    cluster.put_codes(models[2])
    observed.refresh(1.0)
    state = observed.states()["dummy_data.beta_vae"]
    assert state.trained == state.extracted == {0, 1, 2}
    assert state.scored == {0}
    assert state.to_score == {1, 2}
    assert state.with_codes == {2}


def test_packed_keys_find_what_the_plan_has_and_nothing_else() -> None:
    words = [[f"{model}{step}".rjust(52, "a") for step in "xyz"] for model in range(100, 120)]
    keys = PackedKeys.of(words)
    flags_MS = keys.find([words[3][1], words[19][2], "b" * 52, "0" * 52, "z" * 52])
    assert [tuple(place) for place in zip(*flags_MS.nonzero(), strict=True)] == [(3, 1), (19, 2)]
    assert not keys.find([]).any()
    assert PackedKeys.of([[], []]).find(["a" * 52]).shape == (2, 0)
