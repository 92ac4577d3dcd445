"""Batches of points drawn in the reference's order, many at a time.

Shapes: M batches of B points, N = M * B points, K factors that are scored, A all factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.datasets.factor_space import FactorSpace
from disentanglement.datasets.ground_truth import GridData
from disentanglement.metrics.arrays import Factors
from disentanglement.metrics.sampling.draws import draw
from disentanglement.metrics.sampling.representations import (
    FactorGrid,
    FactorSource,
    GridRepresentation,
    SharedRepresentation,
)


@dataclass(frozen=True, slots=True)
class Batches:
    """M batches of B points: N = M * B rows, batch after batch, and the factor that is fixed in each batch."""

    rows_N: NDArray[np.int64]
    factors_NK: Factors
    fixed_M: NDArray[np.int64]
    """Zeros where none is."""


def draw_batches(
    source: FactorSource, num_batches: int, batch_size: int, rs: RandomState, *, keep_one_fixed: bool = False
) -> Batches:
    """Batches of points in the reference's order: the fixed factor if one is kept, factors, what observing draws.

    A fixed factor has its first value at every point of the batch.
    """
    space = uniform_space(source)
    if space is None:
        return _batch_by_batch(source, num_batches, batch_size, rs, keep_one_fixed)
    beside = sorted(set(range(len(space.sizes))) - set(space.latent))
    sizes = [*space.latent_sizes, *(space.sizes[i] for i in beside)]
    num_latent = len(space.latent)
    drawn = draw(rs, sizes, num_batches, batch_size, num_choices=num_latent if keep_one_fixed else 0)
    if keep_one_fixed:
        batch_M = np.arange(num_batches)
        drawn.value_MBC[batch_M, :, drawn.choice_M] = drawn.value_MBC[batch_M, 0, drawn.choice_M][:, np.newaxis]
    value_NC = drawn.value_MBC.reshape(-1, len(sizes))
    all_NA = np.empty_like(value_NC)
    all_NA[:, [*space.latent, *beside]] = value_NC
    return Batches(space.row_of(all_NA), np.ascontiguousarray(value_NC[:, :num_latent]), drawn.choice_M)


def uniform_space(source: FactorSource) -> FactorSpace | None:
    """The factors of a source that draws them one after the other, uniformly, and then those that are not scored."""
    match source:
        case GridRepresentation() | SharedRepresentation():
            return uniform_space(source.data)
        case FactorGrid():
            names = tuple(f"factor {i}" for i in range(len(source.factor_sizes)))
            return FactorSpace(names, source.factor_sizes, tuple(range(len(names))))
        case GridData():
            draws = (type(source).sample_factors, type(source).rows)
            return source.card.factor_space if draws == (GridData.sample_factors, GridData.rows) else None
        case _:
            return None


def _batch_by_batch(
    source: FactorSource, num_batches: int, batch_size: int, rs: RandomState, keep_one_fixed: bool
) -> Batches:
    rows, factors, fixed = [], [], []
    for _ in range(num_batches):
        fixed.append(rs.randint(len(source.factor_sizes)) if keep_one_fixed else 0)
        factors.append(source.sample_factors(batch_size, rs))
        if keep_one_fixed:
            factors[-1][:, fixed[-1]] = factors[-1][0, fixed[-1]]
        rows.append(source.rows(factors[-1], rs))
    return Batches(np.concatenate(rows), np.concatenate(factors), np.array(fixed, dtype=np.int64))
