"""How points are drawn for a metric, in the reference's order.

Shapes: N points, P stored points, B points in a batch, D codes, K factors. The codes of the whole data set
are computed once; from then on a sample is index arithmetic. The reference draws factors, then whatever the
observation draws, batch by batch from one legacy `RandomState`, so the batch size decides the sample. Rows
are drawn in that order here too, and their codes gathered many batches at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

from disentanglement.metrics.arrays import Codes, Factors, FixedFactorVariances, Points
from disentanglement.metrics.progress import Progress, silent
from disentanglement.metrics.sampling.batches import Batches, draw_batches
from disentanglement.metrics.sampling.representations import (
    FactorGrid,
    FactorSource,
    GridRepresentation,
    Representation,
    SharedRepresentation,
)
from disentanglement.metrics.sampling.samples import Samples, draw_points
from disentanglement.metrics.statistics.batch_statistics import batch_variances

__all__ = [
    "Batches",
    "FactorGrid",
    "FactorSource",
    "GridRepresentation",
    "Representation",
    "Samples",
    "SharedRepresentation",
    "draw_batches",
    "draw_points",
    "generate_batch_factor_code",
    "sample_points",
    "variance_of_codes",
    "variances_at_fixed_factors",
]

POINTS_PER_GATHER = 2**16
"""Points looked up at once while votes are drawn; no number depends on it."""


def generate_batch_factor_code(
    representation: Representation, num_points: int, rs: RandomState, batch_size: int
) -> tuple[Codes, Factors]:
    """Codes [N, D] and factors [N, K] of fresh points, drawn `batch_size` at a time, the last batch fewer."""
    points = sample_points(representation, num_points, rs, batch_size)
    return points.codes_ND, points.factors_NK


def sample_points(representation: Representation, num_points: int, rs: RandomState, batch_size: int) -> Points:
    """Fresh points, drawn `batch_size` at a time, the last batch fewer. A shared representation may know them."""
    if isinstance(representation, SharedRepresentation):
        return representation.samples.drawn(representation.source, num_points, rs, batch_size)
    return draw_points(representation, num_points, rs, batch_size)


def variance_of_codes(representation: Representation, num_points: int, rs: RandomState) -> Codes:
    """Variance [D] (ddof 1) of each code over fresh points, drawn in one batch."""
    codes_ND, _ = generate_batch_factor_code(representation, num_points, rs, num_points)
    variance_D: Codes = np.var(codes_ND, axis=0, ddof=1)
    return variance_D


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
        batches = draw_batches(representation, num, batch_size, rs, keep_one_fixed=True)
        codes_mBD = representation.codes_of(batches.rows_N).reshape(num, batch_size, -1)
        factors.append(batches.fixed_M)
        variances.append(batch_variances(codes_mBD))
        progress((start + num) / num_votes)
    return FixedFactorVariances(np.concatenate(factors), np.concatenate(variances))
