"""Codes into bins of equal width, as the reference's histogram discretizer. Shapes: N points, D codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes
from disentanglement.metrics.statistics.memory import computed_once


@computed_once
def discretize(codes_ND: Codes, *, num_bins: int = 20) -> NDArray[np.int64]:
    """The bin of each value, 1 to `num_bins`, between the smallest and the largest value of its code.

    Bins are closed on the left, the last one on both sides. A code that never changes falls into one bin.
    """
    columns = [_bins(code_N, num_bins) for code_N in codes_ND.T]
    return np.stack(columns, axis=1)


def _bins(code_N: Codes, num_bins: int) -> NDArray[np.int64]:
    left_edges = _edges(code_N, num_bins)[:-1]
    return np.searchsorted(left_edges, code_N, side="right").astype(np.int64)


def _edges(code_N: Codes, num_bins: int) -> NDArray[Any]:
    """NumPy's histogram edges, in the code's own dtype: a value on an edge falls where the reference puts it.

    `numpy.histogram_bin_edges` would refuse a range too narrow for `num_bins` floats, as collapsed codes
    have.
    """
    low, high = code_N.min(), code_N.max()
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, num_bins + 1, dtype=code_N.dtype)
