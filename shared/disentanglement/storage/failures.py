"""Failure records: a step of a study that cannot succeed as specified. A manifest beats them, a retry deletes
them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, JsonValue

from disentanglement.errors import ArtifactNotFound
from disentanglement.specs import Step, StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.keys import FailureKey, ManifestKey, RetryKey
from disentanglement.storage.manifests import Record
from disentanglement.storage.store import Store


class FailureRecord(Record):
    """Why a step failed for good. `reason` is the error's stable name (`NON_FINITE_LOSS`)."""

    step: Step
    step_key: str
    reason: str
    message: str
    at: datetime
    attempt: str = ""
    details: dict[str, JsonValue] = Field(default_factory=dict)


def record_failure(store: Store, project: str, study: str, record: FailureRecord) -> None:
    """Write down that a step failed for good; a later record replaces an earlier one."""
    key = FailureKey(project, study, record.step, StepKey.parse(record.step_key))
    store.put(key, record.to_bytes())


def failure(store: Store, project: str, study: str, step: Step, step_key: StepKey) -> FailureRecord | None:
    """The failure record of a step, unless the step is done after all."""
    key = FailureKey(project, study, step, step_key)
    try:
        record = FailureRecord.from_bytes(key, store.get(key))
    except ArtifactNotFound:
        return None
    return None if store.head(ManifestKey(step, step_key)) else record


def list_failed(store: Store, project: str, study: str, step: Step, cell: str = "") -> set[StepKey]:
    """The keys that have a failure record, done after all or not: take away `list_committed`. One listing."""
    found = (info.key for info in store.list(prefixes.failures(project, study, step, cell)))
    return {key.step_key for key in found if isinstance(key, FailureKey)}


def clear_failure(store: Store, project: str, study: str, step: Step, step_key: StepKey) -> None:
    """Forget a failure, so that the step is tried again."""
    store.delete(FailureKey(project, study, step, step_key))


class RetryRecord(Record):
    """Up to which retry (a number that only rises) failures were forgotten, for which owner of the study."""

    owner: str
    generation: int


def mark_cleared(store: Store, project: str, study: str, generation: int, owner: str = "") -> None:
    """Write down that all failures before this retry are forgotten: those recorded from now on count."""
    store.put(RetryKey(project, study), RetryRecord(owner=owner, generation=generation).to_bytes())


def cleared_generation(store: Store, project: str, study: str, owner: str = "") -> int:
    """Up to which retry failures were forgotten; 0 for another owner (a study deleted and made again counts anew)."""
    key = RetryKey(project, study)
    try:
        record = RetryRecord.from_bytes(key, store.get(key))
    except ArtifactNotFound:
        return 0
    return record.generation if record.owner == owner else 0
