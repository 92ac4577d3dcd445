"""What the controller decides, followed to the end in a small model of a cluster (tests/tools/small_cluster.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cluster import SmallCluster, settle
from small_jobs import LAST_TRY, MOST_WAITS, Choose, Fate

from disentanglement.cluster.actions import CreateJob, DeleteJob, EvictCodes, RecordFailures, UpdateJob
from disentanglement.cluster.reconcile import MAX_GROUPS, reconcile
from disentanglement.cluster.shares import Shares
from disentanglement.cluster.state import CellState, JobView
from disentanglement.cluster.status import progress
from disentanglement.cluster.wanted import Wanted
from disentanglement.specs import STEPS, Step

CELLS = {"dsprites_full.beta_vae": tuple(range(7)), "dsprites_full.factor_vae": tuple(range(7, 12))}
WANTED = Wanted(study="study", plan="2", cells=CELLS, parallelism=3)
EVENTS = (
    "reconcile", "reconcile", "reconcile", "killed", "hear", "hear", "relist", "start", "start", "finish", "finish",
    "finish", "finish", "vanish", "evict", "metric", "parallelism", "pause", "resume", "retry", "delete",
)  # fmt: skip
events = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 999)), max_size=120)
fates = st.dictionaries(
    st.tuples(st.sampled_from(["train", "postprocess", "evaluate"]), st.integers(0, 11)),
    st.sampled_from([Fate.REFUSED, Fate.LOST, Fate.RETRIED, Fate.WAITS]),
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
            for job in cluster.jobs.values():  # what failed before says nothing of the new one
                if job.made.step == "evaluate" and number % 2:
                    cluster.lose(job)
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


# ------------------------------------------------------------------------------------- one thing at a time, in the open
CELL = "dsprites_full.beta_vae"


def small(choose: Choose = lambda *_: Fate.DONE, **changes: object) -> SmallCluster:
    """One cell of six models."""
    wanted = Wanted(study="study", plan="2", cells={CELL: tuple(range(6))}, parallelism=6)
    return SmallCluster(replace(wanted, **changes), choose=choose)  # type: ignore[arg-type]


def finish(cluster: SmallCluster, step: Step, *numbers: int) -> None:
    """The pods of some models come to their end."""
    cluster.start_pods()
    for job, pod in cluster.running():
        if job.made.step == step and (not numbers or set(job.models(pod.index)) & set(numbers)):
            cluster.finish(job, pod)
    cluster.relist()


def created(cluster: SmallCluster) -> list[CreateJob]:
    return [action for action in cluster.decide() if isinstance(action, CreateJob)]


def test_a_job_that_was_made_is_not_made_again_whoever_asks() -> None:
    cluster = small()
    [first] = created(cluster)
    assert [first] == created(cluster), "a second controller would choose the same name"
    cluster.act()
    assert not cluster.decide()
    assert (first.models, first.parallelism, first.with_codes) == (tuple(range(6)), 6, True)


def test_a_job_has_at_most_500_indexes() -> None:
    cluster = small(cells={CELL: tuple(range(1201))}, parallelism=2000)
    assert [job.num_groups for job in created(cluster)] == [500, 500, 201]
    packed = small(cells={CELL: tuple(range(1201))}, parallelism=2000, pack=3)
    assert [job.num_groups for job in created(packed)] == [401]
    assert MAX_GROUPS == 500


def test_evaluation_starts_as_models_commit_in_slices() -> None:
    cluster = small()
    cluster.act()
    finish(cluster, "train", 0)
    [first] = created(cluster)
    assert (first.step, first.models) == ("evaluate", (0,))
    cluster.act()
    for number in (1, 2):
        finish(cluster, "train", number)
        cluster.act()
    finish(cluster, "train", 3)
    assert not created(cluster), "three slices of the cell are at work"
    finish(cluster, "evaluate", 0)
    finish(cluster, "train", 4, 5)
    [rest] = created(cluster)
    assert rest.models == (3, 4, 5)


def test_a_failure_is_written_down_before_the_job_is_forgotten() -> None:
    cluster = small(lambda step, number, _: Fate.LOST if (step, number) == ("train", 3) else Fate.DONE)
    cluster.act()
    for _ in range(3):
        finish(cluster, "train")
    [record] = [action for action in cluster.decide() if isinstance(action, RecordFailures)]
    assert (record.step, record.models, record.index) == ("train", (3,), 3)
    [job] = [job for job in cluster.jobs.values() if job.made.step == "train"]
    assert not [action for action in cluster.decide() if isinstance(action, UpdateJob)]
    cluster.execute(record)
    assert UpdateJob(job.made.name, ttl_s=3600) in cluster.decide()


def test_one_index_that_fails_blocks_no_cell() -> None:
    cluster = small(lambda step, number, _: Fate.REFUSED if (step, number) == ("train", 3) else Fate.DONE)
    settle(cluster)
    assert cluster.store.scores == {(number, metric) for number in (0, 1, 2, 4, 5) for metric in range(2)}
    assert cluster.store.failed == {("train", 3)}


def test_what_only_waited_is_no_failure_and_goes_to_another_job_until_the_worker_gives_it_up() -> None:
    cluster = small(lambda step, number, _: Fate.WAITS if (step, number) == ("train", 3) else Fate.DONE)
    cluster.act()
    for _ in range(LAST_TRY):
        finish(cluster, "train", 3)
    cluster.act()
    assert not cluster.store.failed
    assert [job.models for job in created(cluster)] == [(3,)], "the others go on"
    settle(cluster)
    assert cluster.store.failed == {("train", 3)}
    assert cluster.store.waits["train", 3] > MOST_WAITS


def test_parallelism_that_is_lowered_or_raised_is_patched() -> None:
    cluster = small(parallelism=2)
    cluster.act()
    [name] = cluster.jobs
    cluster.wanted = replace(cluster.wanted, parallelism=5)
    assert cluster.decide() == [UpdateJob(name, parallelism=5)]
    cluster.wanted = replace(cluster.wanted, parallelism=1)
    assert cluster.decide() == [UpdateJob(name, parallelism=1)]


def test_what_a_job_leaves_free_at_its_end_goes_to_the_next_cell() -> None:
    other = "dsprites_full.factor_vae"
    cluster = small(cells={CELL: tuple(range(6)), other: tuple(range(6, 12))}, parallelism=4)
    assert [(job.cell, job.parallelism) for job in created(cluster)] == [(CELL, 4)]
    cluster.act()
    finish(cluster, "train", 0, 1, 2, 3)
    [second] = [job for job in created(cluster) if job.step == "train"]
    assert (second.cell, second.parallelism) == (other, 2)


def test_a_paused_study_rests_and_goes_on() -> None:
    cluster = small()
    cluster.act()
    cluster.start_pods()
    cluster.wanted = replace(cluster.wanted, is_paused=True)
    [name] = cluster.jobs
    assert cluster.decide() == [UpdateJob(name, suspend=True)]
    cluster.act()
    finish(cluster, "train")
    assert not cluster.decide()
    assert not cluster.store.trained
    cluster.wanted = replace(cluster.wanted, is_paused=False)
    assert cluster.decide() == [UpdateJob(name, parallelism=6, suspend=False)]


def test_kueue_would_resume_what_we_suspend_so_a_paused_job_goes() -> None:
    cluster = small(queue="team")
    cluster.act()
    [job] = cluster.jobs.values()
    assert job.is_suspended, "Kueue lets it start"
    cluster.wanted = replace(cluster.wanted, is_paused=True)
    assert [type(action) for action in cluster.decide()] == [DeleteJob]


def test_a_deleted_study_is_left_to_the_cluster() -> None:
    cluster = small(is_deleting=True)
    assert not cluster.decide()


def test_a_metric_more_computes_the_missing_scores_and_trains_nothing() -> None:
    cluster = small()
    settle(cluster)
    cluster.metrics, cluster.wanted = 3, replace(cluster.wanted, plan="3")
    assert {job.step for job in created(cluster)} == {"evaluate"}
    settle(cluster)
    assert len(cluster.store.scores) == 18


def test_codes_that_were_evicted_are_extracted_again_where_scores_are_missing() -> None:
    cluster = small(evicts_codes=True)
    settle(cluster)
    assert not cluster.store.codes, "all scores are there"
    assert not cluster.decide(), "nobody needs them"
    cluster.metrics, cluster.wanted = 3, replace(cluster.wanted, plan="3")
    assert {job.step for job in created(cluster)} == {"postprocess"}
    settle(cluster)
    assert len(cluster.store.scores) == 18


def test_codes_that_another_study_has_extracted_again_are_left_to_it() -> None:
    cluster = small(evicts_codes=True)
    cluster.act()
    finish(cluster, "train")
    cluster.act()
    finish(cluster, "evaluate")
    assert [action for action in cluster.decide() if isinstance(action, EvictCodes)] == [
        EvictCodes(CELL, tuple(range(6)))
    ]
    assert not any(job.made.step == "evaluate" and job.ttl_s is not None for job in cluster.jobs.values())
    cluster.act()
    cluster.act()
    assert not cluster.store.codes
    cluster.store.codes |= {2, 3}
    assert not [action for action in cluster.decide() if isinstance(action, EvictCodes)]


@pytest.mark.parametrize(("parallelism", "kept", "extracting"), [(8, 6, 2), (1, 0, 1)])
def test_a_long_training_leaves_room_for_extractions_that_wait(parallelism: int, kept: int, extracting: int) -> None:
    cluster = small(cells={CELL: tuple(range(20, 60))}, parallelism=parallelism)
    cluster.act()
    cluster.start_pods()
    cluster.wanted = replace(cluster.wanted, cells={CELL: tuple(range(60))})
    cluster.store.extracted |= set(range(20))  # whose codes were removed
    cluster.store.trained |= set(range(20))
    cluster.relist()
    [training] = cluster.jobs
    assert cluster.decide() == [UpdateJob(training, parallelism=kept)], "the pods that end have their places still"
    cluster.act()
    for job, pod in cluster.running():
        if pod.is_ending:
            cluster.finish(job, pod)
    cluster.relist()
    assert [(job.step, job.parallelism) for job in created(cluster)] == [("postprocess", extracting)]
    cluster.act()
    cluster.start_pods()
    cluster.relist()
    assert not cluster.decide(), "the training does not take the places back"
    while any(job.made.step == "postprocess" and not job.end for job in cluster.jobs.values()):
        finish(cluster, "postprocess")
    assert UpdateJob(training, parallelism=parallelism) in cluster.decide()


def test_models_without_metrics_are_trained_and_no_more() -> None:
    cluster = small(has_scores=False)
    cluster.metrics = 0
    [job] = created(cluster)
    assert not job.with_codes
    settle(cluster)
    assert not cluster.store.extracted
    assert progress(cluster.wanted, cluster.cells(), ()).is_settled


def test_an_image_of_another_contract_ends_in_one_job_until_the_image_changes() -> None:
    cluster = small(lambda *_: Fate.OTHER_CONTRACT)
    cluster.act()
    finish(cluster, "train")
    for job, pod in cluster.running():
        cluster.finish(job, pod)
    cluster.relist()
    assert not cluster.decide(), "no storm of Jobs, and the Job stays as a memory"
    found = progress(cluster.wanted, cluster.cells(), cluster.copy.values())
    assert [job.end_reason for job in found.given_up] == ["PodFailurePolicy"]
    cluster.choose = lambda *_: Fate.DONE
    cluster.wanted = replace(cluster.wanted, images=dict.fromkeys(cluster.wanted.images, "image:2"))
    assert [type(action) for action in cluster.decide()] == [DeleteJob]
    cluster.act()
    cluster.vanish()
    cluster.relist()
    assert [job.step for job in created(cluster)] == ["train"]


def test_what_a_given_up_job_lost_is_written_down_before_another_image_is_tried() -> None:
    cluster = small(lambda step, number, _: Fate.LOST if number == 3 else Fate.OTHER_CONTRACT)
    cluster.act()
    for _ in range(LAST_TRY):
        finish(cluster, "train", 3)
    finish(cluster, "train", 0)
    for job, pod in cluster.running():
        cluster.finish(job, pod)
    cluster.relist()
    cluster.wanted = replace(cluster.wanted, images=dict.fromkeys(cluster.wanted.images, "image:2"))
    [record] = cluster.decide()
    assert isinstance(record, RecordFailures)
    assert record.models == (3,)
    cluster.act()
    assert [type(action) for action in cluster.decide()] == [DeleteJob]


@pytest.mark.parametrize("pack", [1, 4])
def test_a_failure_says_nothing_of_metrics_that_were_added_later(pack: int) -> None:
    cluster = small(lambda step, number, _: Fate.LOST if (step, number) == ("evaluate", 1) else Fate.DONE, pack=pack)
    cluster.act()
    finish(cluster, "train")
    cluster.act()
    for _ in range(LAST_TRY):
        finish(cluster, "evaluate")
    cluster.act()
    assert (1, 0) in cluster.store.failed_scores
    cluster.metrics, cluster.wanted = 3, replace(cluster.wanted, plan="3")
    assert [(job.step, job.models) for job in created(cluster)] == [("evaluate", tuple(range(6)))]
    cluster.choose = lambda *_: Fate.DONE
    settle(cluster)
    assert {(number, 2) for number in range(6)} <= cluster.store.scores


def test_a_job_of_an_earlier_plan_may_name_models_that_are_not_there_any_more() -> None:
    cluster = small(lambda *_: Fate.LOST)
    cluster.act()
    for _ in range(LAST_TRY):
        finish(cluster, "train")
    cluster.wanted = replace(cluster.wanted, plan="3", cells={CELL: (0, 1)})
    assert not [action for action in cluster.decide() if isinstance(action, RecordFailures)]
    cluster.wanted = replace(cluster.wanted, plan="2")
    records = [action for action in cluster.decide() if isinstance(action, RecordFailures)]
    assert [record.models for record in records] == [(0,), (1,)]


def test_failures_are_forgotten_once_for_each_retry_also_when_the_status_was_lost() -> None:
    tried: list[int] = []

    def choose(step: Step, number: int, generation: int) -> Fate:
        if (step, number) == ("train", 3):
            tried.append(generation)
            return Fate.REFUSED
        return Fate.DONE

    cluster = small(choose)
    settle(cluster)
    assert tried == [0]
    cluster.wanted = replace(cluster.wanted, generation=1)
    settle(cluster)
    settle(cluster)
    assert tried == [0, 1]
    assert cluster.store.failed == {("train", 3)}


def test_no_job_is_made_before_failures_are_forgotten() -> None:
    cluster = small(generation=2)
    assert not created(cluster)
    cluster.act()
    assert [job.generation for job in created(cluster)] == [2]


@pytest.mark.parametrize("missing", [0, 3])
def test_a_job_without_results_is_forgotten_soon_and_its_work_given_to_another(missing: int) -> None:
    cluster = small()
    cluster.act()
    finish(cluster, "train")
    cluster.store.trained.discard(missing)  # withdrawn, or never written
    cluster.relist()
    [job] = [job for job in cluster.jobs.values() if job.made.step == "train"]
    assert UpdateJob(job.made.name, ttl_s=60) in cluster.decide()
    assert not [action for action in created(cluster) if action.step == "train"]
    settle(cluster)
    assert missing in cluster.store.trained


def test_a_retry_does_not_wait_for_the_job_in_which_a_model_failed() -> None:
    cluster = small(lambda step, number, gen: Fate.REFUSED if (step, number, gen) == ("train", 3, 0) else Fate.DONE)
    cluster.act()
    finish(cluster, "train", 3)
    cluster.wanted = replace(cluster.wanted, generation=1)
    cluster.act()
    assert not cluster.store.failed
    assert not [action for action in cluster.decide() if isinstance(action, RecordFailures)], "it is forgotten"
    cluster.wanted = replace(cluster.wanted, parallelism=7)
    [again] = [job for job in created(cluster) if job.step == "train"]
    assert (again.models, again.generation) == ((3,), 1)


def test_pods_that_are_still_ending_take_their_places() -> None:
    cluster = small()
    cluster.act()
    [job] = cluster.copy.values()
    shrunk = replace(job, parallelism=1, active=1, terminating=3)
    other = replace(job, name="other", parallelism=0)
    shares = Shares(6, [shrunk, other], is_queued=False)
    assert list(shares.changes(keep=())) == [UpdateJob(job.name, parallelism=3)]
    assert shares.take(5) == 0


def test_kueue_admits_no_job_that_would_be_too_small() -> None:
    shares = Shares(8, [], is_queued=True)
    assert [shares.take(7), shares.take(7), shares.take(1)] == [7, 0, 1]


OLD_JOB = JobView(
    "job", "uid", "study", "train", "dsprites_full.beta_vae", CELLS["dsprites_full.beta_vae"], 1, "2", 0, 3, image="old"
)


@pytest.mark.parametrize(
    ("changes", "goes"),
    [
        ({"active": 3}, True),
        ({"active": 3, "image": "new"}, False),
        ({"active": 3, "ready": 1}, False),
        ({"active": 3, "completed": frozenset({0})}, False),
        ({"active": 3, "pods_failed": 1}, False),
        ({"active": 0, "is_suspended": True}, False),
        ({"active": 3, "is_deleting": True}, False),
    ],
    ids=[
        "no pod has begun",
        "same image",
        "a pod works",
        "a model is done",
        "a pod has failed",
        "no pods",
        "goes already",
    ],
)
def test_a_job_with_another_image_goes_while_none_of_its_pods_has_begun(changes: dict[str, Any], goes: bool) -> None:
    wanted = replace(WANTED, images=dict.fromkeys(STEPS, "new"))
    cells = dict.fromkeys(CELLS, CellState())
    actions = reconcile(wanted, cells, [replace(OLD_JOB, **changes)])
    assert any(isinstance(action, DeleteJob) for action in actions) is goes
