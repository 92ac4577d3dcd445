"""Random specs of every type, built from the types themselves: a new field is drawn without a line here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from disentanglement.specs import DatasetSpec, GridSpec, ObjectiveSpec, OneOf, Spec, StudySpec, TrainSpec
from disentanglement.specs.base import LARGEST_EXACT_INTEGER, PlainObject
from disentanglement.specs.networks import PiecewiseConstant
from disentanglement.specs.steps import EvaluateSpec, PostprocessSpec
from disentanglement.specs.supervision import LabelledDataSpec, PairsSpec

AnySpec = TypeVar("AnySpec", bound=Spec)

ROOTS: tuple[type[Spec], ...] = (TrainSpec, PostprocessSpec, EvaluateSpec, StudySpec)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INTEGERS = st.integers(-LARGEST_EXACT_INTEGER, LARGEST_EXACT_INTEGER)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
JSON_OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)


@cache
def spec_types() -> tuple[type[Spec], ...]:
    """Every type that a step or a study is made of."""
    found: dict[type[Spec], None] = {}
    waiting = list(ROOTS)
    while waiting:
        kind = waiting.pop()
        if kind not in found:
            found[kind] = None
            waiting += [inner for hint in declared_types(kind).values() for inner in specs_in(hint)]
    return tuple(sorted(found, key=lambda kind: kind.__name__))


def declared_types(kind: type[Spec]) -> dict[str, Any]:
    """The declared type of each field, with its bounds."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: hints[name] for name in kind.model_fields}


def specs_in(hint: Any) -> Iterator[type[Spec]]:
    """The spec types that a field's type names."""
    if isinstance(hint, type) and issubclass(hint, Spec):
        yield hint
    for argument in () if get_origin(hint) is Literal or hint == PlainObject else get_args(hint):
        yield from specs_in(argument)


def specs(kind: type[AnySpec]) -> st.SearchStrategy[AnySpec]:
    """Valid specs of one type, nested a few levels at most."""
    return cast("st.SearchStrategy[AnySpec]", _specs(kind))


def resolved_train_specs() -> st.SearchStrategy[TrainSpec]:
    """Training specs whose data set has a digest, and whose model to start from a step key, so that they have keys."""
    with_digest = st.builds(_with_digest, specs(DatasetSpec), DIGESTS)
    initial = st.just("") | st.from_regex(r"[a-z]{1,3}\.[a-z]{1,3}\.[a-z2-7]{52}", fullmatch=True)
    return st.builds(
        lambda spec, dataset, init_from: spec.replace(dataset=dataset, init_from=init_from),
        specs(TrainSpec),
        with_digest,
        initial,
    )


def _with_digest(dataset: DatasetSpec, digest: str) -> DatasetSpec:
    return dataset.replace(digest=digest)


@cache
def _specs(kind: type[Spec]) -> st.SearchStrategy[Any]:
    if kind is TrainSpec:
        return specs(ObjectiveSpec).flatmap(_train_specs)
    if kind is GridSpec:
        return _grids(depth=2)
    if kind is PiecewiseConstant:
        return st.integers(1, 3).flatmap(_pieces)
    fields = {name: _later(hint) for name, hint in declared_types(kind).items()}
    if issubclass(kind, OneOf):
        return st.one_of([st.builds(kind, **{name: _set(hint)}) for name, hint in declared_types(kind).items()])
    return _built(kind, fields)


def _later(hint: Any) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: _values(hint))


def _set(hint: Any) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: _values(hint).filter(lambda value: value is not None))


def _built(kind: type[Spec], fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    required = {name for name in fields if kind.model_fields[name].is_required()}
    return st.fixed_dictionaries(
        {name: values for name, values in fields.items() if name in required},
        optional={name: values for name, values in fields.items() if name not in required},
    ).map(lambda values: kind(**values))


def _train_specs(objective: ObjectiveSpec) -> st.SearchStrategy[TrainSpec]:
    fields = {name: _values(hint) for name, hint in declared_types(TrainSpec).items()}
    fields |= {"objective": st.just(objective)}
    fields["labelled"] = specs(LabelledDataSpec) if objective.needs_labels else st.none()
    fields["pairs"] = specs(PairsSpec) if objective.needs_pairs else st.none()
    wanted = {name for name in ("labelled", "pairs") if getattr(objective, f"needs_{_need(name)}")}
    required = {name: fields.pop(name) for name in ("dataset", "objective", *wanted)}
    return st.fixed_dictionaries(required, optional=fields).map(lambda values: TrainSpec(**values))


def _pieces(changes: int) -> st.SearchStrategy[PiecewiseConstant]:
    hints = declared_types(PiecewiseConstant)
    boundary, value = (_values(get_args(get_args(hints[name])[0])[0]) for name in ("boundaries", "values"))
    boundaries = st.lists(boundary, min_size=changes, max_size=changes, unique=True).map(sorted).map(tuple)
    values = st.lists(value, min_size=changes + 1, max_size=changes + 1).map(tuple)
    return st.builds(PiecewiseConstant, boundaries=boundaries, values=values)


def _need(field: str) -> str:
    return {"labelled": "labels", "pairs": "pairs"}[field]


def _grids(depth: int) -> st.SearchStrategy[GridSpec]:
    sweeps = st.builds(lambda path, values: {path: values}, TEXT, st.lists(JSON, min_size=1, max_size=3))
    leaves = st.builds(GridSpec, fixed=JSON_OBJECTS) | st.builds(GridSpec, sweep=sweeps)
    if depth == 0:
        return leaves
    lists = st.lists(_grids(depth - 1), min_size=1, max_size=2).map(tuple)
    return leaves | st.one_of([st.builds(GridSpec, **{word: lists}) for word in ("zip", "chain", "product")])


def _values(hint: Any) -> st.SearchStrategy[Any]:
    if hint == PlainObject:
        return JSON_OBJECTS
    bounds: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        bounds = tuple(_flat(extras))
    if get_origin(hint) in (Union, UnionType):
        return st.one_of([_values(option) for option in get_args(hint)])
    if get_origin(hint) is Annotated:
        return _values(hint)
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is tuple:
        return _tuples(get_args(hint), bounds)
    return _plain_values(hint, bounds)


def _flat(extras: Iterable[Any]) -> Iterator[Any]:
    for extra in extras:
        yield from extra.metadata if isinstance(extra, FieldInfo) else (extra,)


def _tuples(members: tuple[Any, ...], bounds: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if members[-1] is not Ellipsis:
        return st.tuples(*map(_values, members))
    smallest = _bound(bounds, MinLen, "min_length", 0)
    return st.lists(_values(members[0]), min_size=smallest, max_size=smallest + 2).map(tuple)


def _plain_values(hint: Any, bounds: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if hint is NoneType:
        return st.none()
    if hint is bool:
        return st.booleans()
    if hint is int:
        smallest, beyond = _bound(bounds, Ge, "ge", 0), _bound(bounds, Lt, "lt", 2**31)
        return st.integers(smallest, _bound(bounds, Le, "le", beyond - 1))
    if hint is float:
        return _floats(bounds)
    if hint is str:
        return _texts(bounds)
    assert issubclass(hint, Spec), hint
    return specs(hint)


def _floats(bounds: tuple[Any, ...]) -> st.SearchStrategy[float]:
    above, below = _bound(bounds, Gt, "gt", None), _bound(bounds, Lt, "lt", None)
    return st.floats(
        above if above is not None else _bound(bounds, Ge, "ge", None),
        below if below is not None else _bound(bounds, Le, "le", None),
        exclude_min=above is not None,
        exclude_max=below is not None,
        allow_nan=False,
        allow_infinity=False,
    )


def _texts(bounds: tuple[Any, ...]) -> st.SearchStrategy[str]:
    pattern = next((bound.pattern for bound in bounds if getattr(bound, "pattern", None)), None)
    if pattern is None:
        return TEXT
    longest = _bound(bounds, MaxLen, "max_length", 80)
    return st.from_regex(rf"\A(?:{pattern.removeprefix('^').removesuffix('$')})\Z").filter(
        lambda text: text.isascii() and len(text) <= longest
    )


def _bound(bounds: tuple[Any, ...], kind: type[Any], name: str, default: Any) -> Any:
    return next((getattr(bound, name) for bound in bounds if isinstance(bound, kind)), default)
