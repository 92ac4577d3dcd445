"""Jobs of one step that several ask for, and that end in ways nobody foresaw."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_steps

from disentanglement.errors import CorruptArtifact, DisentanglementError, ResourceExhausted, TrainingFailed, Unavailable
from disentanglement.jobs.states import JobState
from disentanglement.steps import executor as executor_module
from disentanglement.steps.executor import Executor, Job
from disentanglement.steps.messages import StepResult
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.jobs import get_job
from disentanglement.storage.keys import JobKey
from disentanglement.studies.pending import WorkItem

FIRST, SECOND = "first", "second"
RESULT = StepResult("0" * 16, "0" * 64, computed=True)


@pytest.fixture
def item() -> WorkItem:
    return tiny_steps.items(tiny_steps.plan("0" * 64))[0]


class Pool:
    """Runs a step until it is let go, or fails as it is told to."""

    size = 1

    def __init__(self, fail: Callable[[], None] = lambda: None, *, starts: bool = True) -> None:
        self.go, self.running, self.stopping, self.may_stop = (asyncio.Event() for _ in range(4))
        self.may_stop.set()
        self.num_runs = self.num_stopped = self.num_refused = 0
        self._fail = fail
        self._starts = starts

    def check_room(self, accepted: int) -> None:
        if self.num_refused:
            self.num_refused -= 1
            raise ResourceExhausted("the queue is full")

    async def run(self, item: WorkItem, *, started: Any, **_: Any) -> StepResult:
        if self._starts:
            await started()
        self.num_runs += 1
        self.running.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.num_stopped += 1
            self.stopping.set()
            await self.may_stop.wait()
            raise
        self._fail()
        return RESULT

    async def close(self) -> None:
        pass


def executor_of(store: DirectoryStore, pool: Pool) -> Executor:
    return Executor(store, pool, steps=("train",))  # type: ignore[arg-type]


async def last_seen(executor: Executor, item: WorkItem, project: str) -> Job:
    async with asyncio.timeout(10):
        async for job in executor.watch(project, "train", item.key):
            last = job
    return last


async def test_who_asks_for_one_step_at_the_same_time_gets_one_run(tmp_path: Path, item: WorkItem) -> None:
    pool = Pool()
    executor = executor_of(DirectoryStore(tmp_path), pool)
    jobs = await asyncio.gather(*(executor.submit(item, project=project) for project in [FIRST, SECOND] * 4))
    assert [job.project for job in jobs] == [FIRST, SECOND] * 4
    pool.go.set()
    assert (await last_seen(executor, item, FIRST)).state is JobState.SUCCEEDED
    assert pool.num_runs == 1
    assert await executor.jobs(FIRST, "train") == await executor.jobs(SECOND, "train") == [item.key]


async def test_a_project_that_cancels_leaves_the_step_to_the_others(tmp_path: Path, item: WorkItem) -> None:
    pool = Pool()
    executor = executor_of(DirectoryStore(tmp_path), pool)
    await executor.submit(item, project=FIRST)
    await executor.submit(item, project=SECOND)
    await pool.running.wait()
    watching = asyncio.create_task(last_seen(executor, item, SECOND))
    await asyncio.sleep(0)
    assert (await executor.cancel(SECOND, "train", item.key)).state is JobState.CANCELLED
    assert (await watching).state is JobState.CANCELLED
    assert (await executor.get(FIRST, "train", item.key)).state is JobState.RUNNING
    pool.go.set()
    assert (await last_seen(executor, item, FIRST)).state is JobState.SUCCEEDED
    assert pool.num_stopped == 0


async def test_the_last_project_that_cancels_stops_the_step(tmp_path: Path, item: WorkItem) -> None:
    pool = Pool()
    executor = executor_of(DirectoryStore(tmp_path), pool)
    for project in (FIRST, SECOND):
        await executor.submit(item, project=project)
    await pool.running.wait()
    for project in (FIRST, SECOND):
        assert (await executor.cancel(project, "train", item.key)).state is JobState.CANCELLED
    assert pool.num_stopped == 1


async def test_a_step_asked_for_while_it_stops_is_run_again(tmp_path: Path, item: WorkItem) -> None:
    pool = Pool()
    pool.may_stop.clear()
    executor = executor_of(DirectoryStore(tmp_path), pool)
    await executor.submit(item, project=FIRST)
    await pool.running.wait()
    cancelling = asyncio.create_task(executor.cancel(FIRST, "train", item.key))
    await pool.stopping.wait()
    asking = asyncio.create_task(executor.submit(item, project=SECOND))
    await asyncio.sleep(0)
    pool.may_stop.set()
    assert (await cancelling).state is JobState.CANCELLED
    assert (await asking).state is JobState.QUEUED
    pool.go.set()
    assert (await last_seen(executor, item, SECOND)).state is JobState.SUCCEEDED
    assert (await executor.get(FIRST, "train", item.key)).state is JobState.CANCELLED
    assert (pool.num_runs, pool.num_stopped) == (2, 1)


async def test_every_project_learns_that_a_step_failed(tmp_path: Path, item: WorkItem) -> None:
    def fail() -> None:
        raise TrainingFailed("it can not be")

    pool = Pool(fail)
    executor = executor_of(DirectoryStore(tmp_path), pool)
    for project in (FIRST, SECOND):
        await executor.submit(item, project=project)
    pool.go.set()
    for project in (FIRST, SECOND):
        await last_seen(executor, item, project)
        assert (await executor.get(project, "train", item.key)).state is JobState.FAILED


@pytest.mark.parametrize("starts", [True, False])
async def test_an_error_that_nobody_foresaw_fails_the_job_and_is_logged(
    tmp_path: Path, item: WorkItem, caplog: pytest.LogCaptureFixture, starts: bool
) -> None:
    def fail() -> None:
        raise KeyError("x")

    pool = Pool(fail, starts=starts)
    executor = executor_of(DirectoryStore(tmp_path), pool)
    await executor.submit(item, project=FIRST)
    pool.go.set()
    job = await last_seen(executor, item, FIRST)
    assert job.state is JobState.FAILED
    assert "KeyError" in str(job.error)
    assert "Traceback" in caplog.text
    assert (await executor.get(FIRST, "train", item.key)).state is JobState.FAILED


class RefusingStore(DirectoryStore):
    """Takes records of jobs until it is told not to."""

    refusal: Exception | None = None

    def put(self, key: Any, *arguments: Any, **options: Any) -> bool:
        if self.refusal is not None and isinstance(key, JobKey):
            raise self.refusal
        return super().put(key, *arguments, **options)


@pytest.mark.parametrize(
    ("refusal", "seen"),
    [
        (CorruptArtifact("no"), TrainingFailed),
        (Unavailable("away"), Unavailable),
        (ValueError("a defect"), TrainingFailed),
    ],
)
async def test_a_failure_that_cannot_be_written_still_ends_the_job(
    tmp_path: Path,
    item: WorkItem,
    caplog: pytest.LogCaptureFixture,
    refusal: Exception,
    seen: type[DisentanglementError],
) -> None:
    store = RefusingStore(tmp_path)

    def fail() -> None:
        store.refusal = refusal
        raise TrainingFailed("it can not be")

    pool = Pool(fail)
    executor = executor_of(store, pool)
    await executor.submit(item, project=FIRST)
    pool.go.set()
    job = await last_seen(executor, item, FIRST)
    assert job.state is JobState.FAILED
    assert isinstance(job.error, seen)
    await asyncio.sleep(0)
    assert str(refusal) in caplog.text or any(str(refusal) == vars(record).get("cause") for record in caplog.records)


async def test_unfinished_jobs_wait_for_room_in_the_queue(
    tmp_path: Path, item: WorkItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "RESUME_PAUSE_S", 0.0)
    store = DirectoryStore(tmp_path)
    former = executor_of(store, Pool())
    await former.submit(item, project=FIRST)
    await former.drain()
    pool = Pool()
    pool.num_refused = 3
    executor = executor_of(store, pool)
    await executor.resume([FIRST])
    pool.go.set()
    assert (await last_seen(executor, item, FIRST)).state is JobState.SUCCEEDED
    assert pool.num_runs == 1


async def test_a_queue_that_stays_full_is_given_up_at_last(
    tmp_path: Path, item: WorkItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "RESUME_PAUSE_S", 0.0)
    monkeypatch.setattr(executor_module, "RESUME_TRIES", 3)
    store = DirectoryStore(tmp_path)
    former = executor_of(store, Pool())
    await former.submit(item, project=FIRST)
    await former.drain()
    pool = Pool()
    pool.num_refused = 10
    with pytest.raises(ResourceExhausted):
        await executor_of(store, pool).resume([FIRST])
    assert pool.num_refused == 7
    assert get_job(store, FIRST, "train", item.key).failure is None


class SmallPool(Pool):
    """Takes two steps."""

    def check_room(self, accepted: int) -> None:
        if accepted >= 2:
            raise ResourceExhausted("the queue is full")


async def test_a_full_queue_of_one_caller_lets_others_in_until_it_is_full_of_callers(tmp_path: Path) -> None:
    pool = SmallPool()
    executor = executor_of(DirectoryStore(tmp_path), pool)
    plan = tiny_steps.plan("0" * 64, grid__sweep__random_seed=list(range(4)))
    trainings = [tiny_steps.items(plan, number)[0] for number in range(4)]
    for item in trainings[:2]:
        await executor.submit(item, project=FIRST, caller="a")
    with pytest.raises(ResourceExhausted):
        await executor.submit(trainings[2], project=FIRST, caller="a")
    await executor.submit(trainings[2], project=FIRST, caller="b")
    for caller in ("b", "c"):
        with pytest.raises(ResourceExhausted):
            await executor.submit(trainings[3], project=FIRST, caller=caller)
    await executor.submit(trainings[0], project=FIRST, caller="c")  # what is in the queue already needs no room
    pool.go.set()
    await last_seen(executor, trainings[2], FIRST)


async def test_a_step_that_several_want_is_the_turn_of_each_of_them(tmp_path: Path, item: WorkItem) -> None:
    seen: list[Any] = []

    class Asked(Pool):
        async def run(self, item: WorkItem, *, started: Any, callers: Any = (), **rest: Any) -> StepResult:
            seen.append(callers)
            return await super().run(item, started=started, **rest)

    pool = Asked()
    executor = executor_of(DirectoryStore(tmp_path), pool)
    await executor.submit(item, project=FIRST, caller="x")
    await executor.submit(item, project=SECOND, caller="x")
    await pool.running.wait()
    assert seen == [{"first x", "second x"}]
    pool.go.set()
    await last_seen(executor, item, FIRST)
