"""Codes sorted and put into bins, once for all trees. Shapes: N points, D codes, B bins of a code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes
from disentanglement.metrics.classifiers.boosted_trees.layout import SAME, Singles, SortedCodes
from disentanglement.metrics.statistics.memory import computed_once

NUM_BINS = 128
NUM_PLACES = 2**16


@computed_once
def sort_codes(codes_ND: Codes, *, num_bins: int = NUM_BINS) -> SortedCodes:
    """Sorted codes [N, D], rounded to float32 as the reference's trees do.

    `num_bins` decides how fast trees are found, and nothing about them. Bins of a code have about equally many points;
    values that are too close to be separated are in the same bin.
    """
    values_DN = as_values(codes_ND)
    num_codes, num_points = values_DN.shape
    num_bins = min(num_bins, NUM_PLACES // num_codes)
    order_DN = np.argsort(values_DN, axis=1, kind="stable")
    sorted_DN = np.take_along_axis(values_DN, order_DN, axis=1)
    place_ND = np.empty((num_points, num_codes), np.uint16)
    start_DB = np.full((num_codes, num_bins + 1), num_points, np.int32)
    is_open_DB = np.zeros((num_codes, num_bins), np.bool_)
    num_bins_D = np.empty(num_codes, np.int32)
    for d, sorted_N in enumerate(sorted_DN):
        start_B = _bin_starts(sorted_N, num_bins)
        end_B = np.append(start_B[1:], num_points)
        num_bins_D[d] = len(start_B)
        start_DB[d, : len(start_B)] = start_B
        is_open_DB[d, : len(start_B)] = sorted_N[end_B - 1] > sorted_N[start_B] + SAME
        place_ND[order_DN[d], d] = d * num_bins + np.repeat(np.arange(len(start_B)), end_B - start_B)
    return SortedCodes(values_DN, order_DN.astype(np.uint32), sorted_DN, place_ND, start_DB, is_open_DB, num_bins_D)


def as_values(codes_ND: Codes) -> Singles:
    """Codes as compiled functions take them, [D, N]."""
    return np.ascontiguousarray(codes_ND.T, dtype=np.float32)


def _bin_starts(sorted_N: Singles, num_bins: int) -> NDArray[np.int64]:
    """Where bins start: wherever values can be separated, if these are few, else at about equal distances."""
    cuts = np.flatnonzero(sorted_N[1:] > sorted_N[:-1] + SAME) + 1
    if len(cuts) >= num_bins:
        wanted = np.arange(1, num_bins) * len(sorted_N) // num_bins
        cuts = np.unique(cuts[np.minimum(np.searchsorted(cuts, wanted), len(cuts) - 1)])
    return np.append(0, cuts)
