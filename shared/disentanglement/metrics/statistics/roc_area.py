"""Area under the receiver operating characteristic of each class against the rest. Shapes: N points, C classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def roc_areas(score_NC: Floats, class_N: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each class [C], how often a point of it scores higher than one of the rest; equal scores count half.

    `class_N` numbers the columns; others, as -1, belong to no class. NaN for a class of no point, or of all.
    """
    num_points, num_classes = score_NC.shape
    order_N = np.argsort(class_N, kind="stable")
    edges = np.searchsorted(class_N[order_N], np.arange(num_classes + 1))
    areas = np.full(num_classes, np.nan)
    for class_ in np.flatnonzero((np.diff(edges) > 0) & (np.diff(edges) < num_points)):
        score_N = np.ascontiguousarray(score_NC[:, class_])
        own_P = score_N[order_N[edges[class_] : edges[class_ + 1]]]
        areas[class_] = _area(score_N, np.sort(own_P))
    return areas


def _area(score_N: Floats, own_P: Floats) -> float:
    """All points are sorted once, and those of the class, few, looked up among them."""
    sorted_N = np.sort(score_N)
    below = np.searchsorted(sorted_N, own_P, side="left").sum(dtype=np.int64)
    up_to = np.searchsorted(sorted_N, own_P, side="right").sum(dtype=np.int64)
    num_own, num_rest = len(own_P), len(score_N) - len(own_P)
    return float((below + up_to - num_own**2) / 2 / (num_own * num_rest))  # points of the class beat half of each other
