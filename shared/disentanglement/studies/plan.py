"""A study expanded once, at submission: every model with every seed, data digest and contract version written in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
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
from disentanglement.specs.canonical import StepIdentity, contract_version, step_of
from disentanglement.specs.parsing import with_paths
from disentanglement.specs.plugins import with_digests
from disentanglement.studies.grid import expand
from disentanglement.studies.selection import numbers_text, select


class Identities:
    """Identities of the specs that all models of a cell share, each made once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[StepSpec, StepIdentity]] = {}

    def of(self, spec: StepSpec) -> StepIdentity:
        """The identity of a spec. The spec is kept too: another object may get the id of a lost one."""
        known = self._known.get(id(spec))
        if known is None:
            known = self._known[id(spec)] = (spec, StepIdentity.of(spec))
        return known[1]


@dataclass(frozen=True)
class PlannedRepresentation:
    """A representation of one model, with the scores wanted of it."""

    spec: PostprocessSpec
    train_key: StepKey
    evaluations: tuple[EvaluateSpec, ...]
    identities: Identities = field(default_factory=Identities, compare=False, repr=False)

    @cached_property
    def key(self) -> StepKey:
        """Step key of the `postprocess` step."""
        return step_key(self.spec, [self.train_key], identity=self.identities.of(self.spec))

    @property
    def word(self) -> str:
        """`mean`, `sampled`, ..."""
        return self.spec.representation.word

    @cached_property
    def evaluation_keys(self) -> tuple[StepKey, ...]:
        """Step keys of the `evaluate` steps, one per metric, in order."""
        identity_of = self.identities.of
        return tuple(step_key(spec, [self.key], identity=identity_of(spec)) for spec in self.evaluations)


@dataclass(frozen=True)
class PlannedModel:
    """One model of a plan: its number in the study and the spec to train."""

    number: int
    train: TrainSpec
    postprocess: tuple[PostprocessSpec, ...]
    evaluations: tuple[tuple[EvaluateSpec, ...], ...]
    """Of each representation, in order."""
    identities: Identities = field(default_factory=Identities, compare=False, repr=False)

    @cached_property
    def identity(self) -> StepIdentity:
        """What the key of the `train` step is made of."""
        return StepIdentity.of(self.train)

    @cached_property
    def key(self) -> StepKey:
        """Step key of the `train` step."""
        return step_key(self.train, identity=self.identity)

    @cached_property
    def representations(self) -> tuple[PlannedRepresentation, ...]:
        """What is extracted from the model, in order."""
        wanted = zip(self.postprocess, self.evaluations, strict=True)
        return tuple(
            PlannedRepresentation(spec, self.key, evaluations, self.identities) for spec, evaluations in wanted
        )


class PlanCell(Spec):
    """The part of a plan that one cell (data set x method) holds, as it is stored."""

    study: str
    cell: str
    contracts: dict[str, str]
    """Contract version of every step and member used: `{"train.beta_vae": "1.1"}`."""
    numbers: tuple[int, ...]
    models: tuple[TrainSpec, ...]
    representations: tuple[RepresentationSpec, ...]
    evaluations: tuple[tuple[EvaluateSpec, ...], ...]
    """Of each representation, in order."""

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
        identities = Identities()
        return tuple(
            PlannedModel(number, train, postprocess, self.evaluations, identities)
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
        numbers = numbers_text(model.number for model in self.models)
        raise SpecError.of("model", f"a model number of {self.study} ({numbers})", number)

    def _planned(self) -> Iterator[PlannedModel]:
        for cell in self.cells.values():
            yield from cell.planned


def training_specs(study: StudySpec) -> dict[int, TrainSpec]:
    """The training specs that a study selects, by model number; data sets are not resolved yet.

    Raises:
        SpecError: a combination of the grid that is no valid training spec, with the path into it, a model twice, or a
            selection of what the study does not have.
    """
    grid: Sequence[Mapping[str, Any]] = [{}] if study.grid is None else expand(study.grid)
    base = study.model.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    reader = _SpecReader(base)
    selected = select(study.selection, [reader.read(number, changes) for number, changes in enumerate(grid)])
    if not study.changes:
        return selected
    reader = _SpecReader(base)  # what is not selected need not bear the changes
    return {
        number: reader.read(number, {**grid[number], **_paths(study.changes, {**base, **grid[number]})})
        for number in selected
    }


def expand_study(
    study: StudySpec,
    digests: Mapping[str, str],
    initial: Mapping[str, str] | None = None,
    sources: Mapping[str, str] | None = None,
) -> Plan:
    """The plan of a study, given the digest of each data set's arrays, the step key of each model to start from, and
    the digest of each plugin's source.

    Raises:
        SpecError: an invalid combination, or a data set without a digest.
    """
    _refuse_repeated_metrics(study.metrics)
    evaluations = tuple(tuple(with_digests(spec, sources or {}) for spec in specs) for specs in evaluations_of(study))
    rows: dict[str, list[tuple[int, TrainSpec]]] = {}
    for number, spec in training_specs(study).items():
        rows.setdefault(spec.cell, []).append((number, resolved(spec, digests, initial, sources)))
    cells = {cell: _cell(study, cell, models, evaluations) for cell, models in rows.items()}
    return Plan(study.name, cells)


def resolved(
    spec: TrainSpec,
    digests: Mapping[str, str],
    initial: Mapping[str, str] | None = None,
    sources: Mapping[str, str] | None = None,
) -> TrainSpec:
    """The spec with the digest of its data set filled in, the step key of the model that it starts from, and the
    digests of its plugins' sources: `initial` has the keys of what people write for models, `sources` the digests by
    the names of plugins.

    Raises:
        SpecError: no digest is known, or another one is asked for than the store holds.
    """
    changes: dict[str, Any] = {}
    if key := (initial or {}).get(spec.init_from):
        changes["init_from"] = key
    name = spec.dataset.name
    if not spec.dataset.digest:
        if name not in digests:
            wanted = f"a data set that the store holds (`disentangle data import {name}`)"
            raise SpecError.of("dataset.name", wanted, name)
        changes["dataset"] = DatasetSpec(name=name, digest=digests[name], options=spec.dataset.options)
    complete = spec.model_copy(update=changes)  # valid parts: not validated again, thousands of times
    return with_digests(complete, sources or {})


def _paths(changes: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """Changes with whole paths: `beta` is `objective.beta_vae.beta` in a model with this objective."""
    if all(path.split(".")[0] in TrainSpec.model_fields for path in changes):
        return dict(changes)
    objective = model["objective"]
    word = objective if isinstance(objective, str) else next(iter(objective))
    fields = TrainSpec.model_fields
    return {
        path if path.split(".")[0] in fields else f"objective.{word}.{path}": value for path, value in changes.items()
    }


class _SpecReader:
    """Reads the combinations of a grid. Most differ from one before in their seed alone: those are not parsed anew."""

    def __init__(self, base: Mapping[str, Any]) -> None:
        self._base = base
        self._parsed: dict[str, TrainSpec] = {}
        self._identities: dict[str, str] = {}
        self._first: dict[tuple[str, int], int] = {}

    def read(self, number: int, changes: Mapping[str, Any]) -> TrainSpec:
        _check_paths(changes, number)
        rest = {path: value for path, value in changes.items() if path != "random_seed"}
        text = json.dumps(rest, sort_keys=True)
        known, seed = self._parsed.get(text), changes.get("random_seed")
        if known is not None and type(seed) is int and 0 <= seed < 2**32:
            spec = known.model_copy(update={"random_seed": seed})
        else:
            spec = parse_spec(TrainSpec, with_paths(self._base, changes), field=f"models.{number}")
            self._parsed.setdefault(text, spec)
        self._refuse_repeated(number, spec, text)
        return spec

    def _refuse_repeated(self, number: int, spec: TrainSpec, text: str) -> None:
        if text not in self._identities:
            self._identities[text] = canonical_json(canonical(spec.model_copy(update={"random_seed": 0})))
        first = self._first.setdefault((self._identities[text], spec.random_seed), number)
        if first != number:
            raise SpecError.of("grid", "every model once", f"models {first} and {number} are the same")


def evaluations_of(study: StudySpec) -> tuple[tuple[EvaluateSpec, ...], ...]:
    """What is wanted of each representation, each with its seed."""
    words = [representation.word for representation in study.representations]
    seeds: dict[tuple[str, str], int] = {}
    for i, each in enumerate(study.evaluation_seeds):
        if each.representation not in words:
            wanted = f"a representation of the study ({', '.join(words)})"
            raise SpecError.of(f"evaluation_seeds.{i}.representation", wanted, each.representation)
        seeds[each.representation, canonical_json(canonical(each.metric))] = each.random_seed
    metrics = [(metric, canonical_json(canonical(metric))) for metric in study.metrics]
    return tuple(
        tuple(
            EvaluateSpec(
                metric=metric,
                random_seed=seeds.get((word, text), study.evaluation_seed),
                standard_error=study.standard_error,
            )
            for metric, text in metrics
        )
        for word in words
    )


def _cell(
    study: StudySpec,
    cell: str,
    models: list[tuple[int, TrainSpec]],
    evaluations: tuple[tuple[EvaluateSpec, ...], ...],
) -> PlanCell:
    postprocess = [PostprocessSpec(representation=representation) for representation in study.representations]
    specs: list[StepSpec] = [*(train for _, train in models), *postprocess, *chain.from_iterable(evaluations)]
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


def _refuse_repeated_metrics(metrics: tuple[MetricSpec, ...]) -> None:
    texts = [canonical_json(canonical(metric)) for metric in metrics]
    for text in texts:
        if texts.count(text) > 1:
            raise SpecError.of("metrics", "every metric once", text)
