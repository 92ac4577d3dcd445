"""Pairs of observations that differ in few factors (Locatello et al., 2020, arXiv:2002.02886), as the reference draws.

The distribution is the reference's. Its stream is not: the reference draws the new values from the global generator,
which nobody seeds, so its pairs cannot be repeated; here everything comes from the `RandomState` that is passed in,
and all pairs at once. Shapes: N pairs, K latent factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.datasets.factor_space import Factors
from disentanglement.datasets.ground_truth import GroundTruth, Rows
from disentanglement.errors import SpecError

ANY_NUMBER = -1
"""`k` that is drawn anew for each pair, from 1 to K - 1."""

NOTHING = -1
"""The label of a pair in which no factor was drawn anew."""


@dataclass(frozen=True, slots=True)
class PairedFactors:
    """Latent factors of two observations, int64 [N, K], and the label [N]: the last factor that was drawn anew."""

    first_NK: Factors
    second_NK: Factors
    changed_N: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairedRows:
    """Stored images of the two observations, int64 [N], and the label [N] of `PairedFactors`."""

    first_N: Rows
    second_N: Rows
    changed_N: NDArray[np.int64]


def sample_pairs(ground_truth: GroundTruth, k: int, num: int, rs: RandomState) -> PairedRows:
    """Pairs of stored images; what the factors leave open (observed noise) is drawn for each image of a pair.

    Raises:
        SpecError: `k` does not fit the number of factors.
    """
    factors = sample_paired_factors(ground_truth, k, num, rs)
    first_N = ground_truth.rows(factors.first_NK, rs)
    second_N = ground_truth.rows(factors.second_NK, rs)
    return PairedRows(first_N, second_N, factors.changed_N)


def sample_paired_factors(ground_truth: GroundTruth, k: int, num: int, rs: RandomState) -> PairedFactors:
    """Factors and a copy in which 1 or `k` of them (either with probability 1/2) take new values.

    A new value is uniform over all values, the old one included, so fewer factors may differ. With `k` 0 nothing
    changes in half of the pairs, whose label is -1.

    Raises:
        SpecError: `k` does not fit the number of factors.
    """
    sizes = ground_truth.factor_sizes
    check_number_of_changes(k, len(sizes))
    first_NK = ground_truth.sample_factors(num, rs)
    most_N = rs.randint(1, len(sizes), size=num) if k == ANY_NUMBER else np.full(num, k)
    count_N = np.where(rs.randint(2, size=num) == 1, most_N, 1)
    order_NK = np.argsort(rs.random_sample((num, len(sizes))), axis=1)  # a uniformly random order of the factors
    new_NK = np.stack([rs.randint(size, size=num) for size in sizes], axis=1)
    is_new_NK = np.argsort(order_NK, axis=1) < count_N[:, None]  # among the first of that order
    last_N = order_NK[np.arange(num), count_N - 1]
    changed_N = np.where(count_N > 0, last_N, NOTHING)
    return PairedFactors(first_NK, np.where(is_new_NK, new_NK, first_NK), changed_N)


def check_number_of_changes(k: int, num_factors: int) -> None:
    """Raises `SpecError` unless so many of the factors can change."""
    if k == ANY_NUMBER and num_factors < 2:
        raise SpecError.of("pairs.k", "0 or 1, as the data set has a single factor", k)
    if not ANY_NUMBER <= k <= num_factors:
        raise SpecError.of("pairs.k", f"-1 to {num_factors}, the number of factors", k)
