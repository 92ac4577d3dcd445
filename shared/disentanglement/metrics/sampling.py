"""How points are drawn for a metric, in the reference's order.

Shapes: N points, P stored points, B points in a batch, D codes, K factors. The codes of the whole data set
are computed once; from then on a sample is index arithmetic. The reference draws factors, then whatever the
observation draws, batch by batch from one legacy `RandomState`, so the batch size decides the sample. Rows
are drawn in that order here too, and their codes gathered many batches at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator, RandomState
from numpy.typing import NDArray

from disentanglement.errors import SpecError
from disentanglement.metrics.arrays import Codes, Factors, FixedFactorVariances, Points
from disentanglement.metrics.progress import Progress, silent

POINTS_PER_GATHER = 2**16
"""Points looked up at once while votes are drawn; no number depends on it."""


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
    codes_ND: Codes = table_PD[rows_N]
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


def generate_batch_factor_code(
    representation: Representation, num_points: int, rs: RandomState, batch_size: int
) -> tuple[Codes, Factors]:
    """Codes [N, D] and factors [N, K] of fresh points, drawn `batch_size` at a time, the last batch fewer."""
    factors, rows = [], []
    for start in range(0, num_points, batch_size):
        factors.append(representation.sample_factors(min(batch_size, num_points - start), rs))
        rows.append(representation.rows(factors[-1], rs))
    return representation.codes_of(np.concatenate(rows)), np.concatenate(factors)


def sample_points(representation: Representation, num_points: int, rs: RandomState, batch_size: int) -> Points:
    """What `generate_batch_factor_code` draws, as points."""
    return Points(*generate_batch_factor_code(representation, num_points, rs, batch_size))


def variance_of_codes(representation: Representation, num_points: int, rs: RandomState) -> Codes:
    """Variance [D] (ddof 1) of each code over fresh points, drawn in one batch."""
    codes_ND, _ = generate_batch_factor_code(representation, num_points, rs, num_points)
    return _variance(codes_ND, axis=0)


def _variance(codes: Codes, axis: int) -> Codes:
    variance: Codes = np.var(codes, axis=axis, ddof=1)
    return variance


def variances_at_fixed_factors(
    representation: Representation,
    num_votes: int,
    rs: RandomState,
    batch_size: int,
    *,
    progress: Progress = silent,
) -> FixedFactorVariances:
    """For each vote: a factor, a batch of points that share its value, each code's variance in the batch."""
    factors, variances = [], []
    per_gather = max(POINTS_PER_GATHER // batch_size, 1)
    for start in range(0, num_votes, per_gather):
        num = min(per_gather, num_votes - start)
        factor_m, rows_mB = zip(*_fixed_factor_batches(representation, num, rs, batch_size), strict=True)
        codes_mBD = representation.codes_of(np.concatenate(rows_mB)).reshape(num, batch_size, -1)
        factors.append(np.array(factor_m, dtype=np.int64))
        variances.append(_variance(codes_mBD, axis=1))
        progress((start + num) / num_votes)
    return FixedFactorVariances(np.concatenate(factors), np.concatenate(variances))


def _fixed_factor_batches(
    representation: Representation, num: int, rs: RandomState, batch_size: int
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    for _ in range(num):
        factor = rs.randint(len(representation.factor_sizes))
        factors_BK = representation.sample_factors(batch_size, rs)
        factors_BK[:, factor] = factors_BK[0, factor]
        yield factor, representation.rows(factors_BK, rs)
