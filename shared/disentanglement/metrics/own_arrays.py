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
from disentanglement.metrics.memory import computed_once, frozen
from disentanglement.metrics.representations import FactorGrid


@dataclass(frozen=True, slots=True)
class OwnArrays:
    """Points as given, and held-out points if some were. All are used, whatever a spec's `num_train` says."""

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

    def shared(self) -> OwnArrays:
        """Copies that nobody can write to, so that what several metrics compute of them is computed once."""
        return OwnArrays(_copy(self.given), None if self.test is None else _copy(self.test))


@computed_once
def _split(codes_ND: Codes, factors_NK: Factors, num_train: int, seed: int) -> tuple[Points, Points]:
    """So many points at random, and the others."""
    points, shuffled = Points(codes_ND, factors_NK), np.random.default_rng(seed).permutation(len(codes_ND))
    return frozen(points.rows(shuffled[:num_train])), frozen(points.rows(shuffled[num_train:]))


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
