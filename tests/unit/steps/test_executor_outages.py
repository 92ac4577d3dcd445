"""What a service's executor does while its workers die or its store is away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import tiny_steps

from disentanglement.errors import TrainingFailed, Unavailable
from disentanglement.jobs.states import JobState
from disentanglement.steps import executor as executor_module
from disentanglement.steps.executor import Executor
from disentanglement.steps.messages import StepResult
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.jobs import get_job
from disentanglement.studies.pending import WorkItem

PROJECT = "default"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_module, "PAUSE_S", 0.0)


@pytest.fixture
def item() -> WorkItem:
    return tiny_steps.items(tiny_steps.plan("0" * 64))[0]


class FlickeringStore(DirectoryStore):
    """A directory that can be away."""

    is_away = False

    def put(self, *arguments: Any, **options: Any) -> bool:
        self._answer()
        return super().put(*arguments, **options)

    def head(self, *arguments: Any) -> Any:
        self._answer()
        return super().head(*arguments)

    def _answer(self) -> None:
        if self.is_away:
            raise Unavailable("the store is away")


class Workers:
    """A pool whose runs end as they are told, one after the other."""

    size = 1

    def __init__(self, store: FlickeringStore, ends: list[str]) -> None:
        self._store = store
        self._ends = ends
        self.num_runs = 0

    def check_room(self, accepted: int) -> None:
        pass

    async def run(self, item: WorkItem, *, started: Any, **_: Any) -> StepResult:
        await started()
        end = self._ends[self.num_runs]
        self.num_runs += 1
        self._store.is_away = "away" in end
        if "dies" in end:
            raise Unavailable("the worker process died")
        if "fails" in end:
            raise TrainingFailed("it can not be")
        return StepResult("0" * 16, "0" * 64, computed=True)

    async def close(self) -> None:
        pass


async def ended(store: FlickeringStore, item: WorkItem, ends: list[str]) -> tuple[Any, Workers]:
    """The last state that a watcher sees."""
    workers = Workers(store, ends)
    executor = Executor(store, workers, steps=("train",))  # type: ignore[arg-type]
    await executor.submit(item, project=PROJECT)
    async with asyncio.timeout(10):
        async for job in executor.watch(PROJECT, "train", item.key):
            last = job
    return last, workers


async def test_a_step_whose_worker_dies_three_times_has_failed(tmp_path: Path, item: WorkItem) -> None:
    store = FlickeringStore(tmp_path)
    job, workers = await ended(store, item, ["dies"] * 3)
    assert job.state is JobState.FAILED
    assert isinstance(job.error, TrainingFailed)
    assert workers.num_runs == 3
    assert get_job(store, PROJECT, "train", item.key).failure is not None


async def test_a_store_that_is_away_for_long_fails_no_step(tmp_path: Path, item: WorkItem) -> None:
    job, workers = await ended(FlickeringStore(tmp_path), item, ["dies, store away"] * 7 + ["dies", "succeeds"])
    assert job.state is JobState.SUCCEEDED
    assert workers.num_runs == 9


async def test_a_failure_that_cannot_be_written_reaches_who_watches_as_an_outage(
    tmp_path: Path, item: WorkItem
) -> None:
    store = FlickeringStore(tmp_path)
    job, _ = await ended(store, item, ["fails, store away"])
    assert job.state is JobState.FAILED
    assert isinstance(job.error, Unavailable)
    assert get_job(store, PROJECT, "train", item.key).failure is None  # so it is tried again
