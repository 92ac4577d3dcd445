"""Studies in the store: the submitted study, and its plan cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from disentanglement.errors import ArtifactConflict, ArtifactNotFound, CorruptArtifact
from disentanglement.specs import StudySpec, canonical, canonical_json, parse_spec
from disentanglement.storage import prefixes
from disentanglement.storage.keys import PlanKey, StudyCancellationKey, StudyKey
from disentanglement.storage.manifests import Record
from disentanglement.storage.store import Store
from disentanglement.studies.plan import Plan, PlanCell, evaluations_of

SCORES = frozenset({"metrics", "evaluation_seed", "evaluation_seeds", "standard_error"})
"""The fields of a study that say what is scored, with which seeds, and whether with errors."""


class StudyRecord(Record):
    """A submitted study: what was asked for and the plan that it became."""

    project: str
    study: str
    spec: dict[str, JsonValue]
    plan: str
    """Digest of the plan."""
    cells: tuple[str, ...]
    num_models: int
    created: datetime

    def study_spec(self) -> StudySpec:
        """What was asked for."""
        return parse_spec(StudySpec, self.spec)


def submit_study(
    store: Store, study: StudySpec, plan: Plan, *, project: str, now: datetime, replace: bool = False
) -> StudyRecord:
    """Writes the plan, then the study. Submitting the same study twice changes nothing.

    A study that only adds metrics to the one that stands takes its place; any other needs `replace`.

    Raises:
        ArtifactConflict: another study of this name stands.
    """
    record = StudyRecord(
        project=project,
        study=study.name,
        spec=canonical(study),
        plan=plan.digest,
        cells=tuple(plan.cells),
        num_models=len(plan.models),
        created=now,
    )
    key = StudyKey(project, study.name)
    for cell, part in plan.cells.items():
        store.put(PlanKey(plan.digest, cell), part.to_json().encode(), if_absent=True)
    if not store.put(key, record.to_bytes(), if_absent=True):
        standing = load_study(store, project, study.name)
        if standing.plan == record.plan:
            record = standing
        elif replace or _only_adds_metrics(standing.study_spec(), study):
            store.put(key, record.to_bytes())
        else:
            raise ArtifactConflict(
                f"another study named {study.name} stands in project {project}: give this one another `name`, "
                "or replace the old one (what is computed stays)"
            )
    store.delete(StudyCancellationKey(project, study.name))
    return record


def load_study(store: Store, project: str, study: str) -> StudyRecord:
    """A submitted study.

    Raises:
        ArtifactNotFound: the project has no study of this name.
    """
    key = StudyKey(project, study)
    try:
        return StudyRecord.from_bytes(key, store.get(key))
    except ArtifactNotFound:
        raise ArtifactNotFound(f"project {project} has no study {study}") from None


def list_studies(store: Store, project: str) -> Iterator[StudyRecord]:
    """The studies of a project, by name."""
    for info in store.list(prefixes.studies(project)):
        if isinstance(info.key, StudyKey):
            yield load_study(store, project, info.key.study)


def load_plan(store: Store, digest: str) -> Plan:
    """A plan, whole.

    Raises:
        ArtifactNotFound: no such plan.
        CorruptArtifact: its cells do not have this digest.
    """
    keys = [info.key for info in store.list(prefixes.plan(digest)) if isinstance(info.key, PlanKey)]
    if not keys:
        raise ArtifactNotFound(f"there is no plan {digest}")
    cells = {key.cell: PlanCell.from_json(store.get(key)) for key in keys}
    plan = Plan(next(iter(cells.values())).study, cells)
    if plan.digest != digest:
        raise CorruptArtifact(f"plan {digest}: its cells have the digest {plan.digest}")
    return plan


def load_plan_cell(store: Store, digest: str, cell: str) -> PlanCell:
    """One cell of a plan; `ArtifactNotFound` where there is none."""
    return PlanCell.from_json(store.get(PlanKey(digest, cell)))


def cancel_study(store: Store, project: str, study: str) -> None:
    """Write down that a study shall stop; submitting it again lets it go on."""
    load_study(store, project, study)
    store.put(StudyCancellationKey(project, study), b"{}")


def is_study_cancelled(store: Store, project: str, study: str) -> bool:
    """Whether a study was cancelled and not submitted again."""
    return store.head(StudyCancellationKey(project, study)) is not None


def _only_adds_metrics(standing: StudySpec, study: StudySpec) -> bool:
    if not is_same_but_for_scores(canonical(standing), canonical(study)):
        return False
    return _scores(standing) <= _scores(study)


def is_same_but_for_scores(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two studies, in plain data, have the same models and representations."""
    return all(one.get(name) == other.get(name) for name in {*one, *other} - SCORES)


def _scores(study: StudySpec) -> set[tuple[str, str, int]]:
    """Metric, representation and seed of everything that a study scores."""
    return {
        (representation.word, canonical_json(canonical(spec.metric)), spec.random_seed)
        for representation, specs in zip(study.representations, evaluations_of(study), strict=True)
        for spec in specs
    }
