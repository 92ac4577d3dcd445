"""A study expanded once, at submission: every model with every seed, data digest and contract version written in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from disentanglement.errors import SpecError
from disentanglement.specs import (
    DatasetSpec,
    EvaluateSpec,
    MetricSpec,
    PostprocessSpec,
    RepresentationSpec,
    Spec,
    StepKey,
    StepSpec,
    StudySpec,
    TrainSpec,
    canonical,
    canonical_json,
    parse_spec,
    step_key,
)
from disentanglement.specs.canonical import contract_version, step_of
from disentanglement.specs.parsing import with_paths
from disentanglement.studies.grid import expand


@dataclass(frozen=True)
class PlannedRepresentation:
    """A representation of one model, with the scores wanted of it."""

    spec: PostprocessSpec
    train_key: StepKey
    evaluations: tuple[EvaluateSpec, ...]

    @cached_property
    def key(self) -> StepKey:
        """Step key of the `postprocess` step."""
        return step_key(self.spec, [self.train_key])

    @property
    def word(self) -> str:
        """`mean`, `sampled`, ..."""
        return self.spec.representation.word

    @cached_property
    def evaluation_keys(self) -> tuple[StepKey, ...]:
        """Step keys of the `evaluate` steps, one per metric, in order."""
        return tuple(step_key(spec, [self.key]) for spec in self.evaluations)


@dataclass(frozen=True)
class PlannedModel:
    """One model of a plan: its number in the study and the spec to train."""

    number: int
    train: TrainSpec
    postprocess: tuple[PostprocessSpec, ...]
    evaluations: tuple[EvaluateSpec, ...]

    @cached_property
    def key(self) -> StepKey:
        """Step key of the `train` step."""
        return step_key(self.train)

    @cached_property
    def representations(self) -> tuple[PlannedRepresentation, ...]:
        """What is extracted from the model, in order."""
        return tuple(PlannedRepresentation(spec, self.key, self.evaluations) for spec in self.postprocess)


class PlanCell(Spec):
    """The part of a plan that one cell (data set x method) holds, as it is stored."""

    study: str
    cell: str
    contracts: dict[str, str]
    """Contract version of every step and member used: `{"train.beta_vae": "1.1"}`."""
    numbers: tuple[int, ...]
    models: tuple[TrainSpec, ...]
    representations: tuple[RepresentationSpec, ...]
    evaluations: tuple[EvaluateSpec, ...]

    def to_json(self) -> str:
        """Canonical JSON."""
        return canonical_json(canonical(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The inverse of `to_json`."""
        return cls.model_validate_json(text, strict=False)

    @cached_property
    def planned(self) -> tuple[PlannedModel, ...]:
        """The models with what is wanted of each."""
        postprocess = tuple(PostprocessSpec(representation=representation) for representation in self.representations)
        return tuple(
            PlannedModel(number, train, postprocess, self.evaluations)
            for number, train in zip(self.numbers, self.models, strict=True)
        )


@dataclass(frozen=True)
class Plan:
    """All cells of a study, in the order in which its models first need them."""

    study: str
    cells: Mapping[str, PlanCell]

    @cached_property
    def digest(self) -> str:
        """sha256 over the canonical JSON of all cells."""
        texts = [self.cells[cell].to_json() for cell in sorted(self.cells)]
        return hashlib.sha256(canonical_json(texts).encode()).hexdigest()

    @cached_property
    def models(self) -> tuple[PlannedModel, ...]:
        """Every model, by number."""
        return tuple(sorted(self._planned(), key=lambda model: model.number))

    def model(self, number: int) -> PlannedModel:
        """The model with this number.

        Raises:
            SpecError: the study has no such number.
        """
        for model in self._planned():
            if model.number == number:
                return model
        raise SpecError.of("model", f"a model number of {self.study} (0 to {len(self.models) - 1})", number)

    def _planned(self) -> Iterator[PlannedModel]:
        for cell in self.cells.values():
            yield from cell.planned


def training_specs(study: StudySpec) -> list[TrainSpec]:
    """The training specs of a study, by model number; data sets are not resolved yet.

    Raises:
        SpecError: a combination of the grid that is no valid training spec, with the path into it, or a model twice.
    """
    if study.grid is None:
        return [study.model]
    base = study.model.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    specs = []
    for number, changes in enumerate(expand(study.grid)):
        _check_paths(changes, number)
        specs.append(parse_spec(TrainSpec, with_paths(base, changes), field=f"models.{number}"))
    _refuse_repeated(specs)
    return specs


def expand_study(study: StudySpec, digests: Mapping[str, str]) -> Plan:
    """The plan of a study, given the digest of each data set's arrays.

    Raises:
        SpecError: an invalid combination, or a data set without a digest.
    """
    evaluations = tuple(EvaluateSpec(metric=metric, random_seed=study.evaluation_seed) for metric in study.metrics)
    _refuse_repeated_metrics(study.metrics)
    rows: dict[str, list[tuple[int, TrainSpec]]] = {}
    for number, spec in enumerate(training_specs(study)):
        rows.setdefault(spec.cell, []).append((number, resolved(spec, digests)))
    cells = {cell: _cell(study, cell, models, evaluations) for cell, models in rows.items()}
    return Plan(study.name, cells)


def resolved(spec: TrainSpec, digests: Mapping[str, str]) -> TrainSpec:
    """The spec with the digest of its data set filled in.

    Raises:
        SpecError: no digest is known, or another one is asked for than the store holds.
    """
    name, asked = spec.dataset.name, spec.dataset.digest
    if asked:
        return spec
    if name not in digests:
        raise SpecError.of("dataset.name", f"a data set that the store holds (`disentangle data import {name}`)", name)
    dataset = DatasetSpec(name=name, digest=digests[name], options=spec.dataset.options)
    return spec.replace(dataset=dataset)


def _cell(
    study: StudySpec, cell: str, models: list[tuple[int, TrainSpec]], evaluations: tuple[EvaluateSpec, ...]
) -> PlanCell:
    postprocess = [PostprocessSpec(representation=representation) for representation in study.representations]
    specs: list[StepSpec] = [*(train for _, train in models), *postprocess, *evaluations]
    used = {step_of(spec) for spec in specs}
    return PlanCell(
        study=study.name,
        cell=cell,
        contracts={f"{step}.{member}": contract_version(step, member) for step, member in sorted(used)},
        numbers=tuple(number for number, _ in models),
        models=tuple(train for _, train in models),
        representations=study.representations,
        evaluations=evaluations,
    )


def _check_paths(changes: Mapping[str, Any], number: int) -> None:
    for path in changes:
        if not all(part for part in path.split(".")):
            raise SpecError.of(f"models.{number}", "dotted paths like objective.beta_vae.beta", path)


def _refuse_repeated(specs: list[TrainSpec]) -> None:
    seen: dict[str, int] = {}
    for number, spec in enumerate(specs):
        first = seen.setdefault(canonical_json(canonical(spec)), number)
        if first != number:
            raise SpecError.of("grid", "every model once", f"models {first} and {number} are the same")


def _refuse_repeated_metrics(metrics: tuple[MetricSpec, ...]) -> None:
    texts = [canonical_json(canonical(metric)) for metric in metrics]
    for text in texts:
        if texts.count(text) > 1:
            raise SpecError.of("metrics", "every metric once", text)
