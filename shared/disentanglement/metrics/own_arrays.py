"""Metrics on arrays that somebody brings, without a data set. Shapes: N points, D codes, K factors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.arrays import (
    Codes,
    Factors,
    Points,
    as_codes,
    as_factors,
    check_paired,
    check_same_columns,
)
from disentanglement.metrics.sampling.representations import FactorGrid
from disentanglement.metrics.statistics.memory import computed_once, frozen
from disentanglement.specs.base import Spec


@dataclass(frozen=True, slots=True)
class OwnArrays:
    """Points as given, and held-out points if some were. `sized` says how many of them are used."""

    given: Points
    test: Points | None = None

    @classmethod
    def read(
        cls, codes: ArrayLike, factors: ArrayLike, test_codes: ArrayLike | None, test_factors: ArrayLike | None
    ) -> OwnArrays:
        """Raises SpecError naming the array whose shape or dtype is wrong, or that lacks its partner."""
        given = _points(codes, factors, "")
        if test_codes is None and test_factors is None:
            return cls(given)
        if test_codes is None or test_factors is None:
            missing = "test_codes" if test_codes is None else "test_factors"
            raise SpecError.of(missing, "test_codes and test_factors together, or neither", "nothing")
        test = _points(test_codes, test_factors, "test_")
        check_same_columns(given, test)
        return cls(given, test)

    def split(self, seed: int) -> tuple[Points, Points]:
        """Training and test points: the given test points as they are, else a random third is held out."""
        if self.test is not None:
            return self.given, self.test
        num_train = len(self.given) * 2 // 3
        if num_train < 1:
            raise SpecError.of("codes.shape", "2 rows or more, as a third is held out", len(self.given))
        return _split(self.given.codes_ND, self.given.factors_NK, num_train, seed)

    def sized(self, parameters: Spec, seed: int, *, held_out: bool) -> OwnArrays:
        """As many points as the parameters `num_train` and `num_test` ask for where they are not at their defaults.

        Else all are used, and so are test points that were given. Those that are left out are drawn by the seed.
        Raises SpecError where there are too few points.
        """
        num_train, num_test = _asked_for(parameters, "num_train"), _asked_for(parameters, "num_test")
        if self.test is not None or (num_train is None and (num_test is None or not held_out)):
            return self
        if not held_out:
            assert num_train is not None
            train, _ = _split(self.given.codes_ND, self.given.factors_NK, _at_most(num_train, len(self.given)), seed)
            return OwnArrays(train)
        num_train = num_train or max(len(self.given) - (num_test or 0), 0)
        num_train = _at_most(num_train, len(self.given) - (num_test or 1), beside=num_test or 1)
        train, test = _split(self.given.codes_ND, self.given.factors_NK, num_train, seed)
        return OwnArrays(train, Points(test.codes_ND[:num_test], test.factors_NK[:num_test]))

    def shared(self) -> OwnArrays:
        """Copies that nobody can write to, so that what several metrics compute of them is computed once."""
        return OwnArrays(_copy(self.given), None if self.test is None else _copy(self.test))


@computed_once
def _split(codes_ND: Codes, factors_NK: Factors, num_train: int, seed: int) -> tuple[Points, Points]:
    """So many points at random, and the others."""
    points, shuffled = Points(codes_ND, factors_NK), np.random.default_rng(seed).permutation(len(codes_ND))
    return frozen(points.rows(shuffled[:num_train])), frozen(points.rows(shuffled[num_train:]))


def _asked_for(parameters: Spec, field: str) -> int | None:
    """A parameter that is one number and not at its default."""
    info, value = type(parameters).model_fields.get(field), getattr(parameters, field, None)
    if info is None or info.is_required() or not isinstance(value, int) or value == info.default:
        return None
    return value


def _at_most(num_train: int, most: int, *, beside: int = 0) -> int:
    if not 1 <= num_train <= most:
        with_test = f" beside {beside} to test on" if beside else ""
        raise SpecError.of("num_train", f"1 to {most}, as many points as there are{with_test}", num_train)
    return num_train


def _copy(points: Points) -> Points:
    return frozen(Points(points.codes_ND.copy(), points.factors_NK.copy()))


def _points(codes: ArrayLike, factors: ArrayLike, prefix: str) -> Points:
    points = Points(as_codes(codes, f"{prefix}codes"), as_factors(factors, f"{prefix}factors"))
    check_paired(points.codes_ND, points.factors_NK, prefix=prefix)
    return points


def grid_of(points: Points, metric: str) -> FactorGrid:
    """The grid that the points are in order: raises MetricUndefined, saying what `metric` needs, where they are not."""
    wanted = (
        f"{metric} keeps factors fixed and draws the others, so it needs the code of every combination of factor"
        " values: one row each, in data-set order (the last factor changes fastest, values counted from 0)"
    )
    sizes = tuple(int(size) for size in points.factors_NK.max(axis=0) + 1)
    grid = FactorGrid(sizes)
    if min(sizes) < 1 or np.prod(sizes, dtype=float) != len(points):
        raise MetricUndefined(f"{wanted}; {len(points)} rows are not the grid of {list(sizes)} values")
    if not np.array_equal(points.factors_NK, grid.all_factors()):
        raise MetricUndefined(f"{wanted}; the rows are in another order, or repeat")
    return grid
