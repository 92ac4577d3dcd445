"""The factors of a data set: latent ones that are drawn and scored, observed-noise ones that are drawn per image.

Shapes: N points, K latent factors, A all factors. Draws follow the reference: one legacy `RandomState`, one call per
factor, column after column.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import SpecError

Factors = NDArray[np.int64]


@dataclass(frozen=True)
class FactorSpace:
    """Names and sizes of all factors, and which of them are latent (the rest is observed noise)."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    latent: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.sizes) or min(self.sizes, default=0) < 1:
            raise SpecError.of("factors", "a name and a positive size for each", f"{self.names}, {self.sizes}")
        if len(set(self.names)) != len(self.names):
            raise SpecError.of("factors", "distinct names", ", ".join(self.names))
        if not set(self.latent) <= set(range(len(self.sizes))) or len(set(self.latent)) != len(self.latent):
            raise SpecError.of("factors.latent", f"distinct positions below {len(self.sizes)}", self.latent)

    @property
    def latent_names(self) -> tuple[str, ...]:
        """Names of the latent factors, in order."""
        return tuple(self.names[i] for i in self.latent)

    @property
    def latent_sizes(self) -> tuple[int, ...]:
        """Numbers of values of the latent factors, in order."""
        return tuple(self.sizes[i] for i in self.latent)

    @property
    def num_points(self) -> int:
        """Combinations of all factors."""
        return math.prod(self.sizes)

    @cached_property
    def _bases(self) -> NDArray[np.int64]:
        return self.num_points // np.cumprod(self.sizes, dtype=np.int64)

    def sample_latent(self, num: int, random_state: RandomState) -> Factors:
        """Latent factors [N, K], uniform: one `randint(size, size=num)` per factor."""
        return _columns([random_state.randint(size, size=num) for size in self.latent_sizes], num)

    def complete(self, latent_NK: Factors, random_state: RandomState) -> Factors:
        """All factors [N, A]: the observed-noise ones are drawn, in ascending order."""
        self._check(latent_NK, self.latent_names, self.latent_sizes)
        all_NA = np.zeros((len(latent_NK), len(self.sizes)), dtype=np.int64)
        all_NA[:, list(self.latent)] = latent_NK
        for i in sorted(set(range(len(self.sizes))) - set(self.latent)):
            all_NA[:, i] = random_state.randint(self.sizes[i], size=len(latent_NK))
        return all_NA

    def row_of(self, all_NA: Factors) -> NDArray[np.int64]:
        """Row-major position [N] of combinations of all factors; the last factor is the fastest.

        Raises:
            SpecError: a value outside its factor's range, naming the factor.
        """
        self._check(all_NA, self.names, self.sizes)
        rows: NDArray[np.int64] = all_NA.astype(np.int64) @ self._bases
        return rows

    def factors_of(self, rows_N: NDArray[np.int64]) -> Factors:
        """All factors [N, A] at row-major positions: the inverse of `row_of`.

        Raises:
            SpecError: a position outside the grid.
        """
        outside = rows_N[(rows_N < 0) | (rows_N >= self.num_points)]
        if len(outside):
            raise SpecError.of("rows", f"0 to {self.num_points - 1}", outside[0])
        return np.stack(np.unravel_index(rows_N, self.sizes), axis=1).astype(np.int64)

    @staticmethod
    def _check(factors: Factors, names: Sequence[str], sizes: Sequence[int]) -> None:
        if factors.ndim != 2 or factors.shape[1] != len(sizes) or not np.issubdtype(factors.dtype, np.integer):
            wanted = f"integers [N, {len(sizes)}]: {', '.join(names)}"
            raise SpecError.of("factors", wanted, f"{factors.dtype} {list(factors.shape)}")
        for name, size, column in zip(names, sizes, factors.T, strict=True):
            if len(column) and (column.min() < 0 or column.max() >= size):
                outside = column[(column < 0) | (column >= size)][0]
                raise SpecError.of(f"factors.{name}", f"0 to {size - 1}", outside)


def _columns(columns: Sequence[NDArray[np.integer]], num: int) -> Factors:
    factors = np.zeros((num, len(columns)), dtype=np.int64)
    for i, column in enumerate(columns):
        factors[:, i] = column
    return factors
