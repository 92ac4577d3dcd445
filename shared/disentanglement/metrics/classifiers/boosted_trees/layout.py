"""What compiled functions share. Shapes: N points, D codes, C trees of a round, B bins of a code, S = D * B,
K inner nodes and L leaves of a tree.

Inner nodes and leaves are numbered together, from the root down: the children of node k are 2k + 1 and 2k + 2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Words = NDArray[np.int64]
"""A sum of whole gradients in the upper bits, and in the lower ones how many they are."""
Rows = NDArray[np.uint32]
Classes = NDArray[np.int32]
Int = int | np.int64
"""One and the same to compiled code."""

DEPTH = 3
NUM_NODES = 2**DEPTH - 1
NUM_LEAVES = 2**DEPTH

SAME = np.float32(1e-7)
"""Values that are no further apart, in float32, are not separated."""
NEAR = 1e-9
"""Bins that could gain this much less than the best, relatively, are still searched, and such codes count as tied."""


class SortedCodes(NamedTuple):
    """Codes of N points, sorted once for all trees and all factors."""

    values_DN: Singles
    order_DN: Rows
    """Points by rising value."""
    sorted_DN: Singles
    place_ND: NDArray[np.uint16]
    """Each point's bin among the bins of all codes: B times the code, plus the bin."""
    start_DB: NDArray[np.int32]
    """Where each bin starts in `order_DN`; one longer than B, for the end of the last."""
    is_open_DB: NDArray[np.bool_]
    """Whether a bin has values that can be separated."""
    num_bins_D: NDArray[np.int32]


class Workspace(NamedTuple):
    """Memory of one thread, for one tree after the other."""

    sums_KS: Words
    """Of the gradients in each bin, at each inner node."""
    rises_KS: Words
    """Of the positive gradients alone."""
    before_S: Words
    """Of all bins before each bin, at the node in hand."""
    points_N: Rows
    """Points, those of a node together and in rising order."""
    others_N: Rows
    value_N: Singles
    node_N: NDArray[np.uint8]
    """The node or leaf that each point is in."""
    word_N: Words
    inverse_N: Floats
    """1 / n for n from 0 (where it is 0) to N."""


class Trees(NamedTuple):
    """Trees of one round. Where a node is not split, its threshold is infinite: everything goes left."""

    code_CK: NDArray[np.int32]
    threshold_CK: Floats
    value_CL: Floats
    importance_CD: Floats
    """How much less the squared error is, per point, thanks to each code."""
    num_ties_C: NDArray[np.int64]
    """Nodes at which several codes split about equally well."""


class Target(NamedTuple):
    """What one tree is fitted to."""

    class_N: Classes
    positive: int
    """The class whose gradients are positive."""
    shrink: float
    """(classes - 1) / classes, or 1 where there are two classes."""
    gradient_N: Floats


class Node(NamedTuple):
    """A node that is searched for its best split."""

    k: Int
    size: Int
    shift: Int
    """How many bits of a word count."""
    center: Int
    """The mean of its gradients, rounded."""
    total: float
    """Their sum, each taken from the center: at most half of the size."""
    lowest: float
    highest: float
    """Bounds of its gradients, taken from the center."""


class Split(NamedTuple):
    """The best split of a node by each code."""

    gain_D: Floats
    """In squares of the quantum; -1 where nothing can be separated."""
    num_left_D: NDArray[np.int64]
    edge_D: NDArray[np.int64]
    """The last bin on the left; -1 for a split inside of a bin, between the values below."""
    low_D: Singles
    high_D: Singles
    is_constant_D: NDArray[np.bool_]


def make_workspace(codes: SortedCodes) -> Workspace:
    """For one thread."""
    num_codes, num_points = codes.values_DN.shape
    num_places = num_codes * codes.is_open_DB.shape[1]
    inverse_N = np.zeros(num_points + 1)
    inverse_N[1:] = 1.0 / np.arange(1, num_points + 1)
    return Workspace(
        sums_KS=np.empty((NUM_NODES, num_places), np.int64),
        rises_KS=np.empty((NUM_NODES, num_places), np.int64),
        before_S=np.empty(num_places, np.int64),
        points_N=np.empty(num_points, np.uint32),
        others_N=np.empty(num_points, np.uint32),
        value_N=np.empty(num_points, np.float32),
        node_N=np.empty(num_points, np.uint8),
        word_N=np.empty(num_points, np.int64),
        inverse_N=inverse_N,
    )


def make_trees(num_trees: int, num_codes: int) -> Trees:
    """For one round."""
    return Trees(
        code_CK=np.empty((num_trees, NUM_NODES), np.int32),
        threshold_CK=np.empty((num_trees, NUM_NODES)),
        value_CL=np.empty((num_trees, NUM_LEAVES)),
        importance_CD=np.empty((num_trees, num_codes)),
        num_ties_C=np.empty(num_trees, np.int64),
    )
