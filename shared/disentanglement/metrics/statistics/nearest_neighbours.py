"""Mutual information of a continuous code with a discrete factor, by nearest neighbours (Ross, 2014, PLoS ONE 9(2)).

Shapes: N points, D codes, K factors. The numbers are those of scikit-learn's `mutual_info_classif`, found by sorting
instead of a tree: in one dimension the k nearest neighbours of a point are next to it.
"""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes, Factors
from disentanglement.metrics.progress import Progress, silent

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

JITTER = 1e-10
"""Noise that tells equal values apart, in units of a code's mean absolute value (1 at least)."""


def information_by_neighbours(
    codes_ND: Codes,
    factors_NK: Factors,
    *,
    num_neighbors: int,
    random_state: RandomState,
    progress: Progress = silent,
) -> Floats:
    """Estimated mutual information [D, K] in nats, 0 where the estimate is negative.

    Each pair has its own noise, drawn from `random_state`, factors outside, codes inside.
    """
    scaled_DN = [_scaled(code_N) for code_N in codes_ND.T]
    jitter_D = [JITTER * max(1.0, float(np.abs(scaled_N).mean())) for scaled_N in scaled_DN]
    information_DK = np.zeros((codes_ND.shape[1], factors_NK.shape[1]))
    for factor, labels_N in enumerate(factors_NK.T):
        label_N = np.unique(labels_N, return_inverse=True)[1]
        for code, scaled_N in enumerate(scaled_DN):
            noise_N = random_state.standard_normal(len(label_N))
            value_N = scaled_N + jitter_D[code] * noise_N
            information_DK[code, factor] = _information(value_N, label_N, num_neighbors)
        progress((factor + 1) / factors_NK.shape[1])
    return information_DK


def _scaled(code_N: Codes) -> Floats:
    """A code in units of its standard deviation; a constant one as it is.

    One at a time: sums of several columns are rounded otherwise, which equal values feel.
    """
    double_N = code_N.astype(np.float64)
    deviation = double_N.std()
    return double_N if deviation < 10 * np.finfo(np.float64).eps else double_N / deviation


def _information(value_N: Floats, label_N: Integers, num_neighbors: int) -> float:
    """Points whose label occurs once have no neighbour: they are left out."""
    from scipy.special import digamma  # slow to import: only who scores pays for it

    count_N = np.bincount(label_N)[label_N]
    order_N = np.argsort(value_N, kind="stable")
    order_N = order_N[count_N[order_N] > 1]
    if len(order_N) == 0:
        return 0.0
    value_N, label_N, count_N = value_N[order_N], label_N[order_N], count_N[order_N]
    near_N = np.minimum(num_neighbors, count_N - 1)
    within_N = _count_within(value_N, _radii(value_N, label_N, count_N, near_N))
    psi = digamma(np.arange(len(value_N) + 1))
    estimate = psi[-1] + psi[near_N].mean() - psi[count_N].mean() - psi[within_N].mean()
    return max(float(estimate), 0.0)


def _radii(value_N: Floats, label_N: Integers, count_N: Integers, near_N: Integers) -> Floats:
    """For each point of a sorted code, a float less than the distance to its k-th nearest of the same label."""
    order_N = np.argsort(label_N, kind="stable")  # label after label, each sorted
    count_N, near_N, value_N = count_N[order_N], near_N[order_N], value_N[order_N]
    start_N = np.searchsorted(label_N[order_N], label_N[order_N])
    squared_N = np.empty(len(value_N))
    few_N = near_N >= count_N // 2  # where scikit-learn computes all distances, from products
    squared_N[~few_N] = _squared_to_kth(value_N, start_N, count_N, near_N, np.flatnonzero(~few_N))
    for start in np.unique(start_N[few_N]):
        block = slice(start, start + count_N[start])
        squared_N[block] = _squared_by_products(value_N[block], int(near_N[start]))
    radius_N = np.empty(len(value_N))
    radius_N[order_N] = np.nextafter(np.sqrt(squared_N), 0.0)
    return radius_N


def _squared_to_kth(
    value_N: Floats, start_N: Integers, count_N: Integers, near_N: Integers, rows_M: Integers
) -> Floats:
    """Squared distance [M] to the k-th nearest other point of the block: the smallest window of k + 1 points."""
    value_M, start_M, k_M = value_N[rows_M], start_N[rows_M], near_N[rows_M]
    end_M = start_M + count_N[rows_M]
    nearest_M = np.full(len(rows_M), np.inf)
    for before in range(int(k_M.max(initial=0)) + 1):
        first_M, last_M = rows_M - before, rows_M - before + k_M
        inside_M = (first_M >= start_M) & (last_M < end_M) & (before <= k_M)
        below_M = value_M - value_N[np.where(inside_M, first_M, 0)]
        above_M = value_N[np.where(inside_M, last_M, 0)] - value_M
        widest_M = np.where(inside_M, np.maximum(below_M, above_M), np.inf)
        nearest_M = np.minimum(nearest_M, widest_M)
    squared_M: Floats = nearest_M**2
    return squared_M


def _squared_by_products(value_C: Floats, num_neighbors: int) -> Floats:
    """Squared distance [C] to the k-th nearest other point, with the rounding of x² - 2xy + y².

    It decides whether that point itself is counted within the radius: a tenth of the estimate for rare labels.
    """
    square_C = value_C**2
    squared_CC = square_C[:, None] + -2.0 * np.outer(value_C, value_C) + square_C
    kth_C: Floats = np.partition(squared_CC, num_neighbors, axis=1)[:, num_neighbors]  # the point itself is at 0
    at_least_zero_C: Floats = np.maximum(kth_C, 0.0)
    return at_least_zero_C


def _count_within(value_N: Floats, radius_N: Floats) -> Integers:
    """How many values of a sorted code, itself included, lie within the radius of each."""
    squared_N = radius_N**2
    first_N = np.searchsorted(value_N, value_N - radius_N)
    end_N = np.searchsorted(value_N, value_N + radius_N, side="right")

    def is_within(position_N: Integers) -> NDArray[np.bool_]:
        there_N = np.clip(position_N, 0, len(value_N) - 1)
        within_N: NDArray[np.bool_] = (value_N - value_N[there_N]) ** 2 <= squared_N
        within_N &= there_N == position_N
        return within_N

    # The sums above are rounded: values on the edge are decided as a tree does, by their squared distance.
    while (more_N := is_within(first_N - 1)).any():
        first_N -= more_N
    while (fewer_N := ~is_within(first_N) & (first_N < end_N)).any():
        first_N += fewer_N
    while (more_N := is_within(end_N)).any():
        end_N += more_N
    while (fewer_N := ~is_within(end_N - 1) & (first_N < end_N)).any():
        end_N -= fewer_N
    within_N: Integers = np.maximum(end_N - first_N, 1)
    return within_N
