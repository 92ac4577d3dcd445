"""One look at one study: what is wanted, what is there, what to do about the difference, and what to tell."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from disentanglement.cluster.actions import Action
from disentanglement.cluster.conditions import Problem
from disentanglement.cluster.effects import Effects, Postponed
from disentanglement.cluster.kinds import Object, ObjectName, labels_of
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.cluster.loading import Loaded, Refused, Sources, load
from disentanglement.cluster.manifests import job_manifest
from disentanglement.cluster.mirror import Mirror
from disentanglement.cluster.names import STUDY_LABEL
from disentanglement.cluster.reconcile import reconcile
from disentanglement.cluster.refusals import kind_of, refusal, writes_to_store
from disentanglement.cluster.resource import MAX_FAILURES, Failure, StudyResource, StudyStatus
from disentanglement.cluster.state import JobView
from disentanglement.cluster.status import invalid_status, progress, study_status, troubled_status
from disentanglement.cluster.surroundings import Surroundings
from disentanglement.cluster.wanted import Wanted
from disentanglement.cluster.work_queue import RateLimit
from disentanglement.errors import (
    CorruptArtifact,
    PermissionDenied,
    ResourceExhausted,
    SpecError,
    StoreRefused,
    Unavailable,
)
from disentanglement.storage.failures import cleared_generation, failure
from disentanglement.studies.pending import StepId

log = logging.getLogger(__name__)

BUDGET_S = 0.5
"""For listings in one look; the next one goes on, after other studies had their turn."""
STATUS_S = 5.0
"""Between two writes of the status that only count on."""
MOST_REFUSALS = 3
"""Of actions of one kind in one look: the others of a kind would hardly fare better, but another step's pool may."""
UNDER_WAY_S = 15.0
"""A study with work under way is looked at so often, whatever is heard."""


class Tells(Protocol):
    """Where the status of a study goes."""

    def __call__(self, item: Object, status: StudyStatus) -> bool:
        """Tells of a study's status; whether that was heard. If not, no harm is done."""
        ...


@dataclass(frozen=True)
class Tools:
    """What all studies are worked off with."""

    api: KubernetesApi
    sources: Sources
    surroundings: Surroundings
    creations: RateLimit
    tell: Tells
    relist_s: float = 300.0
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass
class StudyWork:
    """What is remembered of one study between two looks; all of it can be had again."""

    key: ObjectName
    jobs: Mirror
    tools: Tools
    _loaded: Loaded | None = None
    _uid: str = ""
    _told: StudyStatus | None = None
    _told_at: float = -1e9
    _failures: dict[StepId, Failure] = field(default_factory=dict)

    def look(self, item: Object) -> float:
        """Does what can be done now; in how many seconds to look again, whatever happens.

        Raises:
            Unavailable, ResourceExhausted, StoreRefused, CorruptArtifact, PermissionDenied: nothing more can be done
                now; to be tried again.
        """
        self._meet(item["metadata"].get("uid", ""))
        try:
            resource = StudyResource.from_object(item)
            if resource.is_deleting:
                return self.tools.relist_s
            with self._troubles(item, "StoreUnavailable"):
                loaded = self._load(resource)
        except SpecError as error:
            return self._refuse(item, Problem("InvalidSpec", str(error)))
        except Refused as error:
            return self._refuse(item, error.problem)
        blocked = self.tools.surroundings.queue_problem(self.key.namespace, resource.spec.queue)
        if blocked is not None:
            self._refuse(item, blocked)
            return UNDER_WAY_S
        return self._work(item, loaded)

    def forget(self) -> None:
        """The study is gone."""
        self.tools.surroundings.forget(*self.key)

    def _meet(self, uid: str) -> None:
        """What was told of a study that was deleted was not told of the one that has its name now."""
        if uid != self._uid:
            self._uid, self._told, self._told_at = uid, None, -1e9
            self._failures.clear()

    def _load(self, resource: StudyResource) -> Loaded:
        self._loaded = load(resource, self.tools.sources, self._loaded)
        return self._loaded

    def _work(self, item: Object, loaded: Loaded) -> float:
        jobs = self._job_views(loaded)
        observation = loaded.observation
        with self._troubles(item, "StoreUnavailable"):
            observation.see(jobs)
            if not (loaded.pack_keys(BUDGET_S) and observation.refresh(BUDGET_S)):
                return 0.0
            wanted = self._wanted(loaded)
        began = self.tools.clock()
        states = observation.states()
        actions = reconcile(wanted, states, jobs)
        took_s = self.tools.clock() - began
        log.debug(
            "reconciled",
            extra={"study": self.key, "seconds": f"{took_s:.4f}", "jobs": len(jobs), "actions": len(actions)},
        )
        problems, after_s = self._act(item, loaded, actions)
        self._tell_progress(item, loaded, wanted, problems)
        return min(after_s, self._next_look_s(wanted, jobs, bool(actions)))

    def _wanted(self, loaded: Loaded) -> Wanted:
        cleared = 0
        if loaded.wanted.generation:
            source = self.tools.sources
            cleared = cleared_generation(source.store, loaded.project, loaded.study, loaded.owner)
        return replace(loaded.wanted, cleared_generation=cleared)

    def _act(self, item: Object, loaded: Loaded, actions: Sequence[Action]) -> tuple[list[Problem], float]:
        """What stands in the way of some of the actions, and in how many seconds to try again."""
        effects = Effects(
            api=self.tools.api,
            jobs=self.jobs,
            store=self.tools.sources.store,
            project=loaded.project,
            study=loaded.study,
            owner=loaded.owner,
            observation=loaded.observation,
            make_job=lambda job: job_manifest(job, loaded.settings),
            creations=self.tools.creations,
            now=self.tools.now,
        )
        problems: list[Problem] = []
        refused: Counter[str] = Counter()
        for action in actions:
            if refused[kind_of(action)] >= MOST_REFUSALS:
                continue
            trouble = "StoreUnavailable" if writes_to_store(action) else "ClusterUnavailable"
            try:
                with self._troubles(item, trouble):
                    effects.do(action)
            except Postponed as postponed:
                return problems, postponed.after_s
            except (SpecError, PermissionDenied, ResourceExhausted) as error:
                problems.append(refusal(action, error))
                refused[kind_of(action)] += 1
        if problems:
            log.warning(
                "not done", extra={"study": self.key, "reason": problems[0].reason, "cause": problems[0].message}
            )
        return problems, UNDER_WAY_S if problems else self.tools.relist_s

    def _tell_progress(self, item: Object, loaded: Loaded, wanted: Wanted, problems: list[Problem]) -> None:
        jobs, states = self._job_views(loaded), loaded.observation.states()
        found = progress(wanted, states, jobs)
        if found.counts.failed == 0:
            self._failures.clear()
        status = study_status(
            wanted,
            found,
            generation=loaded.generation,
            before=self._before(item),
            now=self.tools.now(),
            failures=self._first_failures(loaded),
            problems=[*problems, *self._obstacles(loaded, jobs)],
            refused=loaded.refused,
        )
        self._tell(item, status)

    def _obstacles(self, loaded: Loaded, jobs: Sequence[JobView]) -> Iterator[Problem]:
        going = [job for job in jobs if not job.is_finished]
        pools = [loaded.settings.pools[step] for step in sorted({job.step for job in going})]
        for problem in (
            self.tools.surroundings.gpu_problem(pools),
            self.tools.surroundings.pod_problem(*self.key, going),
            self.tools.surroundings.worker_problem(*self.key, going),
        ):
            if problem is not None:
                yield problem

    def _first_failures(self, loaded: Loaded) -> list[Failure]:
        failures: list[Failure] = []
        for number, step_id in loaded.observation.failed_steps(MAX_FAILURES):
            if step_id not in self._failures:
                record = failure(self.tools.sources.store, loaded.project, loaded.study, *step_id)
                if record is None:
                    continue
                self._failures[step_id] = Failure(
                    step=step_id[0], model=number, reason=record.reason, message=record.message
                )
            failures.append(self._failures[step_id])
        return failures

    def _next_look_s(self, wanted: Wanted, jobs: Sequence[JobView], has_acted: bool) -> float:
        if has_acted:
            return 1.0  # what follows from that
        is_under_way = any(not job.is_finished for job in jobs)
        assert self._loaded is not None
        due_s = self._loaded.observation.next_look_s()
        return max(1.0, min(due_s, UNDER_WAY_S if is_under_way else self.tools.relist_s))

    def _refuse(self, item: Object, problem: Problem) -> float:
        going = (job for job in self._jobs_of(self._owner(item)) if not job.is_finished)
        status = invalid_status(
            problem,
            running=sum(job.active for job in going),
            generation=item["metadata"].get("generation", 0),
            before=self._before(item),
            now=self.tools.now(),
        )
        self._tell(item, status)
        return min(60.0, self.tools.relist_s)  # somebody may import the data set, or add the pool

    @contextmanager
    def _troubles(self, item: Object, reason: str) -> Iterator[None]:
        """Tells what keeps us from going on before it is tried again."""
        try:
            yield
        except (Unavailable, StoreRefused, CorruptArtifact) as error:
            message = f"{error}; it is tried again by itself"
            status = troubled_status(
                Problem(reason if not isinstance(error, CorruptArtifact) else "StoreDamaged", message),
                generation=item["metadata"].get("generation", 0),
                before=self._before(item),
                now=self.tools.now(),
            )
            self._tell(item, status)
            raise

    def _tell(self, item: Object, status: StudyStatus) -> None:
        if self._told == status:
            return
        only_counts = self._told is not None and _without_counts(self._told) == _without_counts(status)
        if only_counts and self.tools.clock() - self._told_at < STATUS_S:
            return
        self._told_at = self.tools.clock()
        if self.tools.tell(item, status):
            self._told = status

    def _before(self, item: Object) -> Mapping[str, Any]:
        """The status as we told it last: the resource may tell an older one."""
        return self._told.to_plain() if self._told is not None else item.get("status") or {}

    def _owner(self, item: Object) -> str:
        owner = self.tools.sources.owner
        return str(item["metadata"].get("uid", "")) if owner is None else owner.uid

    def _job_views(self, loaded: Loaded) -> list[JobView]:
        return self._jobs_of(loaded.settings.owner.uid)

    def _jobs_of(self, owner: str) -> list[JobView]:
        """Those of a study that was deleted and made again under the same name are another's: they go with it, and
        until then the names that they take are tried again."""
        labelled = (item for item in self.jobs.items() if labels_of(item).get(STUDY_LABEL) == self.key.name)
        mine = (item for item in labelled if owner in _owners(item))
        return [view for item in mine if (view := JobView.from_object(item)) is not None]


def _owners(item: Object) -> set[str]:
    return {owner.get("uid", "") for owner in item["metadata"].get("ownerReferences") or ()}


def _without_counts(status: StudyStatus) -> StudyStatus:
    conditions = tuple(condition.replace(message="") for condition in status.conditions)
    return status.replace(counts=type(status.counts)(), running=0, conditions=conditions)
