"""Which points share values of several factors. Shapes: N points, C columns, G groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def combination_labels(columns_NC: NDArray[np.int64]) -> NDArray[np.int64]:
    """Equal rows to equal numbers [N], counted from 0 without a hole; one number for all where there is no column."""
    label_N = np.zeros(len(columns_NC), dtype=np.int64)
    for column_N in columns_NC.T:
        _, rank_N = np.unique(column_N, return_inverse=True)
        _, label_N = np.unique(label_N * (rank_N.max() + 1) + rank_N, return_inverse=True)  # below N squared
    return label_N


def groups_of(label_N: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The rows of each label, in order of label and row."""
    return np.split(np.argsort(label_N, kind="stable"), np.cumsum(np.bincount(label_N))[:-1])
