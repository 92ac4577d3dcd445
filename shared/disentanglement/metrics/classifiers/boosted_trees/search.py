"""The best split of a node, in compiled code: exactly, though not point by point.

Gradients are whole multiples of a tiny quantum, so every sum of them is exact in whatever order it is taken: the bins
of one child are its parent's minus its sibling's, and equal splits are equal to the last bit. Gains at the edges of
bins come first, then the points of only those bins that could hold a better split. What a bin could hold follows from
its count and from the sums of its positive and of its negative gradients, between which every partial sum lies.

Shapes: D codes, B bins of a code.
"""

from __future__ import annotations

import numpy as np

from disentanglement.metrics.classifiers.boosted_trees.compiling import compiled
from disentanglement.metrics.classifiers.boosted_trees.layout import (
    NEAR,
    SAME,
    Int,
    Node,
    SortedCodes,
    Split,
    Workspace,
)


@compiled
def search(codes: SortedCodes, work: Workspace, node: Node, split: Split) -> None:
    """Fills in the best split by each code that could be the best of all."""
    best = -1.0
    for d in range(len(codes.values_DN)):
        _best_edge(codes, work, node, d, split)
        best = max(best, split.gain_D[d])
    for d in range(len(codes.values_DN)):
        best = _best_inside(codes, work, node, d, best, split)


@compiled
def _best_edge(codes: SortedCodes, work: Workspace, node: Node, d: Int, split: Split) -> None:
    """The best split between two bins of one code."""
    width = codes.is_open_DB.shape[1]
    mask = (np.int64(1) << node.shift) - 1
    sums_B = work.sums_KS[node.k][d * width : (d + 1) * width]
    before_B = work.before_S[d * width : (d + 1) * width]
    word = np.int64(0)
    best, edge, num_left = -1.0, -1, 0
    only = -1
    for b in range(codes.num_bins_D[d]):
        before_B[b] = word
        if sums_B[b] & mask == node.size:
            only = b
        word += sums_B[b]
        n = word & mask
        if n == 0 or n == node.size:
            continue
        gain = _gain(node, work, word, n)
        if gain > best:
            best, edge, num_left = gain, b, n
    split.gain_D[d], split.edge_D[d], split.num_left_D[d] = best, edge, num_left
    split.is_constant_D[d] = only >= 0 and _is_constant(codes, work, node.k, d, only)


@compiled
def _gain(node: Node, work: Workspace, word: Int, n: Int) -> float:
    """Squared sums over counts of both sides, gradients taken from the center: all but a constant is gained.

    A split and its mirror image gain the same to the last bit.
    """
    left = float((word >> node.shift) - node.center * n)
    right = node.total - left
    return float(left * left * work.inverse_N[np.uintp(n)] + right * right * work.inverse_N[np.uintp(node.size - n)])


@compiled
def _is_constant(codes: SortedCodes, work: Workspace, k: Int, d: Int, b: Int) -> bool:
    """Whether the points of node k, all in one bin, are too close for any split."""
    if not codes.is_open_DB[d, b]:
        return True
    first, last = np.float32(np.inf), np.float32(-np.inf)
    for i in range(codes.start_DB[d, b], codes.start_DB[d, b + 1]):
        if work.node_N[codes.order_DN[d, i]] == k:
            first = min(first, codes.sorted_DN[d, i])
            last = codes.sorted_DN[d, i]
    return bool(last <= first + SAME)


@compiled
def _best_inside(codes: SortedCodes, work: Workspace, node: Node, d: Int, best: float, split: Split) -> float:
    """Better splits inside of bins of one code; returns the best gain of all so far.

    A split gains no more than size * s^2 / (left * right), s the sum on the left of gradients taken from their mean.
    From bin to bin s is known, and inside of a bin it rises by no more than all that lies above the mean.
    """
    width = codes.is_open_DB.shape[1]
    mask = (np.int64(1) << node.shift) - 1
    sums_B = work.sums_KS[node.k][d * width : (d + 1) * width]
    rises_B = work.rises_KS[node.k][d * width : (d + 1) * width]
    before_B = work.before_S[d * width : (d + 1) * width]
    for b in range(codes.num_bins_D[d]):
        inside = sums_B[b] & mask
        if inside < 2 or not codes.is_open_DB[d, b]:
            continue
        n = before_B[b] & mask
        left = float((before_B[b] >> node.shift) - node.center * n)
        rise = float(rises_B[b] >> node.shift)
        fall = float(sums_B[b] >> node.shift) - rise
        rise = min(rise + max(-node.center, 0) * inside, node.highest * inside)
        fall = max(fall - max(node.center, 0) * inside, node.lowest * inside)
        furthest = max(left + rise, -left - fall) + abs(node.total)
        fewest, most = float(n + 1), float(n + inside - 1)
        narrowest = min(fewest * (node.size - fewest), most * (node.size - most))
        if furthest * furthest * node.size >= best * (1 - NEAR) * narrowest:
            _search_bin(codes, work, node, d, b, split)
            best = max(best, split.gain_D[d])
    return best


@compiled
def _search_bin(codes: SortedCodes, work: Workspace, node: Node, d: Int, b: Int, split: Split) -> None:
    """Point by point. Of equal splits by one code the lowest is taken, as the reference does."""
    mask = (np.int64(1) << node.shift) - 1
    word = work.before_S[d * codes.is_open_DB.shape[1] + b]
    order_N, sorted_N = codes.order_DN[d], codes.sorted_DN[d]
    member_I, value_I = work.others_N, work.value_N
    size = np.uintp(0)
    for i in range(codes.start_DB[d, b], codes.start_DB[d, b + 1]):
        point = order_N[i]
        member_I[size] = point
        value_I[size] = sorted_N[i]
        size += np.uintp(work.node_N[point] == node.k)
    for i in range(size - np.uintp(1)):
        word += work.word_N[member_I[i]]
        if not value_I[i + 1] > value_I[i] + SAME:
            continue
        n = word & mask
        gain = _gain(node, work, word, n)
        if gain > split.gain_D[d] or (gain == split.gain_D[d] and n < split.num_left_D[d]):
            split.gain_D[d], split.num_left_D[d], split.edge_D[d] = gain, n, -1
            split.low_D[d], split.high_D[d] = value_I[i], value_I[i + 1]


@compiled
def find_values_at_edge(codes: SortedCodes, work: Workspace, k: Int, d: Int, split: Split) -> None:
    """Fills in the values of node k's points on both sides of a split between two bins."""
    start = codes.start_DB[d, split.edge_D[d] + 1]
    low, high = start - 1, start
    while work.node_N[codes.order_DN[d, low]] != k:
        low -= 1
    while work.node_N[codes.order_DN[d, high]] != k:
        high += 1
    split.low_D[d], split.high_D[d] = codes.sorted_DN[d, low], codes.sorted_DN[d, high]
