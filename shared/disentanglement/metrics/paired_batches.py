"""Pairs of batches that share the value of one factor, point by point, drawn in the reference's order.

Shapes: M pairs of batches of B points, N = M * B pairs of points, K factors that are scored, A all factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.datasets.factor_space import FactorSpace
from disentanglement.metrics.batches import uniform_space
from disentanglement.metrics.draws import draw
from disentanglement.metrics.representations import FactorSource

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairedBatches:
    """Rows of the first and of the second members of N pairs, batch after batch; the factor that each batch shares."""

    first_N: Rows
    second_N: Rows
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
    value_NC = drawn.value_MBC.reshape(-1, len(sizes))
    members = []
    for member in (0, 1):
        latent = np.arange(num_latent) + member * num_latent
        noise = np.arange(num_beside) + 2 * num_latent + member * num_beside
        members.append(_rows(space, beside, value_NC[:, [*latent, *noise]]))
    return PairedBatches(members[0], members[1], drawn.choice_M)


def _rows(space: FactorSpace, beside: list[int], value_NA: NDArray[np.int64]) -> Rows:
    all_NA = np.empty_like(value_NA)
    all_NA[:, [*space.latent, *beside]] = value_NA
    return space.row_of(all_NA)


def _pair_by_pair(source: FactorSource, num_pairs: int, batch_size: int, rs: RandomState) -> PairedBatches:
    rows: tuple[list[Rows], list[Rows]] = ([], [])
    factors = []
    for _ in range(num_pairs):
        factor = rs.randint(len(source.factor_sizes))
        first_BK, second_BK = (source.sample_factors(batch_size, rs) for _ in range(2))
        second_BK[:, factor] = first_BK[:, factor]
        for member, factors_BK in zip(rows, (first_BK, second_BK), strict=True):
            member.append(source.rows(factors_BK, rs))
        factors.append(factor)
    return PairedBatches(np.concatenate(rows[0]), np.concatenate(rows[1]), np.array(factors, dtype=np.int64))
