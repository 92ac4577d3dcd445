"""Studies and their models as messages: what the store says, and what runs here and now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from disentanglement.jobs.states import JobState
from disentanglement.rpc.convert import to_proto
from disentanglement.rpc.names import STUDIES, ModelName, name_of
from disentanglement.rpc.resources import JOB_STATES, Resources, failure
from disentanglement.rpc.study_runs import Happening, StudyRun
from disentanglement.rpc.study_status import StudyStatus, status_of_run
from disentanglement.specs import TrainSpec
from disentanglement.steps.executor import Job
from disentanglement.steps.messages import error_from_plain
from disentanglement.storage.failures import failure as find_failure
from disentanglement.storage.store import Store
from disentanglement.studies.pending import WorkItem, steps_of
from disentanglement.studies.plan import PlannedModel
from disentanglement.studies.records import StudyRecord
from disentanglement.v1 import job_pb2, study_pb2

WATCH_EVERY_S = 0.3


def study_message(status: StudyStatus, *, is_brief: bool = False) -> study_pb2.Study:
    """A study; brief ones have neither cells nor failures."""
    record = status.record
    message = study_pb2.Study(
        name=name_of(record.project, STUDIES, record.study),
        spec=to_proto(record.study_spec(), study_pb2.StudySpec),
        plan_digest=record.plan,
        state=status.state,
    )
    message.progress.total = len(status.items)
    message.progress.step = sum(item.id in status.committed or item.id in status.blocked for item in status.items)
    if status.eta_s is not None:
        message.progress.eta.FromNanoseconds(round(status.eta_s * 1e9))
    message.create_time.FromDatetime(record.created)
    if status.started is not None:
        message.start_time.FromDatetime(status.started)
    if not is_brief:
        message.cells.extend(_cells(status))
        message.sample_failures.extend(_failed_steps(status))
    _set_outcome(message, status)
    return message


def event_message(record: StudyRecord, happening: Happening) -> study_pb2.StudyEvent:
    """One change of a step's state."""
    item = happening.item
    message = study_pb2.StudyEvent(
        model=str(ModelName(record.project, record.study, item.number)),
        step=item.step,
        step_key=str(item.key),
        state=JOB_STATES[happening.state],
    )
    message.time.FromDatetime(happening.at)
    if happening.error is not None:
        message.failure.CopyFrom(failure(happening.error))
    return message


def events_between(before: StudyStatus, after: StudyStatus, at: datetime) -> list[study_pb2.StudyEvent]:
    """Commits and failures between two looks at a study that is driven elsewhere, in the order of the plan."""
    reasons = {(record.step, record.step_key): error_from_plain(record.details) for record in after.failures}
    events = []
    for item in after.items:
        if item.id in after.committed - before.committed:
            events.append(event_message(after.record, Happening(at, item, JobState.SUCCEEDED, None)))
        elif item.id in after.failed - before.failed:
            error = reasons.get((item.step, str(item.key)))
            events.append(event_message(after.record, Happening(at, item, JobState.FAILED, error)))
    return events


class WatchedRun:
    """What somebody who watches a study that is driven here gets to see."""

    def __init__(self, record: StudyRecord, run: StudyRun, seen: int) -> None:
        self._record = record
        self._run = run
        self._seen = min(seen, run.position)

    async def messages(self) -> AsyncIterator[tuple[int, study_pb2.Study, list[study_pb2.StudyEvent]]]:
        """The study now and after changes, with the number of events so far, until its run is over."""
        while not self._run.is_over:
            changed, started = self._run.changed, time.monotonic()
            events = self.remaining_events()
            message = study_message(status_of_run(self._record, self._run))
            took_s = time.monotonic() - started
            yield self._seen, message, events
            await changed.wait()
            await asyncio.sleep(max(WATCH_EVERY_S, 5 * took_s))  # large studies are told of less often

    def remaining_events(self) -> list[study_pb2.StudyEvent]:
        """What happened since it was asked last."""
        happened = self._run.since(self._seen)
        self._seen = self._run.position
        return [event_message(self._record, happening) for happening in happened]


class ModelMessages:
    """Models of a study with everything that is committed of them."""

    def __init__(self, store: Store, status: StudyStatus) -> None:
        self._store = store
        self._status = status
        self._resources = Resources(store)

    async def model(self, model: PlannedModel) -> study_pb2.Model:
        """One model."""
        train, *others = steps_of(model)
        assert isinstance(train.spec, TrainSpec)
        job = await self._resources.training_job(await self._job(train))
        record = self._status.record
        message = study_pb2.Model(
            name=str(ModelName(record.project, record.study, model.number)),
            number=model.number,
            cell=train.spec.cell,
            spec=job.spec,
            step_key=job.step_key,
            state=job.state,
        )
        _copy_outcome(message, job)
        for item in others:
            if item.step == "postprocess":
                message.representations.append(await self._representation(item))
            else:
                evaluated = await self._resources.metric_evaluation(await self._job(item))
                message.representations[-1].metrics.append(evaluated)
        return message

    async def _representation(self, item: WorkItem) -> study_pb2.ModelRepresentation:
        job = await self._resources.representation(await self._job(item))
        message = study_pb2.ModelRepresentation(spec=job.spec, step_key=job.step_key, state=job.state)
        _copy_outcome(message, job)
        return message

    async def _job(self, item: WorkItem) -> Job:
        record, state = self._status.record, self._status.state_of(item)
        job = Job(record.project, item, state, record.created)
        if state is not JobState.FAILED:
            return job
        found = await asyncio.to_thread(find_failure, self._store, record.project, record.study, item.step, item.key)
        return replace(job, error=error_from_plain(found.details)) if found is not None else job


def _copy_outcome(message: Any, job: job_pb2.TrainingJob | job_pb2.Representation) -> None:
    if (outcome := job.WhichOneof("outcome")) is not None:
        getattr(message, outcome).CopyFrom(getattr(job, outcome))


def _cells(status: StudyStatus) -> Iterable[study_pb2.Cell]:
    cells = {name: study_pb2.Cell(cell=name) for name in status.plan.cells}
    for item in status.items:
        counts = getattr(cells[item.key.cell], item.step)  # fields are named like steps
        counts.total += 1
        counts.succeeded += item.id in status.committed
        counts.running += item.id in status.running
        counts.failed += item.id in status.blocked
    return cells.values()


def _failed_steps(status: StudyStatus) -> Iterable[study_pb2.ModelFailure]:
    wanted = {(record.step, record.step_key): record for record in status.failures}
    for item in status.items:
        if (record := wanted.get((item.step, str(item.key)))) is not None:
            yield study_pb2.ModelFailure(
                model=str(ModelName(status.record.project, status.record.study, item.number)),
                step=record.step,
                step_key=record.step_key,
                failure=failure(error_from_plain(record.details)),
            )


def _set_outcome(message: study_pb2.Study, status: StudyStatus) -> None:
    incomplete = {item.number for item in status.items if item.id not in status.committed}
    complete = status.record.num_models - len(incomplete)
    if status.state == study_pb2.STUDY_STATE_SUCCEEDED:
        message.result.complete_models = complete
    elif status.refused and status.state == study_pb2.STUDY_STATE_FAILED:
        message.failure.reason = "REFUSED"
        message.failure.message = status.refused
    elif status.state == study_pb2.STUDY_STATE_FAILED:
        message.failure.reason = "STEPS_FAILED"
        message.failure.message = f"{len(status.failed)} steps failed; {complete} models are complete"
