"""Studies driven by one process, whoever begins and watches them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import tiny_steps

from disentanglement.errors import DisentanglementError, PermissionDenied
from disentanglement.rpc import study_runs
from disentanglement.rpc.study_runs import StudyRuns
from disentanglement.services.aggregator.servicer import AggregatorServicer
from disentanglement.specs import STEPS
from disentanglement.steps.driver import Driver
from disentanglement.steps.messages import StepResult
from disentanglement.steps.progress import Report
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.pending import WorkItem
from disentanglement.studies.records import submit_study
from disentanglement.v1 import aggregator_service_pb2 as pb

PROJECT, STUDY = "default", "tiny"
NAME = f"projects/{PROJECT}/studies/{STUDY}"


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore(tmp_path)
    submit_study(store, tiny_steps.study(), tiny_steps.plan("0" * 64), project=PROJECT, now=datetime.now(UTC))
    return store


async def _forever(item: WorkItem, report: Report) -> StepResult:
    await asyncio.Event().wait()
    raise AssertionError("never")


def runs_of(store: DirectoryStore, run_item: Any = _forever) -> StudyRuns:
    async def stop_item(item: WorkItem) -> None:
        pass

    return StudyRuns(store, lambda project: (run_item, stop_item), capacity=dict.fromkeys(STEPS, 1))


async def test_a_study_begun_by_several_at_once_is_driven_once(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    drivers = []

    class Counted(Driver):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            drivers.append(self)
            super().__init__(*arguments, **settings)

    monkeypatch.setattr(study_runs, "Driver", Counted)
    runs = runs_of(store)
    await asyncio.gather(*(runs.begin(PROJECT, STUDY) for _ in range(3)))
    run = runs.find(PROJECT, STUDY)
    assert run is not None
    async with asyncio.timeout(20):
        while not run.running:
            await run.changed.wait()
    await runs.drain()
    assert len(drivers) == 1


@pytest.mark.parametrize(
    ("raised", "seen"), [(PermissionDenied("no such right"), PermissionDenied), (KeyError("x"), DisentanglementError)]
)
async def test_who_watches_a_study_that_stopped_learns_why(
    store: DirectoryStore, raised: Exception, seen: type[DisentanglementError]
) -> None:
    async def run_item(item: WorkItem, report: Report) -> StepResult:
        raise raised

    runs = runs_of(store, run_item)
    servicer = AggregatorServicer(store=store, driver=runs, max_models=10)
    await runs.begin(PROJECT, STUDY)

    async def watch() -> None:
        messages: AsyncIterator[pb.WatchStudyResponse] = servicer.WatchStudy(
            pb.WatchStudyRequest(name=NAME),
            None,  # type: ignore[arg-type]
        )
        async for _ in messages:
            pass

    async with asyncio.timeout(20):
        with pytest.raises(seen, match=str(raised)):
            await watch()
        with pytest.raises(seen, match=str(raised)):  # and who comes later, too
            await watch()
    await runs.stop(PROJECT, STUDY)
    assert runs.error_of(PROJECT, STUDY) is None
