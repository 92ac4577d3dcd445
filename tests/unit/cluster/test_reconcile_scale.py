"""The largest published study as the controller sees it: 12,600 models in 42 cells."""

from __future__ import annotations

import time
from dataclasses import replace

from small_cluster import SmallCluster
from small_jobs import Fate

from disentanglement.cluster.actions import CreateJob
from disentanglement.cluster.reconcile import reconcile
from disentanglement.cluster.wanted import Wanted
from disentanglement.specs import Step

CELLS = {f"set{d}.method{m}": tuple(range(first := (d * 6 + m) * 300, first + 300)) for d in range(7) for m in range(6)}
MOST_OBJECTS = 200
SLOWEST_S = 1.0


def choose(step: Step, number: int, generation: int) -> Fate:
    """A few models of each kind of trouble."""
    if step == "train" and number % 420 == 7:
        return Fate.REFUSED
    if number % 1000 == 500:
        return Fate.LOST
    return Fate.RETRIED if number % 100 == 13 else Fate.DONE


def test_twelve_thousand_models_take_few_objects_and_short_decisions() -> None:
    wanted = Wanted(study="unsupervised-study-v1", plan="1", cells=CELLS, parallelism=512)
    cluster = SmallCluster(wanted, metrics=1, choose=choose)
    slowest_s, num_jobs = 0.0, 0
    for _ in range(200):
        cluster.relist()
        states, views = cluster.cells(), list(cluster.copy.values())
        began = time.perf_counter()
        actions = reconcile(replace(wanted, images={}), states, views)
        slowest_s = max(slowest_s, time.perf_counter() - began)
        for action in actions:
            num_jobs += isinstance(action, CreateJob)
            cluster.execute(action)
        cluster.start_pods()
        running = cluster.running()
        for job, pod in running[: max(1, len(running) * 2 // 3)]:
            cluster.finish(job, pod)
        gone = cluster.vanish(after_s=0)
        if not (actions or running or gone):
            break
    else:
        raise AssertionError("it does not come to its end")
    lost = [number for number in range(12600) if choose("train", number, 0) in (Fate.REFUSED, Fate.LOST)]
    assert cluster.store.trained == set(range(12600)) - set(lost)
    assert cluster.most_jobs < MOST_OBJECTS
    assert slowest_s < SLOWEST_S
    assert num_jobs < 400
