"""Carries out what `reconcile` decided: every action may be done twice, and the rest of a list may be lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from disentanglement.cluster.actions import (
    Action,
    ClearFailures,
    CreateJob,
    DeleteJob,
    EvictCodes,
    RecordFailures,
    UpdateJob,
)
from disentanglement.cluster.kinds import JOBS, PODS, Object, ObjectName, selector
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.cluster.manifests import job_patch
from disentanglement.cluster.mirror import Mirror
from disentanglement.cluster.names import EXCUSED_ANNOTATION, format_numbers
from disentanglement.cluster.observation import StudyObservation
from disentanglement.cluster.pods import INDEX_ANNOTATION, JOB_LABEL, FailedPod, failed_pod
from disentanglement.cluster.state import parse_indexes
from disentanglement.cluster.work_queue import RateLimit
from disentanglement.errors import ArtifactConflict, ArtifactNotFound, TrainingFailed
from disentanglement.specs import STEPS, Step
from disentanglement.steps.messages import error_to_plain
from disentanglement.steps.one_shot import ExitCode
from disentanglement.storage import prefixes
from disentanglement.storage.failures import (
    FailureRecord,
    clear_failure,
    failure,
    list_failed,
    mark_cleared,
    record_failure,
)
from disentanglement.storage.keys import CodesManifestKey, ManifestKey
from disentanglement.storage.store import Store
from disentanglement.studies.pending import StepId

log = logging.getLogger(__name__)

MOST_PODS = 1000
MOST_RECORDS = 50
"""Failures written down (or excused) in one look; their Jobs stay until the next looks have written the rest."""
OUT_OF_MEMORY = "OUT_OF_MEMORY"
_KILLED = 137


class Postponed(Exception):
    """So many Jobs were created a moment ago that the next one has to wait `after_s` seconds."""

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s
        super().__init__(f"after {after_s:.1f} s")


@dataclass
class Effects:
    """The hands of one study's reconcile, for one pass."""

    api: KubernetesApi
    jobs: Mirror
    store: Store
    project: str
    study: str
    """Name in the store."""
    owner: str
    """Uid of the study's resource: one that was deleted and made again counts its retries anew."""
    observation: StudyObservation
    make_job: Callable[[CreateJob], Object]
    creations: RateLimit
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _pods: dict[str, dict[int, list[FailedPod]]] = field(default_factory=dict)
    _num_recorded: int = 0

    def do(self, action: Action) -> None:
        """Carries out one action.

        Raises:
            Postponed: not now, for the sake of the API server.
            Unavailable, ResourceExhausted: the API server or the store.
            SpecError, PermissionDenied: the API server refuses the object.
        """
        match action:
            case CreateJob():
                self._create(action)
            case UpdateJob():
                self._update(action)
            case DeleteJob():
                self._delete(action)
            case RecordFailures():
                self._record(action)
            case ClearFailures():
                self._clear(action)
            case EvictCodes():
                self._evict(action)

    def _create(self, action: CreateJob) -> None:
        if not self.creations.take():
            raise Postponed(self.creations.wait_s())
        try:
            self.jobs.put(self.api.create(JOBS, self.make_job(action)))
        except ArtifactConflict:  # made before; our copy of what there is was older
            return
        log.info(
            "job created",
            extra={"job": action.name, "step": action.step, "cell": action.cell, "indexes": action.num_groups},
        )

    def _update(self, action: UpdateJob) -> None:
        try:
            self.jobs.put(self.api.merge(JOBS, self._where(action.name), job_patch(action)))
        except ArtifactNotFound:
            self.jobs.drop(self._where(action.name))

    def _delete(self, action: DeleteJob) -> None:
        log.info("job deleted", extra={"job": action.name, "why": action.reason})
        try:
            self.api.delete(JOBS, self._where(action.name), uid=action.uid)
        except ArtifactConflict:  # another one has its name by now
            return

    def _record(self, action: RecordFailures) -> None:
        if self._num_recorded >= MOST_RECORDS:
            return
        pods = self._pods_of(action.job, action.index)
        if _has_waited(pods):
            self._excuse(action)
            return
        reason, message = _explained(action, pods)
        for number in action.models:
            for step, key in self._to_blame(action.cell, action.step, number):
                if self._num_recorded >= MOST_RECORDS:
                    break
                self._num_recorded += 1
                record = FailureRecord(
                    step=step,
                    step_key=str(key),
                    reason=reason,
                    message=message,
                    at=self.now(),
                    details={**error_to_plain(TrainingFailed(message)), **_details(pods)},
                )
                record_failure(self.store, self.project, self.study, record)
                log.warning("failed", extra={"model": number, "step": step, "reason": reason, "job": action.job})
        self.observation.expect_changes(action.cell)

    def _excuse(self, action: RecordFailures) -> None:
        """No record of what only waited (store down, an input that is not there yet): another Job gets it.

        That does not go on for ever: workers count their tries in the store, and give up themselves."""
        item = self.jobs.get(self._where(action.job))
        before = parse_indexes(((item or {}).get("metadata", {}).get("annotations") or {}).get(EXCUSED_ANNOTATION))
        if action.index in before:
            return
        self._num_recorded += 1
        change = {EXCUSED_ANNOTATION: format_numbers(sorted(before | {action.index}))}
        log.warning("to be tried again by another job", extra={"job": action.job, "index": action.index})
        try:
            self.jobs.put(self.api.merge(JOBS, self._where(action.job), {"metadata": {"annotations": change}}))
        except ArtifactNotFound:
            self.jobs.drop(self._where(action.job))

    def _to_blame(self, cell: str, step: Step, number: int) -> Iterator[StepId]:
        """Of the steps that have neither a manifest nor a record, asked of the store now: the first, or every score."""
        observed = self.observation.cells.get(cell)
        if observed is None:
            return
        for step_id in observed.keys.ids(step, number):
            done = self.store.head(ManifestKey(*step_id)) is not None
            if done or failure(self.store, self.project, self.study, *step_id) is not None:
                continue
            yield step_id
            if step != "evaluate":
                return

    def _clear(self, action: ClearFailures) -> None:
        number = 0
        for step in STEPS:
            for key in list_failed(self.store, self.project, self.study, step):
                clear_failure(self.store, self.project, self.study, step, key)
                number += 1
        mark_cleared(self.store, self.project, self.study, action.generation, self.owner)
        self.observation.expect_changes()
        log.info("failures forgotten", extra={"study": self.study, "number": number, "generation": action.generation})

    def _evict(self, action: EvictCodes) -> None:
        keys = self.observation.cells[action.cell].keys
        for number in action.models:
            [(_, train_key)] = keys.ids("train", number)
            self.store.delete(CodesManifestKey(train_key, keys.data_digest))  # first: nobody reads half of them
            for info in list(self.store.list(prefixes.codes(train_key))):
                self.store.delete(info.key)
        self.observation.expect_changes(action.cell, failures=False)

    def _pods_of(self, job: str, index: int) -> list[FailedPod]:
        """The failed pods of one index; asked for on their own where the Job has too many."""
        by_index = self._failed_pods(job)
        if index not in by_index and sum(map(len, by_index.values())) >= MOST_PODS:
            by_index[index] = self._list_failed({JOB_LABEL: job, INDEX_ANNOTATION: str(index)})
        return by_index.get(index, [])

    def _failed_pods(self, job: str) -> dict[int, list[FailedPod]]:
        """The failed pods of a Job by index, the last one last; read once in a pass."""
        if job not in self._pods:
            by_index: dict[int, list[FailedPod]] = {}
            for pod in self._list_failed({JOB_LABEL: job}):
                by_index.setdefault(pod.index, []).append(pod)
            self._pods[job] = by_index
        return self._pods[job]

    def _list_failed(self, labels: dict[str, str]) -> list[FailedPod]:
        found = self.api.list(
            PODS, self.jobs.namespace, labels=selector(labels), fields="status.phase=Failed", most=MOST_PODS
        )
        return sorted(map(failed_pod, found.items), key=lambda pod: pod.finished)

    def _where(self, name: str) -> ObjectName:
        return ObjectName(self.jobs.namespace, name)


def _has_waited(pods: list[FailedPod]) -> bool:
    """Whether every try ended with the wish for another one; disruptions say nothing."""
    codes = {pod.exit_code for pod in pods if not pod.is_disruption}
    return codes == {ExitCode.TRY_AGAIN}


def _explained(action: RecordFailures, pods: list[FailedPod]) -> tuple[str, str]:
    """Reason and message of a record; what the last pod says that was not merely in the way of somebody."""
    if not pods:
        return action.reason, f"index {action.index} of the Job {action.job} failed; its pods are gone"
    last = next((pod for pod in reversed(pods) if not pod.is_disruption), pods[-1])
    ended = f"pod {last.name} (index {action.index} of the Job {action.job}, {len(pods)} failed)"
    tail = f"; the end of what it wrote:\n{last.message}" if last.message else ""
    if last.reason == "OOMKilled":
        fix = "raise the memory limit of its worker pool, then retryGeneration"
        return OUT_OF_MEMORY, f"{ended} was killed for want of memory: {fix}{tail}"
    code = f"exit code {last.exit_code}" if last.exit_code is not None else "no exit code"
    killed = " (killed: by its memory limit, or by the node)" if last.exit_code == _KILLED else ""
    return action.reason, f"{ended} ended with {code}{f' {last.reason}' if last.reason else ''}{killed}{tail}"


def _details(pods: list[FailedPod]) -> dict[str, str | int | None]:
    return {"pod": pods[-1].name, "exit_code": pods[-1].exit_code, "attempts": len(pods)} if pods else {}
