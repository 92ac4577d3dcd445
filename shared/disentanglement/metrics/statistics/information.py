"""Plug-in entropy and mutual information of discrete columns, in nats. Shapes: N points, D and K columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.statistics.memory import computed_once

Labels = NDArray[np.int64]

MOST_COUNTED = 2**16
"""Values no farther apart are ranked by counting, others by sorting."""


@computed_once
def entropies(labels_NK: Labels) -> NDArray[np.float64]:
    """Entropy of each column [K]."""
    return np.array([_entropy(np.bincount(_ranks(column_N))) for column_N in labels_NK.T])


@computed_once
def mutual_information(left_ND: Labels, right_NK: Labels) -> NDArray[np.float64]:
    """Mutual information [D, K] of each left column with each right one, from joint histograms.

    Those of one left column with all right ones are counted in one go.
    """
    right_KN = np.stack([_ranks(column_N) for column_N in right_NK.T])
    shared = [_shared(_ranks(column_N), right_KN) for column_N in left_ND.T]
    information_DK = entropies(left_ND)[:, None] + entropies(right_NK) - np.array(shared)
    return np.asarray(np.maximum(information_DK, 0.0))  # of independent columns, rounding leaves about -1e-16


def _ranks(column_N: Labels) -> Labels:
    """Equal values to equal numbers, from 0 without a hole."""
    lowest, highest = int(column_N.min()), int(column_N.max())
    if highest - lowest > MOST_COUNTED:
        return np.unique(column_N, return_inverse=True)[1]
    offset_N = column_N - lowest
    rank = np.cumsum(np.bincount(offset_N) > 0) - 1
    return np.asarray(rank[offset_N])


def _shared(left_N: Labels, right_KN: Labels) -> NDArray[np.float64]:
    """Joint entropy [K] with each right column."""
    width = int(right_KN.max()) + 1
    num_cells = (int(left_N.max()) + 1) * width
    first_K = np.arange(len(right_KN))[:, None] * num_cells
    joint = np.bincount((first_K + left_N * width + right_KN).ravel(), minlength=len(right_KN) * num_cells)
    return np.array([_entropy(counts) for counts in joint.reshape(len(right_KN), num_cells)])


def _entropy(counts: NDArray[np.int64]) -> float:
    probabilities = counts[counts > 0] / counts.sum()
    return float(-(probabilities * np.log(probabilities)).sum()) + 0.0  # no -0.0
