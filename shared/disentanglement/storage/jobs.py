"""What of a job survives a restart: who asked for which step, whether it was cancelled, and how it failed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Self

from pydantic import JsonValue

from disentanglement.errors import ArtifactNotFound
from disentanglement.specs import Step, StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.failures import FailureRecord
from disentanglement.storage.keys import CancellationKey, JobKey
from disentanglement.storage.manifests import Record
from disentanglement.storage.store import Store


class JobRecord(Record):
    """A submitted job: its work item as plain JSON, and its failure if it has failed."""

    project: str
    step: Step
    step_key: str
    item: dict[str, JsonValue]
    created: datetime
    failure: FailureRecord | None = None

    @property
    def key(self) -> JobKey:
        """Where the record is."""
        return JobKey(self.project, self.step, self.step_key)

    def failed(self, failure: FailureRecord) -> Self:
        """The record of the failed job."""
        return self.model_copy(update={"failure": failure})


def put_job(store: Store, record: JobRecord) -> None:
    """Write a job down, replacing an earlier record."""
    store.put(record.key, record.to_bytes())


def get_job(store: Store, project: str, step: Step, step_key: StepKey) -> JobRecord:
    """A project's job for a step.

    Raises:
        ArtifactNotFound: nobody of this project asked for the step.
    """
    key = JobKey(project, step, str(step_key))
    try:
        return JobRecord.from_bytes(key, store.get(key))
    except ArtifactNotFound:
        raise ArtifactNotFound(f"project {project} has no {step} job {step_key}") from None


def list_jobs(store: Store, project: str, step: Step) -> Iterator[StepKey]:
    """The steps that a project asked for, in the order of their keys."""
    for info in store.list(prefixes.jobs(project, step)):
        if isinstance(info.key, JobKey):
            yield StepKey.parse(info.key.job)


def cancel_job(store: Store, project: str, step: Step, step_key: StepKey) -> None:
    """Write down that a job shall stop for good."""
    store.put(CancellationKey(project, step, str(step_key)), b"{}")


def is_cancelled(store: Store, project: str, step: Step, step_key: StepKey) -> bool:
    """Whether a job was cancelled and not asked for again."""
    return store.head(CancellationKey(project, step, str(step_key))) is not None


def forget_cancellation(store: Store, project: str, step: Step, step_key: StepKey) -> None:
    """A cancelled job is asked for again."""
    store.delete(CancellationKey(project, step, str(step_key)))
