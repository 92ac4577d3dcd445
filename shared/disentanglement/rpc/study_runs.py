"""The studies that this process drives: one driver each, what has happened in it, and who watches."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from disentanglement.errors import DisentanglementError, Unavailable
from disentanglement.jobs.states import JobState
from disentanglement.specs import Step
from disentanglement.steps.driver import Driver, RunItem, StudyEvent
from disentanglement.steps.ledger import StudyLedger
from disentanglement.storage.failures import clear_failure
from disentanglement.storage.store import Store
from disentanglement.studies.pending import StepId, WorkItem, pending, steps_of
from disentanglement.studies.plan import Plan
from disentanglement.studies.records import is_study_cancelled, list_studies, load_plan, load_study

log = logging.getLogger(__name__)

REMEMBERED_EVENTS = 5000
PAUSE_S = 15.0
"""Before a study is taken up again whose services or store stayed away."""

STATES = {"started": JobState.RUNNING, "committed": JobState.SUCCEEDED, "failed": JobState.FAILED}


@dataclass(frozen=True, slots=True)
class Happening:
    """One step changed its state."""

    at: datetime
    item: WorkItem
    state: JobState
    error: DisentanglementError | None


class StudyRun:
    """One study being driven."""

    def __init__(self, plan: Plan, ledger: StudyLedger) -> None:
        self.plan = plan
        self.items = items_of(plan)
        self.ledger = ledger
        self.committed: set[StepId] = set()
        self.failed: set[StepId] = set()
        self.running: dict[StepId, WorkItem] = {}
        self.eta_s: float | None = None
        self.started: datetime | None = None
        self.position = 0
        """How many events there were."""
        self.is_over = False
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._happenings: deque[Happening] = deque(maxlen=REMEMBERED_EVENTS)

    def hear(self, event: StudyEvent) -> None:
        """Something happened."""
        self.eta_s = event.snapshot.eta_s
        if event.item is not None and (state := STATES.get(event.kind)) is not None:
            self._note(event.item, state, event.error)
        self._tell()

    def end(self) -> None:
        """Nothing more will happen."""
        self.is_over, self.eta_s = True, None
        self.running.clear()
        self._tell()

    def since(self, position: int) -> list[Happening]:
        """What happened after the first `position` events, as far as it is remembered."""
        count = min(len(self._happenings), max(0, self.position - position))
        return list(self._happenings)[len(self._happenings) - count :]

    def _note(self, item: WorkItem, state: JobState, error: DisentanglementError | None) -> None:
        now = datetime.now(UTC)
        self.started = self.started or now
        self.running.pop(item.id, None)
        match state:
            case JobState.RUNNING:
                self.running[item.id] = item
            case JobState.SUCCEEDED:
                self.committed.add(item.id)
            case _:
                self.failed.add(item.id)
        self._happenings.append(Happening(now, item, state, error))
        self.position += 1

    def _tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


def items_of(plan: Plan) -> tuple[WorkItem, ...]:
    """Every step of a plan, inputs before outputs, with their keys worked out."""
    items = tuple(item for model in plan.models for item in steps_of(model))
    for item in items:
        _ = item.key
    return items


MOST_PLANS = 4


class Plans:
    """Plans of a store with their items; the last few are kept, since a large one takes seconds to be made."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: OrderedDict[str, tuple[Plan, tuple[WorkItem, ...]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str) -> tuple[Plan, tuple[WorkItem, ...]]:
        """A plan, and every step of it, inputs before outputs.

        Raises:
            ArtifactNotFound: no such plan.
        """
        with self._lock:
            if digest not in self._known:
                plan = load_plan(self.store, digest)
                self._known[digest] = plan, items_of(plan)
            self._known.move_to_end(digest)
            while len(self._known) > MOST_PLANS:
                self._known.popitem(last=False)
            return self._known[digest]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What whoever works a study off says of it, if that is not this process."""

    is_driven: bool = False
    is_paused: bool = False
    is_gone: bool = False
    """Nobody works it off, and nobody will: it was deleted there."""
    refused: str = ""
    """Why it will not be worked off as it is written."""


StopItem = Callable[[WorkItem], Awaitable[None]]


class StudyRuns:
    """Begins, stops and finds the runs of studies."""

    def __init__(
        self,
        store: Store,
        steps_of_project: Callable[[str], tuple[RunItem, StopItem]],
        *,
        capacity: Mapping[Step, int],
    ) -> None:
        self._store = store
        self._steps_of_project = steps_of_project
        self._capacity = capacity
        self._runs: dict[tuple[str, str], StudyRun] = {}
        self._locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        """Of the studies that begin or stop."""
        self._errors: dict[tuple[str, str], DisentanglementError] = {}

    def check(self, project: str, study: str) -> None:
        """Any study can be driven here."""

    async def elsewhere(self, project: str, study: str) -> Elsewhere:
        """Nobody else drives studies."""
        return Elsewhere()

    def find(self, project: str, study: str) -> StudyRun | None:
        """The run of a study that is going on here."""
        return self._runs.get((project, study))

    def error_of(self, project: str, study: str) -> DisentanglementError | None:
        """Why a study that is not finished is not driven any more; None once it is begun or stopped again."""
        return self._errors.get((project, study))

    async def begin(self, project: str, study: str) -> None:
        """Drives a study from where it stands; a run of another plan is replaced."""
        async with self._locks[project, study]:
            await self._begin(project, study)

    async def stop(self, project: str, study: str, *, for_good: bool = False) -> None:
        """Stops driving; `for_good` also asks the running steps to stop."""
        async with self._locks[project, study]:
            await self._stop(project, study, for_good=for_good)

    async def retry(self, project: str, study: str, steps: Sequence[StepId], *, are_all: bool) -> None:
        """Forgets failures, and drives the study again."""
        await self.stop(project, study)
        for step_id in steps:
            await asyncio.to_thread(clear_failure, self._store, project, study, *step_id)
        await self.begin(project, study)

    async def _begin(self, project: str, study: str) -> None:
        record = await asyncio.to_thread(load_study, self._store, project, study)
        running = self.find(project, study)
        if running is not None and running.plan.digest == record.plan:
            return
        await self._stop(project, study)
        plan = await asyncio.to_thread(load_plan, self._store, record.plan)
        run = await asyncio.to_thread(StudyRun, plan, StudyLedger(self._store, project, study))
        self._runs[project, study] = run
        run.task = asyncio.create_task(self._drive(project, study, run))

    async def _stop(self, project: str, study: str, *, for_good: bool = False) -> None:
        self._errors.pop((project, study), None)
        run = self._runs.pop((project, study), None)
        if run is None or run.task is None:
            return
        running = list(run.running.values())
        run.task.cancel()
        await asyncio.wait([run.task])
        run.end()
        if for_good:
            _, stop_item = self._steps_of_project(project)
            results = await asyncio.gather(*map(stop_item, running), return_exceptions=True)
            for item, result in zip(running, results, strict=True):
                if isinstance(result, BaseException):
                    log.warning("step not stopped", extra={"step_key": str(item.key), "cause": str(result)})

    async def resume(self, projects: Sequence[str]) -> None:
        """Goes on with the studies that are neither finished nor cancelled."""
        for project in projects:
            for study in await asyncio.to_thread(self._unfinished, project):
                await self.begin(project, study)

    async def drain(self) -> None:
        """Stops driving everything; what runs in the services goes on."""
        await asyncio.gather(*(self.stop(*name) for name in list(self._runs)))

    async def _drive(self, project: str, study: str, run: StudyRun) -> None:
        try:
            while not await self._is_driven_to_its_end(project, run):
                await asyncio.sleep(PAUSE_S)
        except DisentanglementError as error:
            log.exception("study stopped", extra={"study": study})
            self._errors[project, study] = error
        except Exception as error:  # a defect: whoever watches has to learn of it
            log.exception("unexpected error in a study", extra={"study": study})
            self._errors[project, study] = DisentanglementError(f"{type(error).__name__}: {error}")
        finally:
            run.end()
            if self._runs.get((project, study)) is run:
                del self._runs[project, study]

    async def _is_driven_to_its_end(self, project: str, run: StudyRun) -> bool:
        run_item, _ = self._steps_of_project(project)
        try:
            run.committed = set(await asyncio.to_thread(run.ledger.committed, run.plan))
            run.failed = set(await asyncio.to_thread(run.ledger.failed, run.plan))
            run.running.clear()
            workers = max(self._capacity.values())  # the services may share one machine
            driver = Driver(run.plan, run.ledger, run_item, capacity=self._capacity, watch=run.hear, workers=workers)
            await driver.run()
        except Unavailable as error:
            log.warning("study waits", extra={"study": run.plan.study, "cause": str(error)})
            return False
        return True

    def _unfinished(self, project: str) -> list[str]:
        names = []
        for record in list_studies(self._store, project):
            if is_study_cancelled(self._store, project, record.study):
                continue
            plan, ledger = load_plan(self._store, record.plan), StudyLedger(self._store, project, record.study)
            if next(pending(plan.models, ledger.committed(plan), ledger.failed(plan)), None) is not None:
                names.append(record.study)
        return names
