"""What the controller decides, followed to the end in a small model of a cluster (tests/tools/small_cluster.py)."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from small_cluster import Choose, Fate, SmallCluster, settle

from disentanglement.cluster.status import progress
from disentanglement.cluster.wanted import Wanted
from disentanglement.specs import Step

CELLS = {"dsprites_full.beta_vae": tuple(range(7)), "dsprites_full.factor_vae": tuple(range(7, 12))}
WANTED = Wanted(study="study", plan="2", cells=CELLS, parallelism=3)
EVENTS = (
    "reconcile", "reconcile", "reconcile", "killed", "hear", "hear", "relist", "start", "start", "finish", "finish",
    "finish", "finish", "vanish", "evict", "metric", "parallelism", "pause", "resume", "retry", "delete",
)  # fmt: skip
events = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 999)), max_size=120)
fates = st.dictionaries(
    st.tuples(st.sampled_from(["train", "postprocess", "evaluate"]), st.integers(0, 11)),
    st.sampled_from([Fate.REFUSED, Fate.LOST, Fate.RETRIED]),
    max_size=8,
)
studies = st.builds(
    lambda pack, parallelism, queue, evicts: replace(
        WANTED, pack=pack, parallelism=parallelism, queue=queue, evicts_codes=evicts
    ),
    st.integers(1, 3),
    st.integers(1, 9),
    st.sampled_from(["", "", "queue"]),
    st.booleans(),
)


def chosen(table: dict[tuple[Step, int], Fate]) -> Choose:
    """Fates by step and model; a retry helps some of them."""

    def choose(step: Step, number: int, generation: int) -> Fate:
        fate = table.get((step, number), Fate.DONE)
        return Fate.DONE if generation > number % 3 else fate

    return choose


def disturb(cluster: SmallCluster, event: str, number: int) -> None:
    """One thing that may happen at any time."""
    names = sorted({*cluster.jobs, *cluster.copy})
    wanted = cluster.wanted
    match event:
        case "reconcile":
            cluster.act()
        case "killed":
            cluster.act(number % 4)
            cluster.relist()
        case "hear" if names:
            cluster.hear(names[number % len(names)])
        case "relist":
            cluster.relist()
        case "start":
            cluster.start_pods()
        case "finish" if running := cluster.running():
            cluster.finish(*running[number % len(running)])
        case "vanish":
            cluster.vanish(after_s=number)
        case "evict":
            cluster.store.codes.discard(number % 12)
        case "metric" if cluster.metrics < 4:
            cluster.metrics += 1
            cluster.wanted = replace(wanted, plan=str(cluster.metrics))
        case "parallelism":
            cluster.wanted = replace(wanted, parallelism=1 + number % 9)
            cluster.limit = max(cluster.limit, cluster.heavy_pods(), wanted.parallelism)
        case "pause" | "resume":
            cluster.wanted = replace(wanted, is_paused=event == "pause")
        case "retry":
            cluster.wanted = replace(wanted, generation=wanted.generation + 1)


@settings(max_examples=300, deadline=None)
@given(wanted=studies, table=fates, story=events)
def test_whatever_happens_every_model_is_settled_in_the_end_and_nothing_is_done_twice(
    wanted: Wanted, table: dict[tuple[Step, int], Fate], story: list[tuple[str, int]]
) -> None:
    cluster = SmallCluster(wanted, choose=chosen(table))
    for event, number in story:
        disturb(cluster, event, number)
    cluster.wanted = replace(cluster.wanted, is_paused=False)
    settle(cluster)
    found = progress(cluster.wanted, cluster.cells(), cluster.copy.values())
    assert found.is_settled
    assert not cluster.jobs
    assert cluster.decide() == []
