"""Single trainings in a cluster: each is a Study of one model, and its state is read off that and the store.

It has the methods of `steps.executor.Executor` that the trainer asks for, and computes nothing itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from disentanglement.cluster.kinds import Object, selector
from disentanglement.cluster.names import DEFAULT_PROJECT, MANAGED_BY_LABEL, PART_OF, PART_OF_LABEL, TRAINER
from disentanglement.cluster.studies import ClusterStudies, require_project
from disentanglement.cluster.submission import study_resource
from disentanglement.errors import ArtifactNotFound, DisentanglementError, TrainingFailed
from disentanglement.jobs.states import JobState
from disentanglement.specs import Step, StepKey
from disentanglement.steps.executor import Job
from disentanglement.steps.messages import error_from_plain, item_from_plain, item_to_plain
from disentanglement.storage.failures import failure
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
from disentanglement.studies.pending import WorkItem

log = logging.getLogger(__name__)

LOOK_EVERY_S = 3.0
TIDY_EVERY_S = 300.0
LABELS = {PART_OF_LABEL: PART_OF, MANAGED_BY_LABEL: TRAINER}
"""Of the resources of single trainings."""
HASH_CHARACTERS = 26


class ClusterTraining:
    """Training jobs of our own namespace."""

    def __init__(
        self,
        store: Store,
        studies: ClusterStudies,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._studies = studies
        self._now = now
        self._sleep = sleep

    async def submit(self, item: WorkItem, *, project: str) -> Job:
        """The job of a training: finished, under way, or asked for now. A failed or cancelled one is tried again.

        Raises:
            SpecError: a project that has no namespace here.
        """
        require_project(project)
        return await asyncio.to_thread(self._submit, item)

    async def get(self, project: str, step: Step, key: StepKey) -> Job:
        """The job as it stands.

        Raises:
            ArtifactNotFound: nobody of this project asked for the training.
        """
        return await asyncio.to_thread(self._get, project, step, key)

    async def jobs(self, project: str, step: Step) -> list[StepKey]:
        """Keys of the trainings that a project asked for, in order."""
        return await asyncio.to_thread(lambda: list(list_jobs(self._store, project, step)))

    async def watch(self, project: str, step: Step, key: StepKey, *, after: int = -1) -> AsyncIterator[Job]:
        """The job now and every few seconds until its state is final; who sends it leaves out what repeats."""
        while True:
            job = await self.get(project, step, key)
            yield job
            if job.state.is_final:
                return
            await self._sleep(LOOK_EVERY_S)

    async def cancel(self, project: str, step: Step, key: StepKey) -> Job:
        """Stops the training for good, with a checkpoint in place; cancelling a finished one changes nothing."""
        job = await self.get(project, step, key)
        if not job.state.is_final:
            await asyncio.to_thread(cancel_job, self._store, project, step, key)
            await asyncio.to_thread(self._studies.remove, one_model_name(key))
        return await self.get(project, step, key)

    async def tidy(self) -> None:
        """Removes, every few minutes, the resources of trainings that are done: the manifest says so from then on, and
        each that stays is looked at again and again. Runs until it is cancelled."""
        while True:
            try:
                await asyncio.to_thread(self._studies.remove_succeeded, selector(LABELS))
            except DisentanglementError as error:  # the next time, then
                log.warning("finished trainings could not be removed", extra={"cause": str(error)})
            await self._sleep(TIDY_EVERY_S)

    def _submit(self, item: WorkItem) -> Job:
        standing = self._known(item)
        if standing is not None and standing.state not in (JobState.FAILED, JobState.CANCELLED):
            return standing
        record = JobRecord(
            project=DEFAULT_PROJECT,
            step=item.step,
            step_key=str(item.key),
            item=item_to_plain(item),
            created=self._now(),
        )
        put_job(self._store, record)
        forget_cancellation(self._store, DEFAULT_PROJECT, item.step, item.key)
        if not self._is_committed(item):
            self._ask(item, again=self._has_failed(standing, item))
        return self._stored(record)

    def _has_failed(self, standing: Job | None, item: WorkItem) -> bool:
        """Also of a resource that was deleted since: the record stays, and would fail the next one at once."""
        if standing is not None and standing.state is JobState.FAILED:
            return True
        return failure(self._store, DEFAULT_PROJECT, one_model_name(item.key), item.step, item.key) is not None

    def _known(self, item: WorkItem) -> Job | None:
        try:
            return self._get(DEFAULT_PROJECT, item.step, item.key)
        except ArtifactNotFound:
            return None

    def _ask(self, item: WorkItem, *, again: bool = False) -> None:
        """Makes the resource; `again` lets the failed model of one that stands be tried again."""
        self._studies.ask(one_model_study(item))
        if again:
            self._studies.retry(one_model_name(item.key))

    def _get(self, project: str, step: Step, key: StepKey) -> Job:
        return self._stored(get_job(self._store, project, step, key))

    def _stored(self, record: JobRecord) -> Job:
        item = item_from_plain(record.item)
        state, error = self._state(record.project, item)
        return Job(record.project, item, state, record.created, error=error)

    def _state(self, project: str, item: WorkItem) -> tuple[JobState, DisentanglementError | None]:
        if self._is_committed(item):
            return JobState.SUCCEEDED, None
        if is_cancelled(self._store, project, item.step, item.key):
            return JobState.CANCELLED, None
        standing = self._studies.standing(one_model_name(item.key))
        if not standing.is_there:  # deleted with kubectl
            return JobState.CANCELLED, None
        if not standing.is_tried_again:
            failed = failure(self._store, project, one_model_name(item.key), item.step, item.key)
            if failed is not None:
                return JobState.FAILED, error_from_plain(failed.details)
            if standing.refused:
                return JobState.FAILED, TrainingFailed(standing.refused)
        return (JobState.RUNNING if standing.running else JobState.QUEUED), None

    def _is_committed(self, item: WorkItem) -> bool:
        return self._store.head(ManifestKey(item.step, item.key)) is not None


def one_model_name(key: StepKey) -> str:
    """The name of the study that trains one model: part of the hash in its key."""
    return f"train_{str(key).rpartition('.')[2][:HASH_CHARACTERS]}"


def one_model_study(item: WorkItem) -> Object:
    """The resource that trains one model and scores nothing."""
    model = item.spec.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    spec = {"inline": {"model": model, "representations": ["mean"]}, "metrics": []}
    resource = study_resource(one_model_name(item.key), spec)
    return {**resource, "metadata": {**resource["metadata"], "labels": dict(LABELS)}}
