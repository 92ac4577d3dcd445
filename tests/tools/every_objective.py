"""Every objective of the catalog with every option that it has, made from the types: a new one needs no line here."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from strategies import declared_types

from disentanglement.models.catalog import OBJECTIVES, REGULARIZERS
from disentanglement.specs import ObjectiveSpec, OneOf, Spec, TrainSpec

STRENGTH, STEPS = 1.5, 7
"""What stands for any number, and for any number of steps, where a spec asks for one."""

TRAINING: dict[str, Any] = {
    "dataset": "dummy_data",
    "architecture": {"num_latent": 4, "encoder": {"test_encoder": {}}, "decoder": {"test_decoder": {}}},
    "batch_size": 4,
    "training_steps": 12,
    "eval_steps": 1,
}
LABELLED = {
    "num_labelled_samples": 6,
    "train_percentage": 0.7,
    "labeller": {"partial_labeller": {"num_observed_factors": 2}},
}
PAIRS = {"k": -1}


def every_objective() -> list[ObjectiveSpec]:
    """For each word of the catalog as many specs as it takes to set each of its options to each of its values."""
    words = (*REGULARIZERS, *OBJECTIVES)
    return [objective for objective in alternatives(ObjectiveSpec) if objective.word in words]


def one_of_each_method() -> list[ObjectiveSpec]:
    """One spec for each method; the options of a kind (supervised losses) are dealt out among the methods."""
    by_method: dict[str, list[ObjectiveSpec]] = {}
    for objective in every_objective():
        by_method.setdefault(objective.method, []).append(objective)
    return [of_method[i % len(of_method)] for i, of_method in enumerate(by_method.values())]


def training_spec(objective: ObjectiveSpec, **changes: Any) -> TrainSpec:
    """A small training with an objective, on labels or pairs where it needs them."""
    plain = TRAINING | {"objective": objective}
    if objective.needs_labels:
        plain |= {"labelled": LABELLED}
    if objective.needs_pairs:
        plain |= {"pairs": PAIRS}
    return TrainSpec.model_validate(plain | changes)


def name_of(objective: ObjectiveSpec) -> str:
    """For the identifiers of tests: the method and its options that are no numbers."""
    return "-".join([objective.method, *_words(objective.selected[1])])


def alternatives(kind: type[Spec]) -> list[Any]:
    """Specs of a kind in which every value of every option occurs; numbers are the same in all."""
    values = {name: _values(kind, name, hint) for name, hint in declared_types(kind).items() if name != "plugin"}
    if issubclass(kind, OneOf):
        return [kind(**{name: value}) for name, of_name in values.items() for value in of_name]
    num = max((len(of_name) for of_name in values.values()), default=1)
    return [kind(**{name: of_name[i % len(of_name)] for name, of_name in values.items()}) for i in range(num)]


def _values(kind: type[Spec], name: str, hint: Any) -> list[Any]:
    field, hint = kind.model_fields[name], _bare(hint)
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if hint is bool:
        return [False, True]
    if isinstance(hint, type) and issubclass(hint, Spec):
        keeps_default = issubclass(hint, OneOf) and not field.is_required()
        return [field.default] if keeps_default else alternatives(hint)
    return [STEPS if hint is int else STRENGTH] if field.is_required() else [field.default]


def _bare(hint: Any) -> Any:
    """A type without its bounds and without None."""
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (option for option in get_args(hint) if option is not NoneType)
        return _bare(hint)
    return hint


def _words(spec: Spec) -> Iterator[str]:
    for name, field in type(spec).model_fields.items():
        value = getattr(spec, name)
        if value == field.default:
            continue
        if isinstance(value, OneOf):
            yield value.word
            yield from _words(value.selected[1])
        elif isinstance(value, Spec):
            yield from _words(value)
        elif isinstance(value, bool | str) and name not in ("dip_type", "aggregation"):
            yield str(value) if isinstance(value, str) else f"{name}_{value}".lower()
