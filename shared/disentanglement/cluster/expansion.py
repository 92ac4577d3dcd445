"""From a Study resource to the plan that is worked off: written into the store once, the same for whoever does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from disentanglement.cluster.names import store_name
from disentanglement.cluster.resource import SelectionPart, StudyResource, StudyResourceSpec
from disentanglement.errors import ArtifactNotFound, SpecError, Violation
from disentanglement.specs import MetricSpec, Selection, StudySpec, TrainSpec, canonical, parse_spec
from disentanglement.steps.admission import admit_study
from disentanglement.storage.store import Store
from disentanglement.studies import published
from disentanglement.studies.plan import Plan, training_specs
from disentanglement.studies.records import StudyRecord, is_same_but_for_scores, load_plan, load_study, submit_study
from disentanglement.studies.variants import apply_changes, with_metrics

ELSEWHERE: Mapping[str, str] = {
    "name": "nothing: the name of the resource is the study's",
    "metrics": "nothing: spec.metrics has them",
}
PATHS: Mapping[str, str] = {
    "selection": "spec.selection",
    "metrics": "spec.metrics",
    "grid": "spec.inline.grid",
    "evaluation_seeds": "spec.inline.evaluation_seeds",
}
"""Where the parts of a study stand in a resource."""


def expanded(resource: StudyResource, store: Store, *, project: str, now: datetime) -> Plan:
    """The plan of a Study, in the store. It takes the place of a study that the store has under its name already:
    that of a resource made anew, or one submitted otherwise; what that one computed stays.

    The same study has the plan that it got first, and one that asks for more scores the data and the models to start
    from that it got first: what is imported, named or computed differently later changes no study under way.

    Raises:
        SpecError: a field that is wrong, or a data set that the store does not hold.
        NotBuiltYet: with the list of everything that this release does not do.
    """
    study = study_spec(resource)
    standing = _standing(study, store, project)
    try:
        if standing is not None and standing[0].spec == canonical(study):
            plan = standing[1]
        else:
            kept = _standing_models(standing, study)
            data = {model.dataset.name: model.dataset.digest for model in kept.values()}
            plan = admit_study(store, study, pinned=data, starts=_starts(kept, study), project=project)
    except SpecError as error:
        raise SpecError(map(_in_resource, error.violations)) from error
    submit_study(store, study, plan, project=project, now=now, replace=True)
    return plan


def is_standing(resource: StudyResource, store: Store, *, project: str) -> bool:
    """Whether the store has a study of this name with the same models: this Study was accepted before.

    Raises:
        SpecError: a field that is wrong.
    """
    study = study_spec(resource)
    standing = _standing(study, store, project)
    return standing is not None and is_same_but_for_scores(standing[0].spec, canonical(study))


def _standing(study: StudySpec, store: Store, project: str) -> tuple[StudyRecord, Plan] | None:
    """The study of this name that stands, with its plan in the order of work."""
    try:
        record = load_study(store, project, study.name)
        cells = load_plan(store, record.plan).cells
    except ArtifactNotFound:
        return None
    return record, Plan(study.name, {cell: cells[cell] for cell in record.cells})


def _standing_models(standing: tuple[StudyRecord, Plan] | None, study: StudySpec) -> dict[int, TrainSpec]:
    """Models by number, of a standing study that differs in its scores alone."""
    if standing is None or not is_same_but_for_scores(standing[0].spec, canonical(study)):
        return {}
    cells = standing[1].cells.values()
    return {number: model for cell in cells for number, model in zip(cell.numbers, cell.models, strict=True)}


def _starts(kept: Mapping[int, TrainSpec], study: StudySpec) -> dict[str, str]:
    """The step keys that kept models start from, by what is written for them in the study."""
    if not any(model.init_from for model in kept.values()):
        return {}
    written = training_specs(study)
    return {written[number].init_from: model.init_from for number, model in kept.items() if model.init_from}


def study_spec(resource: StudyResource) -> StudySpec:
    """What a Study stands for, under its name in the store.

    Raises:
        SpecError: naming each wrong field by its path in the resource.
    """
    spec, name = resource.spec, store_name(resource.name)
    metrics = None if spec.metrics is None else parse_metrics(spec.metrics)
    study = _inline(name, spec, metrics) if spec.study is None else _published(name, spec, metrics)
    if spec.selection != SelectionPart() and study.selection != type(study.selection)():
        raise SpecError.of("spec.selection", "only one selection", "another one in spec.inline.selection")
    if spec.selection != SelectionPart():
        selection = parse_spec(Selection, spec.selection.model_dump(), field="spec.selection")
        study = study.replace(selection=selection)
    return apply_changes(study, spec.set) if spec.set else study


def parse_metrics(entries: Iterable[Any]) -> tuple[MetricSpec, ...]:
    """The metrics of a resource.

    Raises:
        SpecError: naming each wrong one.
    """
    return tuple(parse_spec(MetricSpec, entry, field=f"spec.metrics.{i}") for i, entry in enumerate(entries))


def _published(name: str, spec: StudyResourceSpec, metrics: tuple[MetricSpec, ...] | None) -> StudySpec:
    study = published.study_spec(spec.study or "", field="spec.study")
    return (study if metrics is None else with_metrics(study, metrics)).replace(name=name)


def _inline(name: str, spec: StudyResourceSpec, metrics: tuple[MetricSpec, ...] | None) -> StudySpec:
    inline = spec.inline or {}
    for field, wanted in ELSEWHERE.items():
        if field in inline:
            raise SpecError.of(f"spec.inline.{field}", wanted, inline[field])
    if metrics is None:
        raise SpecError.of("spec.metrics", "a list of metrics (an empty one: only train)", "nothing")
    return parse_spec(StudySpec, {**inline, "name": name, "metrics": metrics}, field="spec.inline")


def _in_resource(violation: Violation) -> Violation:
    first, dot, rest = violation.field.partition(".")
    return Violation(f"{PATHS.get(first, first)}{dot}{rest}", violation.wanted, violation.given)
