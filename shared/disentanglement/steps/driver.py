"""Drives a study to its end: works off what is pending through one callable, whoever runs the steps behind it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from disentanglement.errors import (
    Cancelled,
    CodesMissing,
    CorruptArtifact,
    DeviceUnusable,
    DisentanglementError,
    Interrupted,
    MetricUndefined,
    NotBuiltYet,
    PermissionDenied,
    ResourceExhausted,
    SpecError,
    StoreRefused,
    TrainingFailed,
    Unauthenticated,
    Unavailable,
    WorkerDied,
)
from disentanglement.specs import EvaluateSpec, Step
from disentanglement.steps.messages import StepResult
from disentanglement.steps.progress import Progress, Report
from disentanglement.studies.pending import StepId, WorkItem, pending, steps_of
from disentanglement.studies.plan import Plan, PlannedModel
from disentanglement.studies.progress import StudyProgress, StudySnapshot

log = logging.getLogger(__name__)

TERMINAL = (TrainingFailed, MetricUndefined, SpecError, CorruptArtifact, NotBuiltYet, Cancelled)
"""Errors that the same step would raise again."""

BLAMELESS = (DeviceUnusable, StoreRefused, Unauthenticated, PermissionDenied)
"""Errors that end the drive: any step would raise them."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
ATTEMPTS = 3
"""Tries at a step that fails in a way nobody foresaw, or whose worker dies."""

RunItem = Callable[[WorkItem, Report], Awaitable[StepResult]]


class StudyRecords(Protocol):
    """What the store knows of a study."""

    def committed(self, plan: Plan) -> Collection[StepId]:
        """Steps of the plan with a manifest."""
        ...

    def failed(self, plan: Plan) -> Collection[StepId]:
        """Steps of the plan with a failure record and no manifest."""
        ...

    def record_failure(self, item: WorkItem, error: DisentanglementError) -> None:
        """Write that a step can not succeed as specified."""
        ...


@dataclass(frozen=True, slots=True)
class StudyEvent:
    """Something happened: `started`, `progress`, `committed`, `failed`, `retrying`, or `checked` (at the start)."""

    kind: str
    item: WorkItem | None
    snapshot: StudySnapshot
    error: DisentanglementError | None = None
    progress: Progress | None = None
    """What the step itself reported, with `progress` events."""


class Driver:
    """One study, driven once: `run` returns the last snapshot, when nothing is left that can run.

    `capacity` says how many steps of each kind run at once. Lost workers, stores and services are waited for up to
    `patience_s` at a time.
    """

    def __init__(
        self,
        plan: Plan,
        records: StudyRecords,
        run_item: RunItem,
        *,
        capacity: Mapping[Step, int],
        watch: Callable[[StudyEvent], None],
        workers: int = 1,
        patience_s: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._records = records
        self._run_item = run_item
        self._capacity = capacity
        self._watch = watch
        self._workers = workers
        self._patience_s = patience_s
        self._clock = clock
        self._models = {model.number: model for model in plan.models}
        self._committed: set[StepId] = set()
        self._failed: set[StepId] = set()
        self._ready: dict[StepId, WorkItem] = {}
        self._running: dict[asyncio.Task[None], WorkItem] = {}
        self._busy: dict[Step, int] = dict.fromkeys(capacity, 0)

    async def run(self) -> StudySnapshot:
        """Works until nothing can run any more. Cancelling stops what runs, with checkpoints in place.

        Raises:
            Unavailable: the store, a service or workers stayed away for longer than `patience_s`.
            DeviceUnusable: a worker can't compute on its device; no step is to blame.
            StoreRefused, Unauthenticated, PermissionDenied: the store or a service refuses; no step is to blame.
        """
        self._committed = set(await asyncio.to_thread(self._records.committed, self._plan))
        self._failed = set(await asyncio.to_thread(self._records.failed, self._plan))
        self._progress = StudyProgress(
            self._plan.models, self._committed, self._failed, workers=self._workers, clock=self._clock
        )
        self._tell("checked")
        self._find_ready(self._plan.models)
        try:
            while self._start_what_fits():
                done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    item = self._running.pop(task)
                    self._busy[item.step] -= 1
                    task.result()
                    self._find_ready([self._models[item.number]])
        finally:
            await self._stop()
        return self._progress.snapshot()

    def _find_ready(self, models: Collection[PlannedModel]) -> None:
        running = {item.id for item in self._running.values()}
        for item in pending(models, self._committed, self._failed):
            if item.id not in running:
                self._ready.setdefault(item.id, item)

    def _start_what_fits(self) -> bool:
        """Starts later steps first, so that models are finished one by one; False when nothing runs."""
        for step in ("evaluate", "postprocess", "train"):
            for item in [item for item in self._ready.values() if item.step == step]:
                if self._busy[item.step] >= self._capacity[item.step]:
                    break
                del self._ready[item.id]
                self._busy[item.step] += 1
                self._running[asyncio.create_task(self._finish(item))] = item
        return bool(self._running)

    async def _finish(self, item: WorkItem) -> None:
        self._progress.report(item.id, 0.0)
        self._tell("started", item)
        try:
            await self._run_until_settled(item)
        except TERMINAL as error:
            await asyncio.to_thread(self._records.record_failure, item, error)
            self._failed.add(item.id)
            self._progress.fail(item.id)
            self._tell("failed", item, error)
            return
        self._committed.add(item.id)
        self._progress.commit(item.id)
        self._tell("committed", item)

    async def _run_until_settled(self, item: WorkItem) -> None:
        patience, crashes = _Patience(self._patience_s, self._clock), 0
        while True:
            try:
                await self._run_with_codes(item, self._reporter(item, patience))
                return
            except (*TERMINAL, *BLAMELESS):
                raise
            except (Unavailable, ResourceExhausted, Interrupted) as error:
                if isinstance(error, WorkerDied):
                    crashes = self._counted(crashes, error)
                if not isinstance(error, ResourceExhausted) and patience.is_over():
                    raise
                cause: DisentanglementError = error
            except DisentanglementError as error:
                crashes = self._counted(crashes, error)
                cause = error
            self._tell("retrying", item, cause)
            await asyncio.sleep(patience.next_pause_s())

    def _counted(self, crashes: int, error: DisentanglementError) -> int:
        if crashes + 1 == ATTEMPTS:
            raise TrainingFailed(f"failed {ATTEMPTS} times, at last with: {error}") from error
        return crashes + 1

    async def _run_with_codes(self, item: WorkItem, report: Report) -> None:
        """Runs a step; where the codes that it reads were evicted, has them extracted again first."""
        try:
            await self._run_item(item, report)
        except CodesMissing:
            await self._run_item(self._extraction_before(item), report)
            await self._run_item(item, report)

    def _extraction_before(self, item: WorkItem) -> WorkItem:
        assert isinstance(item.spec, EvaluateSpec)
        wanted = ("postprocess", item.upstream[0])
        return next(other for other in steps_of(self._models[item.number]) if other.id == wanted)

    def _reporter(self, item: WorkItem, patience: _Patience) -> Report:
        def report(progress: Progress) -> None:
            patience.heard(progress)
            self._progress.report(item.id, progress.fraction)
            self._tell("progress", item, progress=progress)

        return report

    def _tell(
        self,
        kind: str,
        item: WorkItem | None = None,
        error: DisentanglementError | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._watch(StudyEvent(kind, item, self._progress.snapshot(), error, progress))

    async def _stop(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


class _Patience:
    """How long one step may come no further: counted from its first failure after it got further than ever before."""

    def __init__(self, limit_s: float, clock: Callable[[], float]) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._furthest = 0.0
        self._failing_since: float | None = None
        self._pause_s = FIRST_PAUSE_S

    def heard(self, progress: Progress) -> None:
        """The step is so far."""
        if progress.fraction > self._furthest:
            self._furthest, self._failing_since, self._pause_s = progress.fraction, None, FIRST_PAUSE_S

    def is_over(self) -> bool:
        """Whether a step that has just failed has failed for too long."""
        now = self._clock()
        self._failing_since = now if self._failing_since is None else self._failing_since
        return now - self._failing_since > self._limit_s

    def next_pause_s(self) -> float:
        """Before the next try: twice the last one, up to a limit."""
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        return pause_s
