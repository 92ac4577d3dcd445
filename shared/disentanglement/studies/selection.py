"""Which models of a study: by number, data set, method or seed. They keep their numbers."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from disentanglement.errors import SpecError
from disentanglement.specs import TrainSpec
from disentanglement.specs.study import Selection


class NumberSet(Container[object]):
    """`0-299,305`, without counting its numbers out."""

    def __init__(self, text: str) -> None:
        parts = [part.partition("-") for part in text.split(",") if part]
        self.ranges = [range(int(first), int(last or first) + 1) for first, _, last in parts]

    def __contains__(self, number: object) -> bool:
        return any(number in numbers for numbers in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)


def select(selection: Selection, specs: Sequence[TrainSpec], *, field: str = "selection") -> dict[int, TrainSpec]:
    """The training specs that are selected, by their number.

    Raises:
        SpecError: a number, data set, method or seed that the study does not have, or nothing is left.
    """
    if selection == Selection():
        return dict(enumerate(specs))
    models, seeds = NumberSet(selection.models), NumberSet(selection.seeds)
    _check_numbers(models, len(specs), f"{field}.models")
    _check_words(selection.datasets, {spec.dataset.name for spec in specs}, f"{field}.datasets")
    _check_words(selection.methods, {spec.objective.method for spec in specs}, f"{field}.methods")
    numbers = [number for number in range(len(specs)) if not models or number in models]
    selected = {
        number: specs[number]
        for number in numbers
        if (not selection.datasets or specs[number].dataset.name in selection.datasets)
        and (not selection.methods or specs[number].objective.method in selection.methods)
        and (not seeds or specs[number].random_seed in seeds)
    }
    if not selected:
        raise SpecError.of(field, "at least one model of the study", "conditions that no model meets")
    return selected


def _check_numbers(numbers: NumberSet, count: int, field: str) -> None:
    for each in numbers.ranges:
        if not each:
            raise SpecError.of(field, "ranges from small to large, e.g. 0-299", f"{each.start}-{each.stop - 1}")
        if each.stop > count:
            raise SpecError.of(field, f"numbers of models, 0 to {count - 1}", each.stop - 1)


def _check_words(words: Iterable[str], known: set[str], field: str) -> None:
    for word in words:
        if word not in known:
            raise SpecError.of(field, f"some of {', '.join(sorted(known))}", word)


def numbers_text(numbers: Iterable[int]) -> str:
    """`0-299,305`: the inverse of reading it, as short as it can be."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def cells_of(specs: Mapping[int, TrainSpec]) -> dict[str, int]:
    """How many models each cell (data set x method) has, in the order of the numbers."""
    counts: dict[str, int] = {}
    for spec in specs.values():
        counts[spec.cell] = counts.get(spec.cell, 0) + 1
    return counts
