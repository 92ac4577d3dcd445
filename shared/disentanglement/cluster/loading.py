"""From a Study as it is written to what is worked off: its plan in the store, its pools, its images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from disentanglement.cluster.cell_keys import CellKeys
from disentanglement.cluster.conditions import Problem
from disentanglement.cluster.expansion import expanded, is_standing
from disentanglement.cluster.manifests import JobSettings, Owner
from disentanglement.cluster.names import project_of, store_name
from disentanglement.cluster.observation import StudyObservation
from disentanglement.cluster.pools import Pools, parse_pools
from disentanglement.cluster.refused_metrics import START_AGAIN, without_refused
from disentanglement.cluster.resource import StudyResource
from disentanglement.cluster.wanted import Wanted
from disentanglement.errors import (
    ArtifactNotFound,
    DisentanglementError,
    NotBuiltYet,
    SpecError,
    StepNotCommitted,
)
from disentanglement.specs import STEPS, Step
from disentanglement.steps.one_shot import other_contracts
from disentanglement.storage.store import Store
from disentanglement.studies.plan import Plan, PlanCell

IMAGE_VARIABLES: Mapping[Step, str] = {
    "train": "DISENTANGLEMENT_TRAINER_IMAGE",
    "postprocess": "DISENTANGLEMENT_POSTPROCESSOR_IMAGE",
    "evaluate": "DISENTANGLEMENT_EVALUATOR_IMAGE",
}


class Refused(Exception):
    """A study that can't be worked off as it is written; `problem` says why, and what to do."""

    def __init__(self, reason: str, error: DisentanglementError, todo: str = "") -> None:
        self.problem = Problem(reason, f"{error}; {todo}" if todo else str(error))
        super().__init__(self.problem.message)


@dataclass(frozen=True)
class Sources:
    """Where studies are loaded from."""

    open_store: Callable[[], Store]
    """Called when the store is needed first: that it is down keeps nobody from starting."""
    pools: Path
    images: Mapping[Step, str]
    own_namespace: str
    relist_s: float = 300.0
    owner: Owner | None = None
    """To whom Jobs belong; None: to the study's resource."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic

    @cached_property
    def store(self) -> Store:
        """Where models and scores are."""
        return self.open_store()

    def read_pools(self) -> Pools:
        """The pools as they are now; they may change while we run."""
        try:
            text = self.pools.read_text()
        except OSError as error:
            raise SpecError.of(
                "worker-pools", f"a readable file {self.pools} (ConfigMap worker-pools)", error
            ) from error
        return parse_pools(text)


@dataclass
class Loaded:
    """A study, ready to be worked off."""

    uid: str
    generation: int
    project: str
    study: str
    """Name in the store."""
    owner: str
    plan: str
    metrics: object
    wanted: Wanted
    settings: JobSettings
    observation: StudyObservation
    unpacked: list[PlanCell]
    """Cells whose keys are still to be made."""
    refused: Problem | None = None
    """What of an accepted study is not worked off: metrics that were added, and can't be computed."""
    clock: Callable[[], float] = time.monotonic

    def pack_keys(self, budget_s: float) -> bool:
        """Makes the step keys of further cells; False if the time was up before the last one."""
        until = self.clock() + budget_s
        while self.unpacked:
            if self.clock() > until:
                return False
            self.observation.add_cell(CellKeys.of(self.unpacked.pop()))
        return True


def images_from(env: Mapping[str, str]) -> dict[Step, str]:
    """What the Jobs of each step run.

    Raises:
        SpecError: a variable that is not set.
    """
    for name in IMAGE_VARIABLES.values():
        if not env.get(name):
            raise SpecError.of(name, "an image (ConfigMap worker-images)", "nothing")
    return {step: env[name] for step, name in IMAGE_VARIABLES.items()}


def load(resource: StudyResource, sources: Sources, known: Loaded | None) -> Loaded:
    """The study as it is wanted now; what is known of its plan is kept where that has not changed.

    Raises:
        Refused: it can't be worked off as it is written.
        Unavailable, StoreRefused: the store.
    """
    project, study = project_of(resource.namespace, sources.own_namespace), store_name(resource.name)
    settings = _settings(resource, sources, project, study)
    spec = resource.spec
    if known is None or known.uid != resource.uid or known.metrics != spec.metrics:
        known = _planned(resource, sources, project, study, settings)
    wanted = replace(
        known.wanted,
        parallelism=spec.parallelism,
        is_paused=spec.paused,
        is_deleting=resource.is_deleting,
        generation=spec.retry_generation,
        images=dict(sources.images),
    )
    return replace(known, generation=resource.generation, wanted=wanted, settings=settings)


def _settings(resource: StudyResource, sources: Sources, project: str, study: str) -> JobSettings:
    spec = resource.spec
    try:
        pools = sources.read_pools()
    except SpecError as error:
        raise Refused("PoolsInvalid", error) from error
    try:
        chosen = {
            step: pools.named(
                spec.evaluation_pool if step == "evaluate" else spec.pool,
                step,
                field="spec.evaluationPool" if step == "evaluate" else "spec.pool",
            )
            for step in STEPS
        }
    except SpecError as error:
        raise Refused("UnknownPool", error) from error
    owner = sources.owner or Owner(resource.name, resource.uid, resource.namespace)
    return JobSettings(
        owner=owner,
        project=project,
        store_study=study,
        images=sources.images,
        pools=chosen,
        queue=spec.queue,
        priority_class=spec.priority_class,
    )


def _planned(resource: StudyResource, sources: Sources, project: str, study: str, settings: JobSettings) -> Loaded:
    plan, refused = _plan(resource, sources, project)
    _require_contracts(plan)
    cells = list(plan.cells.values())
    spec = resource.spec
    return Loaded(
        uid=resource.uid,
        generation=resource.generation,
        project=project,
        study=study,
        owner=resource.uid,
        plan=plan.digest,
        metrics=spec.metrics,
        wanted=Wanted(
            study=resource.name,
            plan=plan.digest,
            cells={cell.cell: cell.numbers for cell in cells},
            has_scores=any(representation.evaluations for representation in cells[0].planned[0].representations),
            pack=spec.models_per_pod,
            queue=spec.queue,
            evicts_codes=spec.retention.codes == "untilScored",
            finished_jobs_s=spec.retention.finished_jobs_seconds,
        ),
        settings=settings,
        observation=StudyObservation(sources.store, project, study, relist_s=sources.relist_s, clock=sources.clock),
        unpacked=cells[::-1],
        refused=refused,
        clock=sources.clock,
    )


def _require_contracts(plan: Plan) -> None:
    """Whether this release computes the numbers that the plan wants; Jobs of it could only end with exit code 79."""
    for cell in plan.cells.values():
        for step in STEPS:
            for name, version in other_contracts(cell, step).items():
                wanted = (
                    f"contract version {cell.contracts[name]}, as the plan has it: install the release that the study "
                    "was begun with, or apply it under another name"
                )
                raise Refused("OtherContract", SpecError.of(name, wanted, f"{version} in this release"))


def _plan(resource: StudyResource, sources: Sources, project: str) -> tuple[Plan, Problem | None]:
    """The plan, and what of the study is not in it: a metric that is added to a study under way and can't be computed
    must not stop the rest, whose pods run.
    """
    try:
        return _whole_plan(resource, sources, project), None
    except Refused:
        accepted, problem = without_refused(resource)
        if problem is None or not accepted.spec.metrics or not _is_standing(accepted, sources, project):
            raise
        return _whole_plan(accepted, sources, project), problem


def _is_standing(resource: StudyResource, sources: Sources, project: str) -> bool:
    try:
        return is_standing(resource, sources.store, project=project)
    except SpecError:  # metrics are not all that is wrong
        return False


def _whole_plan(resource: StudyResource, sources: Sources, project: str) -> Plan:
    try:
        return expanded(resource, sources.store, project=project, now=sources.now())
    except NotBuiltYet as error:
        raise Refused("NotBuiltYet", error, START_AGAIN.format(what="what is missing")) from error
    except SpecError as error:
        is_data = any(violation.field.startswith("dataset") for violation in error.violations)
        raise Refused("DataSetMissing" if is_data else "InvalidSpec", error) from error
    except (ArtifactNotFound, StepNotCommitted) as error:
        raise Refused("InitialModelMissing", error) from error
