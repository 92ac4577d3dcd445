"""Trees of one round, in compiled code. Shapes: N points, D codes, C trees of a round, K nodes of a tree."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.classifiers.boosted_trees.choosing import choose, count_ties
from disentanglement.metrics.classifiers.boosted_trees.compiling import compiled
from disentanglement.metrics.classifiers.boosted_trees.layout import (
    NUM_LEAVES,
    NUM_NODES,
    Classes,
    Floats,
    Int,
    Node,
    Rows,
    Singles,
    SortedCodes,
    Split,
    Target,
    Trees,
    Words,
    Workspace,
)
from disentanglement.metrics.classifiers.boosted_trees.search import find_values_at_edge, search

DEPTH_FIRST = (0, 1, 3, 4, 2, 5, 6)
"""Inner nodes in the reference's order, in which random numbers are drawn."""
EPSILON = 2.220446049250313e-16
"""A node of at most this variance is not split."""
SMALLEST_CURVATURE = 1e-150


# fmt: off
@compiled
def grow_trees(
    values_DN: Singles, order_DN: Rows, sorted_DN: Singles, place_ND: NDArray[np.uint16],
    start_DB: NDArray[np.int32], is_open_DB: NDArray[np.bool_], num_bins_D: NDArray[np.int32],
    sums_KS: Words, rises_KS: Words, before_S: Words, points_N: Rows, others_N: Rows, value_N: Singles,
    node_N: NDArray[np.uint8], word_N: Words, inverse_N: Floats,
    code_CK: NDArray[np.int32], threshold_CK: Floats, value_CL: Floats, importance_CD: Floats,
    num_ties_C: NDArray[np.int64],
    class_N: Classes, gradient_CN: Floats, raw_CN: Floats, seed_C: Rows, start: int, end: int, learning_rate: float,
) -> None:
    """The trees from `start` to `end` of one round; adds to the raw predictions what they predict.

    Takes the members of SortedCodes, Workspace and Trees one by one: numba recognizes arrays quickly, tuples slowly.
    """
    codes = SortedCodes(values_DN, order_DN, sorted_DN, place_ND, start_DB, is_open_DB, num_bins_D)
    work = Workspace(sums_KS, rises_KS, before_S, points_N, others_N, value_N, node_N, word_N, inverse_N)
    trees = Trees(code_CK, threshold_CK, value_CL, importance_CD, num_ties_C)
    # fmt: on
    num_trees = len(raw_CN)
    for c in range(start, end):
        positive = 1 if num_trees == 1 else c
        shrink = 1.0 if num_trees == 1 else (num_trees - 1) / num_trees
        _grow(codes, Target(class_N, positive, shrink, gradient_CN[c]), work, trees, c, seed_C[c])
        for n in range(len(class_N)):
            raw_CN[c, n] += learning_rate * value_CL[c, node_N[n] - NUM_NODES]


@compiled
def _grow(codes: SortedCodes, target: Target, work: Workspace, trees: Trees, c: int, seed: np.uint32) -> None:
    """One tree; afterwards `work.node_N` has each point's leaf."""
    num_codes, num_points = codes.values_DN.shape
    shift = _count_bits(num_points)
    scale = _quantize(target.gradient_N, shift, work.word_N)
    low_K, high_K = np.zeros(NUM_NODES + NUM_LEAVES, np.int64), np.zeros(NUM_NODES + NUM_LEAVES, np.int64)
    square_K, num_constant_K = np.zeros(NUM_NODES), np.zeros(NUM_NODES, np.int64)
    turns_D, constants_D = np.arange(num_codes), np.empty(num_codes, np.int64)
    split = _no_split(num_codes)
    _clear(work, trees, c)
    high_K[0] = num_points
    square_K[0] = _add_up(codes, target, work, low_K[0], high_K[0], np.int64(0))

    for k in DEPTH_FIRST:
        low, high = low_K[k], high_K[k]
        if low == high:
            continue
        best: Int = -1
        node, variance = _describe(work, shift, scale, square_K[k], low, high, k, codes.num_bins_D[0])
        if node.size >= 2 and variance > EPSILON:
            search(codes, work, node, split)
            num_known = num_constant_K[(k - 1) // 2] if k else 0
            best, num_constant_K[k], seed = choose(split, turns_D, constants_D, num_known, seed)
        if best < 0:
            _make_leaf(target, work, trees, c, low, high, _leftmost_leaf(k))
            continue
        trees.num_ties_C[c] += count_ties(split, best)
        if split.edge_D[best] >= 0:
            find_values_at_edge(codes, work, k, best, split)
        trees.code_CK[c, k] = best
        trees.threshold_CK[c, k] = split.low_D[best] / 2.0 + split.high_D[best] / 2.0
        gain = max(split.gain_D[best] - node.total * node.total / node.size, 0.0)
        trees.importance_CD[c, best] += gain / scale / scale / num_points
        left, right = 2 * k + 1, 2 * k + 2
        middle = _partition(codes.values_DN[best], split.low_D[best], work, low, high, left)
        if left >= NUM_NODES:
            _make_leaf(target, work, trees, c, low, middle, left)
            _make_leaf(target, work, trees, c, middle, high, right)
            continue
        low_K[left], high_K[left], low_K[right], high_K[right] = low, middle, middle, high
        small, large = (left, right) if 2 * middle <= low + high else (right, left)
        square_K[small] = _add_up(codes, target, work, low_K[small], high_K[small], small)
        square_K[large] = square_K[k] - square_K[small]
        _subtract(work, k, small, large)


@compiled
def _no_split(num_codes: int) -> Split:
    return Split(
        np.empty(num_codes),
        np.empty(num_codes, np.int64),
        np.empty(num_codes, np.int64),
        np.empty(num_codes, np.float32),
        np.empty(num_codes, np.float32),
        np.empty(num_codes, np.bool_),
    )


@compiled
def _clear(work: Workspace, trees: Trees, c: int) -> None:
    """A tree that is one leaf, and all points at its root."""
    trees.code_CK[c] = 0
    trees.threshold_CK[c] = np.inf
    trees.value_CL[c] = 0.0
    trees.importance_CD[c] = 0.0
    trees.num_ties_C[c] = 0
    for n in range(len(work.node_N)):
        work.points_N[n] = n
        work.node_N[n] = 0


@compiled
def _count_bits(num_points: Int) -> Int:
    bits = np.int64(1)
    while (1 << bits) <= num_points:
        bits += 1
    return bits


@compiled
def _quantize(gradient_N: Floats, shift: Int, word_N: Words) -> float:
    """Fills in words of one gradient each; returns how many quanta make a gradient of 1, a power of two.

    A sum stays below 2^53, which a float holds exactly, and leaves the word room for the count.
    """
    largest = SMALLEST_CURVATURE
    for n in range(len(gradient_N)):
        largest = max(largest, abs(gradient_N[n]))
    scale = math.ldexp(1.0, int(min(62 - 2 * shift, 52 - shift)) - math.frexp(largest)[1])
    for n in range(len(gradient_N)):
        word_N[n] = (np.int64(np.rint(gradient_N[n] * scale)) << shift) + 1
    return scale


@compiled
def _add_up(codes: SortedCodes, target: Target, work: Workspace, low: Int, high: Int, k: Int) -> float:
    """Fills in the bins of node k from its points; returns the sum of its squared gradients."""
    num_codes = len(codes.values_DN)
    sums_S, rises_S = work.sums_KS[k], work.rises_KS[k]
    sums_S[:] = 0
    rises_S[:] = 0
    square = 0.0
    for i in range(low, high):
        n = work.points_N[i]
        word, place_D = work.word_N[n], codes.place_ND[n]
        square += target.gradient_N[n] * target.gradient_N[n]
        for d in range(num_codes):
            sums_S[place_D[d]] += word
        if target.class_N[n] == target.positive:
            for d in range(num_codes):
                rises_S[place_D[d]] += word
    return square


@compiled
def _subtract(work: Workspace, k: Int, small: Int, large: Int) -> None:
    """Fills in the bins of one child of node k from those of the other."""
    for s in range(work.sums_KS.shape[1]):
        work.sums_KS[large, s] = work.sums_KS[k, s] - work.sums_KS[small, s]
        work.rises_KS[large, s] = work.rises_KS[k, s] - work.rises_KS[small, s]


@compiled
def _describe(
    work: Workspace, shift: Int, scale: float, square: float, low: Int, high: Int, k: Int, num_bins: Int
) -> tuple[Node, float]:
    """Node k, and the variance of its gradients. Their bounds are found where they are narrow, else left open."""
    count = high - low
    total = work.sums_KS[k, :num_bins].sum() >> shift
    center = np.int64(np.rint(total / count))
    mean = total / scale / count
    variance = square / count - mean * mean
    lowest, highest = -np.inf, np.inf
    if variance < mean * mean:
        lowest, highest = 0.0, 0.0
        for i in range(low, high):
            away = float((work.word_N[work.points_N[i]] >> shift) - center)
            lowest, highest = min(lowest, away), max(highest, away)
        if lowest == highest:  # rounding left a variance
            variance = 0.0
    return Node(k, count, shift, center, float(total - center * count), lowest, highest), variance


@compiled
def _partition(values_N: Singles, largest_left: np.float32, work: Workspace, low: Int, high: Int, left: Int) -> Int:
    """Moves a node's points to its children, in unchanged order; returns where the right one's begin."""
    points_N, others_N, node_N = work.points_N, work.others_N, work.node_N
    middle, num_right = np.uintp(low), np.uintp(0)
    for i in range(np.uintp(low), np.uintp(high)):
        point = points_N[i]
        is_left = np.uintp(values_N[point] <= largest_left)
        points_N[middle] = point  # overwrites what was read already
        others_N[num_right] = point
        node_N[point] = np.uintp(left + 1) - is_left
        middle += is_left
        num_right += np.uintp(1) - is_left
    for i in range(num_right):
        points_N[middle + i] = others_N[i]
    return np.int64(middle)


@compiled
def _leftmost_leaf(k: Int) -> Int:
    while k < NUM_NODES:
        k = 2 * k + 1
    return k


@compiled
def _make_leaf(target: Target, work: Workspace, trees: Trees, c: int, low: Int, high: Int, k: Int) -> None:
    """Marks the points as in leaf k, whose value is one Newton step (Friedman, 2001, algorithms 5 and 6)."""
    slope, curvature, count = 0.0, 0.0, high - low
    for i in range(low, high):
        n = work.points_N[i]
        gradient = target.gradient_N[n]
        probability = (1.0 if target.class_N[n] == target.positive else 0.0) - gradient
        slope += gradient
        curvature += probability * (1.0 - probability)
        work.node_N[n] = k
    if curvature / count >= SMALLEST_CURVATURE:
        trees.value_CL[c, k - NUM_NODES] = slope / count * target.shrink / (curvature / count)
