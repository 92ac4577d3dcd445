"""Runs steps for a service: answers from the store, joins what runs already, else computes in the pool.

Submitting the same step twice gives one job. A job's state follows from the store (manifest, cancellation, failure in
its record) and from what runs in this process, so a restarted service finds every job as it was and goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from disentanglement.errors import (
    Cancelled,
    CodesMissing,
    DisentanglementError,
    Interrupted,
    ResourceExhausted,
    StepNotCommitted,
    TrainingFailed,
    Unavailable,
)
from disentanglement.jobs.states import JobState, move
from disentanglement.specs import Step, StepKey
from disentanglement.steps.ledger import failure_record
from disentanglement.steps.messages import error_from_plain, item_from_plain, item_to_plain
from disentanglement.steps.pool import WorkerPool
from disentanglement.steps.progress import Progress, Speed
from disentanglement.steps.representations import is_complete
from disentanglement.storage.commit import list_committed
from disentanglement.storage.jobs import (
    JobRecord,
    cancel_job,
    forget_cancellation,
    get_job,
    is_cancelled,
    list_jobs,
    put_job,
)
from disentanglement.storage.keys import ManifestKey
from disentanglement.storage.store import Store
from disentanglement.studies.pending import StepId, WorkItem

log = logging.getLogger(__name__)

ATTEMPTS = 3
PAUSE_S, LONGEST_PAUSE_S = 1.0, 10.0
CANCEL_GRACE_S: dict[Step, float] = {"train": 20.0, "postprocess": 20.0, "evaluate": 0.3}
"""A step that is to stop is asked to; after this time its process is ended. A score in the making leaves nothing."""
RESUME_PAUSE_S, RESUME_TRIES = 10.0, 8640
"""For a day, a full queue or a store that is away keeps nobody's unfinished job from being taken up again."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """One step that somebody asked for. `revision` rises with every change that this process sees."""

    project: str
    item: WorkItem
    state: JobState
    created: datetime
    revision: int = 0
    progress: Progress | None = None
    rate: float | None = None
    """Units of the progress a second, lately."""
    error: DisentanglementError | None = None
    ended: datetime | None = None


class _Run:
    """A step that is queued or running here, with everybody who watches it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.projects = {job.project}
        """Who wants it; it is stopped when nobody does."""
        self.callers: set[str] = set()
        """Who asked for it: they take turns."""
        self.changed = asyncio.Condition()
        self.task: asyncio.Task[None] | None = None
        self.is_ending = False
        """Nobody can join any more."""

    async def update(self, **changes: object) -> None:
        """The next revision, told to the watchers."""
        if "state" in changes and changes["state"] != self.job.state:
            move(self.job.state, changes["state"])  # type: ignore[arg-type]
        async with self.changed:
            self.job = replace(self.job, revision=self.job.revision + 1, **changes)  # type: ignore[arg-type]
            self.changed.notify_all()

    async def fail(self, error: DisentanglementError, ended: datetime) -> None:
        """The last revision of a run that came to nothing."""
        if self.job.state is JobState.QUEUED:
            await self.update(state=JobState.RUNNING)
        await self.update(state=JobState.FAILED, error=error, ended=ended)

    async def stop(self) -> None:
        """Cancels what runs, once, and waits for its end."""
        if self.task is None:
            return
        if not self.is_ending:
            self.is_ending = True
            self.task.cancel()
        await asyncio.wait([self.task])

    async def newer_than(self, revision: int) -> Job:
        """The job once it has changed since `revision`, or is final."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.job.revision > revision or self.job.state.is_final)
            return self.job


class Executor:
    """Jobs of the steps in `steps`, computed in `pool`."""

    def __init__(
        self,
        store: Store,
        pool: WorkerPool,
        *,
        steps: tuple[Step, ...],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._pool = pool
        self._steps = steps
        self._now = now
        self._runs: dict[StepId, _Run] = {}
        self._draining = False

    async def submit(self, item: WorkItem, *, project: str, caller: str = "") -> Job:
        """The job of a step: finished, running, or started now. A failed or cancelled one is tried again.

        Callers take turns; `caller` is anything that tells them apart, within a project.

        Raises:
            ResourceExhausted: the queue is full; nothing was written. A caller of whom nothing is in it yet is let in
                until as many callers are.
            Unavailable: this service is draining, or the store is away.
        """
        caller = f"{project} {caller}"
        if (job := await self._joined(item, project, caller)) is not None:
            return job
        if await asyncio.to_thread(is_complete, self._store, item):
            await asyncio.to_thread(self._remember_once, item, project)
            return Job(project, item, JobState.SUCCEEDED, self._now())
        if (job := await self._joined(item, project, caller)) is not None:  # somebody was faster
            return job
        if self._draining:
            raise Unavailable("this server is draining; ask again in a moment")
        self._pool.check_room(self._accepted(caller))
        run = self._runs[item.id] = _Run(Job(project, item, JobState.QUEUED, self._now()))
        run.callers.add(caller)
        try:
            await self._remember(item, project)
        except BaseException:
            self._forget(run)
            raise
        run.task = asyncio.create_task(self._work(run))
        run.task.add_done_callback(lambda task: self._ended(run, task))
        return run.job

    async def get(self, project: str, step: Step, key: StepKey) -> Job:
        """The job as it stands.

        Raises:
            ArtifactNotFound: nobody of this project asked for the step.
        """
        run = self._runs.get((step, key))
        if run is not None and project in run.projects:
            return replace(run.job, project=project)
        record = await asyncio.to_thread(get_job, self._store, project, step, key)
        return await asyncio.to_thread(self._stored, record)

    async def jobs(self, project: str, step: Step) -> list[StepKey]:
        """Keys of the jobs that a project asked for, in order."""
        return await asyncio.to_thread(lambda: list(list_jobs(self._store, project, step)))

    async def watch(self, project: str, step: Step, key: StepKey, *, after: int = -1) -> AsyncIterator[Job]:
        """The job now, then each later revision until its state is final. `after` is the last revision seen."""
        job = await self.get(project, step, key)
        run = self._runs.get((step, key))
        if run is None or project not in run.projects:
            yield job
            return
        while True:
            job = replace(await run.newer_than(after), project=project)
            if project not in run.projects:  # it goes on for others
                yield replace(await self.get(project, step, key), revision=job.revision)
                return
            yield job
            after = job.revision
            if job.state.is_final:
                return

    async def wait(self, project: str, step: Step, key: StepKey, timeout_s: float) -> Job:
        """The job when its state is final, or as it stands after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                async for job in self.watch(project, step, key):
                    if job.state.is_final:
                        return job
        except TimeoutError:
            pass
        return await self.get(project, step, key)

    async def cancel(self, project: str, step: Step, key: StepKey) -> Job:
        """Stops the job for good, with a checkpoint in place; cancelling a finished job changes nothing.

        A step that other projects want too goes on for them.
        """
        job = await self.get(project, step, key)
        if job.state.is_final:
            return job
        await asyncio.to_thread(cancel_job, self._store, project, step, key)
        run = self._runs.get((step, key))
        if run is not None and run.projects > {project}:
            run.projects.remove(project)
            await run.update()
        elif run is not None and project in run.projects:
            await run.stop()
        return await self.get(project, step, key)

    async def resume(self, projects: list[str]) -> None:
        """Starts what a former process left unfinished, one job after the other as there is room.

        Raises:
            ResourceExhausted, Unavailable: the queue was full, or the store away, for `RESUME_TRIES` tries on end.
        """
        for project in projects:
            for step in self._steps:
                for key in await self._tried_again(partial(self._uncommitted, project, step)):
                    await self._tried_again(partial(self._resume, project, step, key))

    async def drain(self) -> None:
        """Stops what runs with checkpoints in place and refuses new work; jobs stay queued in the store."""
        self._draining = True
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.close()

    def _accepted(self, caller: str) -> int:
        """Steps in the queue; of a newcomer's view, callers in it."""
        callers = {each for run in self._runs.values() for each in run.callers}
        return len(self._runs) if caller in callers else min(len(callers), len(self._runs))

    async def _joined(self, item: WorkItem, project: str, caller: str) -> Job | None:
        """The job of what runs already, with this project among those that want it."""
        while (run := self._runs.get(item.id)) is not None:
            if run.is_ending:
                await run.stop()
                continue
            await self._remember(item, project)
            if self._runs.get(item.id) is run and not run.is_ending:
                run.projects.add(project)
                run.callers.add(caller)
                return replace(run.job, project=project)
        return None

    def _forget(self, run: _Run) -> None:
        if self._runs.get(run.job.item.id) is run:
            del self._runs[run.job.item.id]

    def _ended(self, run: _Run, task: asyncio.Task[None]) -> None:
        self._forget(run)  # also where the task was cancelled before it began
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("step ended badly", extra={"step_key": str(run.job.item.key)}, exc_info=error)

    async def _uncommitted(self, project: str, step: Step) -> list[StepKey]:
        done = await asyncio.to_thread(list_committed, self._store, step)
        return [key for key in await self.jobs(project, step) if key not in done]

    async def _resume(self, project: str, step: Step, key: StepKey) -> None:
        job, run = await self.get(project, step, key), self._runs.get((step, key))
        if job.state is JobState.QUEUED and (run is None or project not in run.projects):
            await self.submit(job.item, project=project)

    async def _tried_again(self, ask: Callable[[], Awaitable[T]]) -> T:
        for _ in range(RESUME_TRIES - 1):
            try:
                return await ask()
            except (ResourceExhausted, Unavailable) as error:
                if self._draining:
                    raise
                log.info("unfinished jobs wait", extra={"cause": str(error)})
            await asyncio.sleep(RESUME_PAUSE_S)
        return await ask()

    async def _work(self, run: _Run) -> None:
        try:
            await self._attempts(run)
            await run.update(state=JobState.SUCCEEDED, ended=self._now())
        except asyncio.CancelledError:
            cancelled = not self._draining
            await run.update(state=JobState.CANCELLED if cancelled else JobState.QUEUED, error=Cancelled("cancelled"))
            raise
        except DisentanglementError as error:
            await self._fail(run, error)
        except Exception as error:  # a defect: whoever watches has to learn of it
            log.exception("unexpected error in a step", extra={"step_key": str(run.job.item.key)})
            await self._fail(run, DisentanglementError(f"{type(error).__name__}: {error}"))
        finally:
            self._forget(run)

    async def _fail(self, run: _Run, error: DisentanglementError) -> None:
        """Where the store is away, the error is that, so that whoever asked asks again."""
        run.is_ending = True  # who asks from now on asks for another try
        try:
            await asyncio.to_thread(self._write_failures, run, error)
        except DisentanglementError as not_written:
            log.warning(
                "failure not written",
                extra={"step_key": str(run.job.item.key), "error": str(error), "cause": str(not_written)},
            )
            error = not_written if isinstance(not_written, Unavailable) else error
        finally:
            await run.fail(error, self._now())

    async def _attempts(self, run: _Run) -> None:
        """Tries again what was lost on the way. A store that is away is waited for: that is no fault of the step."""
        tries = lost = 0
        while True:
            try:
                await self._attempt(run)
                return
            except (CodesMissing, StepNotCommitted):
                raise
            except (Unavailable, Interrupted) as error:
                cause: DisentanglementError = error
            tries += 1
            lost += await asyncio.to_thread(self._store_answers, run.job.item)
            if lost == ATTEMPTS:
                raise TrainingFailed(f"failed {ATTEMPTS} times, at last with: {cause}") from cause
            log.warning("step is tried again", extra={"step_key": str(run.job.item.key), "cause": str(cause)})
            await asyncio.sleep(min(PAUSE_S * tries, LONGEST_PAUSE_S))

    async def _attempt(self, run: _Run) -> None:
        loop = asyncio.get_running_loop()
        updates: set[asyncio.Task[None]] = set()
        speed = Speed(loop.time)

        def report(progress: Progress) -> None:
            task = loop.create_task(run.update(progress=progress, rate=speed.after(progress)))
            updates.add(task)
            task.add_done_callback(updates.discard)

        async def started() -> None:
            if run.job.state is JobState.QUEUED:
                await run.update(state=JobState.RUNNING)

        grace_s = CANCEL_GRACE_S[run.job.item.step]
        await self._pool.run(run.job.item, report=report, started=started, grace_s=grace_s, callers=run.callers)
        if updates:
            await asyncio.wait(updates)

    async def _remember(self, item: WorkItem, project: str) -> None:
        await asyncio.to_thread(self._write_record, self._new_record(item, project))

    def _remember_once(self, item: WorkItem, project: str) -> None:
        record = self._new_record(item, project)
        self._store.put(record.key, record.to_bytes(), if_absent=True)

    def _write_record(self, record: JobRecord) -> None:
        put_job(self._store, record)
        forget_cancellation(self._store, record.project, record.step, StepKey.parse(record.step_key))

    def _write_failures(self, run: _Run, error: DisentanglementError) -> None:
        item = run.job.item
        failure = failure_record(item, error, self._now())
        for project in sorted(run.projects):
            put_job(self._store, self._new_record(item, project).failed(failure))

    def _new_record(self, item: WorkItem, project: str) -> JobRecord:
        return JobRecord(
            project=project, step=item.step, step_key=str(item.key), item=item_to_plain(item), created=self._now()
        )

    def _stored(self, record: JobRecord) -> Job:
        item = item_from_plain(record.item)
        job = Job(record.project, item, JobState.QUEUED, record.created)
        if self._is_committed(item):
            return replace(job, state=JobState.SUCCEEDED)
        if record.failure is not None:
            error = error_from_plain(record.failure.details)
            return replace(job, state=JobState.FAILED, error=error, ended=record.failure.at)
        if is_cancelled(self._store, record.project, item.step, item.key):
            return replace(job, state=JobState.CANCELLED)
        return job

    def _is_committed(self, item: WorkItem) -> bool:
        return self._store.head(ManifestKey(item.step, item.key)) is not None

    def _store_answers(self, item: WorkItem) -> bool:
        try:
            self._is_committed(item)
        except Unavailable:
            return False
        return True
