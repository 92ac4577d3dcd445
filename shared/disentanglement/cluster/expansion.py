"""From a Study resource to the plan that is worked off: written into the store once, the same for whoever does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from disentanglement.cluster.names import store_name
from disentanglement.cluster.resource import StudyResource, StudyResourceSpec
from disentanglement.errors import SpecError
from disentanglement.specs import MetricSpec, StudySpec, parse_spec
from disentanglement.steps.admission import admit_study
from disentanglement.storage.store import Store
from disentanglement.studies.plan import Plan
from disentanglement.studies.records import submit_study

ELSEWHERE: Mapping[str, str] = {
    "name": "nothing: the name of the resource is the study's",
    "metrics": "nothing: spec.metrics has them",
}


def expanded(resource: StudyResource, store: Store, *, project: str, now: datetime) -> Plan:
    """The plan of a Study, in the store. A resource that was made anew under an old name takes the old study's place.

    Raises:
        SpecError: a field that is wrong, or a data set that the store does not hold.
        NotBuiltYet: with the list of everything that this release does not do.
    """
    study = study_spec(resource)
    plan = admit_study(store, study)
    submit_study(store, study, plan, project=project, now=now, replace=True)
    return plan


def study_spec(resource: StudyResource) -> StudySpec:
    """What a Study stands for, under its name in the store.

    Raises:
        SpecError: naming each wrong field by its path in the resource.
    """
    spec = resource.spec
    metrics = None if spec.metrics is None else parse_metrics(spec.metrics)
    return _inline(store_name(resource.name), spec, metrics)


def parse_metrics(entries: Iterable[Any]) -> tuple[MetricSpec, ...]:
    """The metrics of a resource.

    Raises:
        SpecError: naming each wrong one.
    """
    return tuple(parse_spec(MetricSpec, entry, field=f"spec.metrics.{i}") for i, entry in enumerate(entries))


def _inline(name: str, spec: StudyResourceSpec, metrics: tuple[MetricSpec, ...] | None) -> StudySpec:
    if spec.inline is None:
        raise SpecError.of("spec.study", "a published study of this release", spec.study)
    for field, wanted in ELSEWHERE.items():
        if field in spec.inline:
            raise SpecError.of(f"spec.inline.{field}", wanted, spec.inline[field])
    if metrics is None:
        raise SpecError.of("spec.metrics", "a list of metrics (an empty one: only train)", "nothing")
    grid = [entry for entry in (spec.inline.get("grid"), {"fixed": spec.set} if spec.set else None) if entry]
    plain: dict[str, Any] = {**spec.inline, "name": name, "metrics": metrics}
    if grid:
        plain["grid"] = grid[0] if len(grid) == 1 else {"product": grid}  # what is set last wins
    return parse_spec(StudySpec, plain, field="spec.inline")
