"""Single trainings in a cluster: each is a Study of one model, and its state is read off that and the store.

It has the methods of `steps.executor.Executor` that the trainer asks for, and computes nothing itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from disentanglement.cluster.kinds import STUDIES, Kind, Object, ObjectName
from disentanglement.cluster.names import DEFAULT_PROJECT, resource_name
from disentanglement.cluster.submission import inline_spec, study_resource
from disentanglement.errors import ArtifactConflict, DisentanglementError, SpecError, TrainingFailed
from disentanglement.jobs.states import JobState
from disentanglement.specs import RepresentationSpec, Step, StepKey, StudySpec, TrainSpec
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

LOOK_EVERY_S = 3.0
HASH_CHARACTERS = 26


class Resources(Protocol):
    """The part of the door that asking for studies takes."""

    namespace: str

    def find(self, kind: Kind, where: ObjectName) -> Object | None: ...
    def create(self, kind: Kind, item: Object) -> Object: ...
    def merge(self, kind: Kind, where: ObjectName, change: Object, *, subresource: str = "") -> Object: ...
    def delete(self, kind: Kind, where: ObjectName, *, uid: str = "", propagation: str = "Background") -> None: ...


class ClusterTraining:
    """Training jobs of our own namespace."""

    def __init__(
        self,
        store: Store,
        api: Resources,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._api = api
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
            await asyncio.to_thread(self._api.delete, STUDIES, self._where(key))
        return await self.get(project, step, key)

    def _submit(self, item: WorkItem) -> Job:
        standing = self._known(item)
        if standing is not None and standing.state in (JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED):
            if standing.state is not JobState.SUCCEEDED:
                self._ask(item)  # who asked before may have died before the resource was there
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
            self._ask(item, again=standing is not None and standing.state is JobState.FAILED)
        return self._stored(record)

    def _known(self, item: WorkItem) -> Job | None:
        if item.key not in set(list_jobs(self._store, DEFAULT_PROJECT, item.step)):
            return None
        return self._get(DEFAULT_PROJECT, item.step, item.key)

    def _ask(self, item: WorkItem, *, again: bool = False) -> None:
        """Makes the resource; `again` lets the failed model of the one that stands be tried again."""
        try:
            self._api.create(STUDIES, one_model_study(item, self._api.namespace))
        except ArtifactConflict:
            where = self._where(item.key)
            standing = self._api.find(STUDIES, where) if again else None
            if standing is not None:
                generation = int(standing["spec"].get("retryGeneration") or 0) + 1
                self._api.merge(STUDIES, where, {"spec": {"retryGeneration": generation}})

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
        study = self._api.find(STUDIES, self._where(item.key))
        if study is None:  # deleted with kubectl
            return JobState.CANCELLED, None
        if not _is_tried_again(study):
            failed = failure(self._store, project, one_model_name(item.key), item.step, item.key)
            if failed is not None:
                return JobState.FAILED, error_from_plain(failed.details)
            if (refused := refusal(study)) is not None:
                return JobState.FAILED, TrainingFailed(refused)
        running = int((study.get("status") or {}).get("running") or 0)
        return (JobState.RUNNING if running else JobState.QUEUED), None

    def _is_committed(self, item: WorkItem) -> bool:
        return self._store.head(ManifestKey(item.step, item.key)) is not None

    def _where(self, key: StepKey) -> ObjectName:
        return ObjectName(self._api.namespace, resource_name(one_model_name(key)))


def one_model_name(key: StepKey) -> str:
    """The name of the study that trains one model: part of the hash in its key."""
    return f"train_{str(key).rpartition('.')[2][:HASH_CHARACTERS]}"


def one_model_study(item: WorkItem, namespace: str) -> Object:
    """The resource that trains one model and scores nothing."""
    assert isinstance(item.spec, TrainSpec)
    representations = (RepresentationSpec.model_validate("mean"),)
    study = StudySpec(name=one_model_name(item.key), model=item.spec, representations=representations, metrics=())
    return study_resource(study.name, inline_spec(study), namespace=namespace)


def require_project(project: str) -> None:
    """SpecError unless the project is that of our own namespace."""
    if project != DEFAULT_PROJECT:
        wanted = f"projects/{DEFAULT_PROJECT} (in other namespaces, Studies are made with kubectl)"
        raise SpecError.of("parent", wanted, f"projects/{project}")


def refusal(study: Object) -> str | None:
    """Why a study will not be worked off as it is written; None where that is not so."""
    for condition in (study.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Accepted" and condition.get("status") == "False":
            return f"{condition.get('reason')}: {condition.get('message')}"
    return None


def _is_tried_again(study: Object) -> bool:
    """Whether a retry was asked for that the controller has not begun yet."""
    observed = int((study.get("status") or {}).get("observedRetryGeneration") or 0)
    return int(study["spec"].get("retryGeneration") or 0) > observed
