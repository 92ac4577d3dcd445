"""Plug-in entropy and mutual information of discrete columns, in nats. Shapes: N points, D and K columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.memory import computed_once

Labels = NDArray[np.int64]


@computed_once
def entropies(labels_NK: Labels) -> NDArray[np.float64]:
    """Entropy of each column [K]."""
    return np.array([_entropy(np.unique(column_N, return_counts=True)[1]) for column_N in labels_NK.T])


@computed_once
def mutual_information(left_ND: Labels, right_NK: Labels) -> NDArray[np.float64]:
    """Mutual information [D, K] of each left column with each right one, from one joint histogram per pair."""
    lefts = [_ranks(column_N) for column_N in left_ND.T]
    rights = [_ranks(column_N) for column_N in right_NK.T]
    return np.array([[_shared(left_N, right_N) for right_N in rights] for left_N in lefts])


def _ranks(column_N: Labels) -> Labels:
    """Equal values to equal numbers, from 0 without a hole."""
    return np.unique(column_N, return_inverse=True)[1]


def _shared(left_N: Labels, right_N: Labels) -> float:
    width = int(right_N.max()) + 1
    cells = left_N * width + right_N
    joint = np.bincount(cells, minlength=(int(left_N.max()) + 1) * width).reshape(-1, width)
    shared = _entropy(joint.sum(axis=1)) + _entropy(joint.sum(axis=0)) - _entropy(joint)
    return max(shared, 0.0)  # of independent columns, rounding leaves about -1e-16


def _entropy(counts: NDArray[np.int64]) -> float:
    probabilities = counts[counts > 0] / counts.sum()
    return float(-(probabilities * np.log(probabilities)).sum()) + 0.0  # no -0.0
