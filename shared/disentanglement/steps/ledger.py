"""What the store says of a study's steps: done, failed, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from disentanglement.errors import DisentanglementError
from disentanglement.specs import STEPS, StepKey
from disentanglement.steps.messages import error_to_plain
from disentanglement.storage.commit import list_committed
from disentanglement.storage.failures import FailureRecord, clear_failure, failure, list_failed, record_failure
from disentanglement.storage.store import Store
from disentanglement.studies.pending import StepId, WorkItem, steps_of
from disentanglement.studies.plan import Plan


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class StudyLedger:
    """One study's steps in the store: a few listings per cell, never an object per step."""

    store: Store
    project: str
    study: str
    now: Callable[[], datetime] = _utc_now

    def committed(self, plan: Plan) -> set[StepId]:
        """Steps of the plan with a manifest."""
        done: set[StepId] = set()
        for step in STEPS:
            for cell in plan.cells:
                done |= {(step, key) for key in list_committed(self.store, step, cell)}
        return done & _ids(plan)

    def failed(self, plan: Plan) -> set[StepId]:
        """Steps of the plan with a failure record and no manifest."""
        return self._recorded_failures(plan) - self.committed(plan)

    def failures(self, plan: Plan) -> list[FailureRecord]:
        """The records of the failed steps."""
        records = (failure(self.store, self.project, self.study, *step_id) for step_id in sorted(self.failed(plan)))
        return [record for record in records if record is not None]

    def record_failure(self, item: WorkItem, error: DisentanglementError) -> None:
        """Write down that a step can not succeed as specified."""
        record_failure(self.store, self.project, self.study, failure_record(item, error, self.now()))

    def forget_failures(self, plan: Plan) -> int:
        """Let failed steps be tried again; how many there were."""
        failed = self.failed(plan)
        for step, key in failed:
            clear_failure(self.store, self.project, self.study, step, key)
        return len(failed)

    def _recorded_failures(self, plan: Plan) -> set[StepId]:
        recorded: set[StepId] = set()
        for step in STEPS:
            keys: set[StepKey] = set()
            for cell in plan.cells:
                keys |= list_failed(self.store, self.project, self.study, step, cell)
            recorded |= {(step, key) for key in keys}
        return recorded & _ids(plan)


def failure_record(item: WorkItem, error: DisentanglementError, at: datetime) -> FailureRecord:
    """Why a step can not succeed as specified, to be written down."""
    return FailureRecord(
        step=item.step,
        step_key=str(item.key),
        reason=error.reason,
        message=str(error)[:4000],
        at=at,
        details=error_to_plain(error),
    )


def _ids(plan: Plan) -> set[StepId]:
    return {item.id for model in plan.models for item in steps_of(model)}
