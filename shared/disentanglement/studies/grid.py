"""The sweep algebra: lists of changes to a training spec, as dotted paths.

The reference's vocabulary (`fixed`, `sweep`, `zip`, `chain`, `product`) with the reference's order: the first list of
a product is the slowest, later names win in a merge and keep their first place.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from disentanglement.errors import SpecError
from disentanglement.specs.study import MAX_MODELS, GridSpec

Changes = Mapping[str, Any]


def expand(grid: GridSpec, *, field: str = "grid") -> list[Changes]:
    """The list of changes that a grid stands for, in order.

    Raises:
        SpecError: lists of unequal length under `zip`, or more than `MAX_MODELS` combinations.
    """
    word, _ = grid.selected
    path = f"{field}.{word}"
    if grid.fixed is not None:
        return fixed(grid.fixed)
    if grid.sweep is not None:
        [(name, values)] = grid.sweep.items()
        return sweep(name, values)  # type: ignore[arg-type]  # a list, as the spec has checked
    lists = [expand(inner, field=f"{path}.{i}") for i, inner in enumerate(grid.zip or grid.chain or grid.product or ())]
    if grid.zip is not None:
        return zipped(lists, field=path)
    return limited(chained(lists), path) if grid.chain is not None else product(lists, field=path)


def fixed(changes: Changes) -> list[Changes]:
    """One combination."""
    return [dict(changes)]


def sweep(name: str, values: Sequence[Any]) -> list[Changes]:
    """One combination per value."""
    return [{name: value} for value in values]


def zipped(lists: Sequence[Sequence[Changes]], *, field: str = "zip") -> list[Changes]:
    """Element by element; a list of length 1 is repeated."""
    length = max(map(len, lists))
    for i, entries in enumerate(lists):
        if len(entries) not in (1, length):
            raise SpecError.of(f"{field}.{i}", f"1 or {length} combinations, like the longest list", len(entries))
    repeated = [list(entries) * length if len(entries) == 1 else entries for entries in lists]
    return [merged(entries) for entries in zip(*repeated, strict=True)]


def chained(lists: Sequence[Sequence[Changes]]) -> list[Changes]:
    """One after the other."""
    return list(itertools.chain.from_iterable(lists))


def product(lists: Sequence[Sequence[Changes]], *, field: str = "product") -> list[Changes]:
    """Every combination, the last list fastest."""
    count = 1
    for entries in lists:
        count *= len(entries)
        if count > MAX_MODELS:
            raise SpecError.of(field, f"at most {MAX_MODELS} models", f"{count} or more")
    return [merged(entries) for entries in itertools.product(*lists)]


def limited(changes: list[Changes], field: str) -> list[Changes]:
    """The list itself, if a study may have so many models."""
    if len(changes) > MAX_MODELS:
        raise SpecError.of(field, f"at most {MAX_MODELS} models", len(changes))
    return changes


def merged(entries: Sequence[Changes]) -> Changes:
    """All changes in one: later values win, names keep their first place."""
    result: dict[str, Any] = {}
    for entry in entries:
        result.update(entry)
    return result
