"""Where a study stands: what the store says, and what is known of those that are driven now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from disentanglement.jobs.states import JobState
from disentanglement.rpc.study_drivers import StudyDriver
from disentanglement.rpc.study_runs import Plans, StudyRun
from disentanglement.specs import Step
from disentanglement.steps.ledger import StudyLedger
from disentanglement.storage.failures import FailureRecord
from disentanglement.storage.failures import failure as find_failure
from disentanglement.studies.pending import StepId, WorkItem
from disentanglement.studies.plan import Plan
from disentanglement.studies.records import StudyRecord, is_study_cancelled, load_study
from disentanglement.v1 import study_pb2

SAMPLE_FAILURES = 20
FINAL_STATES = (study_pb2.STUDY_STATE_SUCCEEDED, study_pb2.STUDY_STATE_FAILED, study_pb2.STUDY_STATE_CANCELLED)


@dataclass(frozen=True)
class StudyStatus:
    """A study as it stands."""

    record: StudyRecord
    plan: Plan
    items: tuple[WorkItem, ...]
    """Every step, inputs before outputs."""
    committed: frozenset[StepId]
    failed: frozenset[StepId]
    running: frozenset[StepId] = frozenset()
    eta_s: float | None = None
    started: datetime | None = None
    is_driven: bool = False
    is_paused: bool = False
    is_cancelled: bool = False
    is_gone: bool = False
    """Whoever drives studies knows of none such any more."""
    refused: str = ""
    """Why whoever drives studies will not drive this one as it is written."""
    failures: tuple[FailureRecord, ...] = field(default=())

    @cached_property
    def blocked(self) -> frozenset[StepId]:
        """Steps that failed, or wait for one that did."""
        lost = set(self.failed)
        for item in self.items:
            if item.id not in self.committed and any(_input(item, i) in lost for i in range(len(item.upstream))):
                lost.add(item.id)
        return frozenset(lost)

    @property
    def state(self) -> study_pb2.StudyState.ValueType:
        """Where the study stands."""
        if self.is_cancelled:
            return study_pb2.STUDY_STATE_CANCELLED
        if self.is_driven:
            return study_pb2.STUDY_STATE_RUNNING
        if all(item.id in self.committed for item in self.items):
            return study_pb2.STUDY_STATE_SUCCEEDED
        if self.refused:
            return study_pb2.STUDY_STATE_FAILED
        if self.is_paused:
            return study_pb2.STUDY_STATE_PAUSED
        if all(item.id in self.committed or item.id in self.blocked for item in self.items):
            return study_pb2.STUDY_STATE_FAILED
        return study_pb2.STUDY_STATE_CANCELLED if self.is_gone else study_pb2.STUDY_STATE_PENDING

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens unless somebody asks."""
        return self.state in FINAL_STATES

    def state_of(self, item: WorkItem) -> JobState:
        """Where one step stands."""
        if item.id in self.committed:
            return JobState.SUCCEEDED
        if item.id in self.running:
            return JobState.RUNNING
        return JobState.FAILED if item.id in self.failed else JobState.QUEUED


def status_of_run(record: StudyRecord, run: StudyRun) -> StudyStatus:
    """The status of a study that is driven here; asks the store for nothing."""
    return StudyStatus(
        record,
        run.plan,
        run.items,
        frozenset(run.committed),
        frozenset(run.failed),
        frozenset(run.running),
        run.eta_s,
        run.started,
        is_driven=not run.is_over,
    )


async def load_status(plans: Plans, driver: StudyDriver, project: str, study: str) -> StudyStatus:
    """A study as it stands.

    Raises:
        ArtifactNotFound: the project has no such study.
    """
    record = await asyncio.to_thread(load_study, plans.store, project, study)
    run = driver.find(project, study)
    if run is not None and run.plan.digest == record.plan:
        status = status_of_run(record, run)
        if not run.failed:
            return status
        return replace(status, failures=await asyncio.to_thread(_failures, run.ledger, run.failed))
    status = await asyncio.to_thread(_stored_status, plans, record)
    known = await driver.elsewhere(project, study)
    return replace(
        status,
        is_driven=known.is_driven,
        is_paused=known.is_paused,
        is_gone=known.is_gone,
        refused=known.refused,
    )


def _stored_status(plans: Plans, record: StudyRecord) -> StudyStatus:
    store, ledger = plans.store, StudyLedger(plans.store, record.project, record.study)
    plan, items = plans.get(record.plan)
    committed = ledger.committed(plan)
    failed = ledger.failed(plan)
    is_cancelled = is_study_cancelled(store, record.project, record.study)
    failures = _failures(ledger, failed)
    return StudyStatus(
        record,
        plan,
        items,
        frozenset(committed),
        frozenset(failed),
        is_cancelled=is_cancelled,
        failures=failures,
    )


def _failures(ledger: StudyLedger, failed: Iterable[StepId]) -> tuple[FailureRecord, ...]:
    some = sorted(failed)[:SAMPLE_FAILURES]
    records = (find_failure(ledger.store, ledger.project, ledger.study, *step_id) for step_id in some)
    return tuple(record for record in records if record is not None)


def _input(item: WorkItem, position: int) -> StepId:
    before: tuple[Step, ...] = ("train",) if item.step == "postprocess" else ("postprocess", "train")
    return before[position], item.upstream[position]
