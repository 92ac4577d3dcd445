"""Pairs of batches that share the value of one factor, point by point, drawn in the reference's order.

Shapes: M pairs (2) of batches of B points, K factors that are scored, A all factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.datasets.factor_space import FactorSpace
from disentanglement.metrics.sampling.batches import uniform_space
from disentanglement.metrics.sampling.draws import draw
from disentanglement.metrics.sampling.representations import FactorSource

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairedBatches:
    """Rows of both batches of each pair, and the factor that they share."""

    rows_M2B: Rows
    factor_M: NDArray[np.int64]


def draw_paired_batches(source: FactorSource, num_pairs: int, batch_size: int, rs: RandomState) -> PairedBatches:
    """For each pair of batches: the shared factor, factors of both, then what observing the first, the second draws."""
    space = uniform_space(source)
    if space is None:
        return _pair_by_pair(source, num_pairs, batch_size, rs)
    beside = sorted(set(range(len(space.sizes))) - set(space.latent))
    num_latent, num_beside = len(space.latent), len(beside)
    sizes = 2 * [*space.latent_sizes] + 2 * [space.sizes[i] for i in beside]
    drawn = draw(rs, sizes, num_pairs, batch_size, num_choices=num_latent)
    batch_M = np.arange(num_pairs)
    shared_MB = drawn.value_MBC[batch_M, :, drawn.choice_M]
    drawn.value_MBC[batch_M, :, num_latent + drawn.choice_M] = shared_MB
    rows_M2B = np.empty((num_pairs, 2, batch_size), dtype=np.int64)
    for member in (0, 1):
        latent = np.arange(num_latent) + member * num_latent
        noise = np.arange(num_beside) + 2 * num_latent + member * num_beside
        rows_M2B[:, member] = _rows(space, [*space.latent, *beside], drawn.value_MBC, [*latent, *noise])
    return PairedBatches(rows_M2B, drawn.choice_M)


def _rows(space: FactorSpace, factors: list[int], value_MBC: NDArray[np.int64], columns: list[int]) -> Rows:
    """Rows [M, B] of points whose factors stand in these columns; as drawn, they are within their ranges."""
    stride_A = np.cumprod([1, *space.sizes[:0:-1]])[::-1]
    rows_MB = np.zeros(value_MBC.shape[:2], dtype=np.int64)
    for factor, column in zip(factors, columns, strict=True):
        rows_MB += value_MBC[:, :, column] * stride_A[factor]
    return rows_MB


def _pair_by_pair(source: FactorSource, num_pairs: int, batch_size: int, rs: RandomState) -> PairedBatches:
    rows, factors = [], []
    for _ in range(num_pairs):
        factor = rs.randint(len(source.factor_sizes))
        first_BK, second_BK = (source.sample_factors(batch_size, rs) for _ in range(2))
        second_BK[:, factor] = first_BK[:, factor]
        rows.append([source.rows(factors_BK, rs) for factors_BK in (first_BK, second_BK)])
        factors.append(factor)
    return PairedBatches(np.array(rows, dtype=np.int64), np.array(factors, dtype=np.int64))
