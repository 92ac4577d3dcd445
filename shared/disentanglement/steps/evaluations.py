"""Several metrics of one source, asked for together: each is an `evaluate` step, and a record groups them.

The record's name is made of the source and the metrics, so asking twice gives one evaluation, and a restarted service
finds it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from pydantic import Field, JsonValue

from disentanglement.errors import ArtifactNotFound, CodesMissing, StepNotCommitted
from disentanglement.jobs.states import JobState
from disentanglement.specs import EvaluateSpec, StepKey, canonical, canonical_json, parse_spec
from disentanglement.steps.executor import Executor, Job
from disentanglement.steps.representations import codes_are_present
from disentanglement.steps.uploads import CELL
from disentanglement.storage import prefixes
from disentanglement.storage.commit import committed, list_committed
from disentanglement.storage.keys import EvaluationKey
from disentanglement.storage.manifests import Record
from disentanglement.storage.store import Store
from disentanglement.studies.pending import WorkItem


class EvaluationRecord(Record):
    """What was asked for. `uploaded` has the digests of somebody's own arrays as they were sent; else it is empty."""

    project: str
    evaluation: str
    source: str
    """Step key of the representation, or of the arrays."""
    specs: tuple[dict[str, JsonValue], ...]
    uploaded: dict[str, str] = Field(default_factory=dict)
    created: datetime

    def items(self) -> list[WorkItem]:
        """One step per metric, in order."""
        source = StepKey.parse(self.source)
        return [WorkItem(0, parse_spec(EvaluateSpec, spec), (source,)) for spec in self.specs]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation as it stands: one job per metric, in the order of the request."""

    record: EvaluationRecord
    jobs: tuple[Job, ...]

    @property
    def state(self) -> JobState:
        """SUCCEEDED once every metric has an outcome and one at least has scores."""
        states = {job.state for job in self.jobs}
        if states <= {JobState.QUEUED}:
            return JobState.QUEUED
        if not all(state.is_final for state in states):
            return JobState.RUNNING
        if JobState.CANCELLED in states:
            return JobState.CANCELLED
        return JobState.SUCCEEDED if JobState.SUCCEEDED in states else JobState.FAILED


class Evaluations:
    """Evaluations of every project, over one executor."""

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor

    async def create(
        self,
        project: str,
        source: StepKey,
        specs: Sequence[EvaluateSpec],
        *,
        uploaded: Mapping[str, str] | None = None,
        caller: str = "",
        now: datetime,
    ) -> Evaluation:
        """The evaluation, with every metric committed, running or queued. Failed metrics are tried again.

        Callers of a project take turns, told apart by `caller`.

        Raises:
            StepNotCommitted: the source is not there yet; `CodesMissing` where only its codes are missing.
            ResourceExhausted: the queue is full.
        """
        record = EvaluationRecord(
            project=project,
            evaluation=evaluation_id(source, specs),
            source=str(source),
            specs=tuple(canonical(spec) for spec in specs),
            uploaded=dict(uploaded or {}),
            created=now,
        )
        await asyncio.to_thread(self._check_source, record, source)
        jobs = [await self._executor.submit(item, project=project, caller=caller) for item in record.items()]
        record = await asyncio.to_thread(self._remember, record)
        return Evaluation(record, tuple(jobs))

    async def get(self, project: str, evaluation: str) -> Evaluation:
        """The evaluation as it stands.

        Raises:
            ArtifactNotFound: the project has no such evaluation.
        """
        record = await asyncio.to_thread(self._load, project, evaluation)
        jobs = [await self._executor.get(project, "evaluate", item.key) for item in record.items()]
        return Evaluation(record, tuple(jobs))

    async def ids(self, project: str) -> list[str]:
        """Names of the project's evaluations, in order."""
        return await asyncio.to_thread(lambda: list(self._listed(project)))

    async def wait(self, project: str, evaluation: str, timeout_s: float) -> Evaluation:
        """The evaluation when every metric has an outcome, or as it stands after `timeout_s`."""
        record = await asyncio.to_thread(self._load, project, evaluation)
        waits = (self._executor.wait(project, "evaluate", item.key, timeout_s) for item in record.items())
        return Evaluation(record, tuple(await asyncio.gather(*waits)))

    async def watch(self, project: str, evaluation: str) -> AsyncIterator[Evaluation]:
        """The evaluation now, then after each change, until its state is final."""
        current = await self.get(project, evaluation)
        yield current
        changes: asyncio.Queue[tuple[int, Job]] = asyncio.Queue()
        follow = partial(self._follow, project, changes)
        tasks = [asyncio.create_task(follow(i, job)) for i, job in enumerate(current.jobs) if not job.state.is_final]
        try:
            while not current.state.is_final:
                position, job = await changes.get()
                jobs = (*current.jobs[:position], job, *current.jobs[position + 1 :])
                current = Evaluation(current.record, jobs)
                yield current
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def cancel(self, project: str, evaluation: str) -> Evaluation:
        """Stops every metric that is not finished; outcomes that are there stay."""
        current = await self.get(project, evaluation)
        jobs = [await self._executor.cancel(project, "evaluate", job.item.key) for job in current.jobs]
        return Evaluation(current.record, tuple(jobs))

    async def _follow(self, project: str, changes: asyncio.Queue[tuple[int, Job]], position: int, job: Job) -> None:
        async for changed in self._executor.watch(project, "evaluate", job.item.key):
            changes.put_nowait((position, changed))

    def _check_source(self, record: EvaluationRecord, source: StepKey) -> None:
        extracted = committed(self._store, "postprocess", source)
        if extracted is None:
            raise StepNotCommitted(f"the representation {source} is not extracted yet")
        if source.cell == CELL or codes_are_present(self._store, extracted):
            return
        done = list_committed(self._store, "evaluate", source.cell)
        if any(item.key not in done for item in record.items()):
            raise CodesMissing(f"the codes of {source} were evicted: extract the representation again, then retry")

    def _remember(self, record: EvaluationRecord) -> EvaluationRecord:
        key = EvaluationKey(record.project, record.evaluation)
        if self._store.put(key, record.to_bytes(), if_absent=True):
            return record
        return EvaluationRecord.from_bytes(key, self._store.get(key))

    def _load(self, project: str, evaluation: str) -> EvaluationRecord:
        key = EvaluationKey(project, evaluation)
        try:
            return EvaluationRecord.from_bytes(key, self._store.get(key))
        except ArtifactNotFound:
            raise ArtifactNotFound(f"project {project} has no evaluation {evaluation}") from None

    def _listed(self, project: str) -> Iterator[str]:
        for info in self._store.list(prefixes.evaluations(project)):
            if isinstance(info.key, EvaluationKey):
                yield info.key.evaluation


def evaluation_id(source: StepKey, specs: Sequence[EvaluateSpec]) -> str:
    """52 characters of base32 for a source and its metrics."""
    text = canonical_json({"source": str(source), "specs": [canonical(spec) for spec in specs]})
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=").lower()
