"""Codes and factors in bins as the review of metrics cuts them (Carbonneau et al., 2022, arXiv:2012.09276), and what
they know of each other.

Shapes: N points, D codes, K factors. Not the reference's discretizer: a column is scaled to 0 to 1 first, whose
rounding decides where a value on an edge falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes, Factors, check_factors_vary, check_usable
from disentanglement.metrics.statistics.information import entropies, mutual_information
from disentanglement.metrics.statistics.memory import computed_once


@dataclass(frozen=True, slots=True)
class ReviewTable:
    """Of binned codes and factors, in nats: what they share, and what there is to know of each."""

    information_DK: NDArray[np.float64]
    code_entropy_D: NDArray[np.float64]
    factor_entropy_K: NDArray[np.float64]
    varies_D: NDArray[np.bool_]
    """Codes that fall into more than one bin."""


def review_table(
    codes_ND: Codes, factors_NK: Factors, *, num_bins: int, continuous_factors: bool, metric: str
) -> ReviewTable:
    """Codes are always cut into bins, factors if they are continuous.

    Raises MetricUndefined where no code varies, and for a factor of a single value.
    """
    check_usable(codes_ND, factors_NK)
    check_factors_vary(factors_NK, metric)
    code_bins_ND = review_bins(codes_ND, num_bins)
    labels_NK = review_bins(factors_NK.astype(np.float64), num_bins) if continuous_factors else factors_NK
    code_entropy_D = entropies(code_bins_ND)
    if not code_entropy_D.any():
        raise MetricUndefined(f"{metric} needs a code that varies; all {len(code_entropy_D)} codes are constant")
    information_DK = mutual_information(code_bins_ND, labels_NK)
    return ReviewTable(information_DK, code_entropy_D, entropies(labels_NK), code_entropy_D > 0)


@computed_once
def review_bins(columns_NC: NDArray[Any], num_bins: int) -> NDArray[np.int64]:
    """The bin of each value, 1 to `num_bins`, closed on the left, found in the column's own dtype."""
    low_C, high_C = columns_NC.min(axis=0), columns_NC.max(axis=0)
    range_C = high_C - low_C
    tiny = 10 * np.finfo(columns_NC.dtype).eps
    scale_C = 1 / np.where(range_C < tiny, np.ones_like(range_C), range_C)
    scaled_NC = columns_NC * scale_C + (0 - low_C * scale_C)
    edges = np.linspace(0, 1, num_bins + 1)[:-1]
    bins_NC = np.stack([np.searchsorted(edges, scaled_N, side="right") for scaled_N in scaled_NC.T], axis=1)
    at_least_one_NC: NDArray[np.int64] = np.maximum(bins_NC, 1)  # rounding can leave the smallest value below 0
    return at_least_one_NC
