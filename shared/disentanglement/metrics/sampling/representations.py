"""Codes of a data set with known factors, and what points are drawn from.

Shapes: N points, P stored points, D codes, K factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.random import Generator, RandomState
from numpy.typing import NDArray

from disentanglement.errors import SpecError
from disentanglement.metrics.arrays import Codes, Factors

if TYPE_CHECKING:
    from disentanglement.metrics.sampling.samples import Samples


class FactorSource(Protocol):
    """The part of a ground truth that sampling needs: factors, and which stored points show them."""

    @property
    def factor_sizes(self) -> Sequence[int]: ...

    def sample_factors(self, num: int, rs: RandomState) -> Factors:
        """Factor values [num, K], drawn factor after factor."""
        ...

    def rows(self, factors_NK: Factors, rs: RandomState) -> NDArray[np.int64]:
        """The stored points [N] that observe these factors; draws from `rs` what observing them draws."""
        ...


class Representation(FactorSource, Protocol):
    """Codes of a data set with known factors."""

    @property
    def num_codes(self) -> int: ...

    def codes_of(self, rows_N: NDArray[np.int64]) -> Codes:
        """Codes [N, D] of stored points. A random representation draws anew at every call."""
        ...


@dataclass(frozen=True, slots=True)
class GridRepresentation:
    """Codes looked up in the stored posterior of every point: its mean, or with `noise` a sample from it.

    `mean_PD` and `logvar_PD` may be memory maps; only rows that are asked for are read. Every look-up
    advances `noise`: give each metric a representation of its own, and no score depends on what was scored
    before.
    """

    data: FactorSource
    mean_PD: Codes
    logvar_PD: Codes | None = None
    noise: Generator | None = None

    def __post_init__(self) -> None:
        if (self.logvar_PD is None) != (self.noise is None):
            wanted = "log-variance and noise together (sampled), or neither (mean)"
            raise SpecError.of("representation", wanted, "one of them")
        if self.logvar_PD is not None and self.logvar_PD.shape != self.mean_PD.shape:
            raise SpecError.of("logvar.shape", str(self.mean_PD.shape), self.logvar_PD.shape)

    @property
    def factor_sizes(self) -> Sequence[int]:
        return self.data.factor_sizes

    @property
    def num_codes(self) -> int:
        return int(self.mean_PD.shape[1])

    def sample_factors(self, num: int, rs: RandomState) -> Factors:
        return self.data.sample_factors(num, rs)

    def rows(self, factors_NK: Factors, rs: RandomState) -> NDArray[np.int64]:
        return self.data.rows(factors_NK, rs)

    def codes_of(self, rows_N: NDArray[np.int64]) -> Codes:
        mean_ND = _gather(self.mean_PD, rows_N)
        if self.logvar_PD is None or self.noise is None:
            return mean_ND
        noise_ND = self.noise.standard_normal(mean_ND.shape, dtype=mean_ND.dtype.type)
        sample_ND: Codes = mean_ND + np.exp(_gather(self.logvar_PD, rows_N) / 2) * noise_ND
        return sample_ND


def _gather(table_PD: Codes, rows_N: NDArray[np.int64]) -> Codes:
    codes_ND: Codes = table_PD.take(rows_N, axis=0)
    return codes_ND.view(np.ndarray)  # a gather from a memory map is in memory, whatever its type says


@dataclass(frozen=True, slots=True)
class FactorGrid:
    """Every combination of factor values once, in row-major order: the last factor changes fastest."""

    factor_sizes: tuple[int, ...]

    def sample_factors(self, num: int, rs: RandomState) -> Factors:
        """Uniform and independent, factor after factor."""
        return np.stack([rs.randint(size, size=num) for size in self.factor_sizes], axis=1).astype(np.int64)

    def rows(self, factors_NK: Factors, rs: RandomState) -> NDArray[np.int64]:
        """Row-major index; draws nothing."""
        return np.asarray(np.ravel_multi_index(tuple(factors_NK.T), self.factor_sizes), dtype=np.int64)

    def all_factors(self) -> Factors:
        """The whole grid [P, K]."""
        return np.indices(self.factor_sizes).reshape(len(self.factor_sizes), -1).T.astype(np.int64)


@dataclass(frozen=True, slots=True)
class SharedRepresentation:
    """A representation of which several metrics are computed: what one of them has drawn, the others find drawn."""

    source: Representation
    samples: Samples

    @property
    def data(self) -> FactorSource:
        """What its points are drawn from."""
        return self.source

    @property
    def factor_sizes(self) -> Sequence[int]:
        return self.source.factor_sizes

    @property
    def num_codes(self) -> int:
        return self.source.num_codes

    def sample_factors(self, num: int, rs: RandomState) -> Factors:
        return self.source.sample_factors(num, rs)

    def rows(self, factors_NK: Factors, rs: RandomState) -> NDArray[np.int64]:
        return self.source.rows(factors_NK, rs)

    def codes_of(self, rows_N: NDArray[np.int64]) -> Codes:
        return self.source.codes_of(rows_N)
