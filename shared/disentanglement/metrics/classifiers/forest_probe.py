"""Random forests of growing depth. Shapes: N points, D codes, C classes, T depths, V nodes of a tree.

Two ways. `grown`: a forest for each depth, from the same seed, as the reference does. `cut`: one forest of the
largest depth, read at each smaller one, several times faster. A tree grown to some depth has the distribution of a
tree grown further and cut there, as no split looks ahead; yet the forests of one factor are no longer drawn
apart, so a loss that is all noise falls less by chance from depth to depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.metrics.progress import Progress, part_of, silent

Forests = Literal["grown", "cut"]

TREES_AT_ONCE = 10
"""Trees in memory: those of a factor that is all noise have a leaf for each point, with a share for each class."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Training points: codes [N, D], and a class (numbered from 0 without a hole) or a number for each."""

    codes_ND: NDArray[np.float32]
    target_N: NDArray[np.int64] | NDArray[np.float32]
    is_class: bool

    @property
    def num_outputs(self) -> int:
        """A share for each class, or one number."""
        return int(self.target_N.max()) + 1 if self.is_class else 1


@dataclass(frozen=True, slots=True)
class ForestProbe:
    """At each depth: mean prediction on test points (class shares, or the number), importance of each code."""

    prediction_TNC: NDArray[np.float64]
    importance_TD: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Tree:
    """Children of a leaf are the leaf itself, so that a point in it stays there."""

    left_V: NDArray[np.int64]
    right_V: NDArray[np.int64]
    code_V: NDArray[np.int64]
    threshold_V: NDArray[np.float64]
    share_VC: NDArray[np.float64]
    gain_V: NDArray[np.float64]

    @classmethod
    def read(cls, tree: Any) -> _Tree:
        """From scikit-learn's arrays."""
        node_V, is_leaf_V = np.arange(tree.node_count), tree.children_left < 0
        left_V = np.where(is_leaf_V, node_V, tree.children_left)
        right_V = np.where(is_leaf_V, node_V, tree.children_right)
        weighed_V = tree.weighted_n_node_samples * tree.impurity
        gain_V = np.where(is_leaf_V, 0.0, weighed_V - weighed_V[left_V] - weighed_V[right_V])
        return cls(left_V, right_V, np.maximum(tree.feature, 0), tree.threshold, tree.value[:, 0, :], gain_V)


def probe_forests(
    train: Sample,
    test_codes_ND: NDArray[np.float32],
    *,
    forests: Forests,
    depths: Sequence[int],
    num_trees: int,
    seed: int,
    progress: Progress = silent,
) -> ForestProbe:
    """Scikit-learn's default forests, classifying or regressing, at each of the rising depths."""
    if forests == "cut":
        return _read_at(train, test_codes_ND, depths, num_trees, RandomState(seed), progress)[0]
    probes: list[ForestProbe] = []
    for position, depth in enumerate(depths):
        part = part_of(progress, position / len(depths), (position + 1) / len(depths))
        probe, deepest = _read_at(train, test_codes_ND, [depth], num_trees, RandomState(seed), part)
        probes.append(probe)
        if deepest < depth:  # no tree was stopped: allowed to grow deeper they would be the same trees
            probes += [probe] * (len(depths) - len(probes))
            break
    return ForestProbe(
        np.concatenate([probe.prediction_TNC for probe in probes]),
        np.concatenate([probe.importance_TD for probe in probes]),
    )


def _read_at(
    train: Sample,
    test_codes_ND: NDArray[np.float32],
    depths: Sequence[int],
    num_trees: int,
    random_state: RandomState,
    progress: Progress,
) -> tuple[ForestProbe, int]:
    """One forest, as it is at each depth; and how deep its deepest tree is."""
    total_TNC = np.zeros((len(depths), len(test_codes_ND), train.num_outputs))
    importance_TD = np.zeros((len(depths), train.codes_ND.shape[1]))
    grown, deepest, at_depth = 0, 0, np.asarray(depths)
    while grown < num_trees:
        num = min(TREES_AT_ONCE, num_trees - grown)
        for tree in _grow(train, num, at_depth.max(), random_state):
            _add_predictions(total_TNC, tree, test_codes_ND, at_depth)
            depth_V = _depths(tree)
            importance_TD += _importance(tree, depth_V, at_depth, importance_TD.shape[1])
            deepest = max(deepest, int(depth_V.max()))
        grown += num
        progress(grown / num_trees)
    return ForestProbe(total_TNC / num_trees, _to_sum_one(importance_TD)), deepest


def _grow(train: Sample, num_trees: int, max_depth: int, random_state: RandomState) -> list[_Tree]:
    """The next trees of the forest: taken a few at a time from one generator they are those of one fit."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor  # seconds to import

    kind = RandomForestClassifier if train.is_class else RandomForestRegressor
    forest = kind(n_estimators=num_trees, max_depth=int(max_depth), random_state=random_state)
    forest.fit(train.codes_ND, train.target_N)
    return [_Tree.read(estimator.tree_) for estimator in forest.estimators_]


def _add_predictions(
    total_TNC: NDArray[np.float64], tree: _Tree, codes_ND: NDArray[np.float32], depths: NDArray[np.int64]
) -> None:
    row_N, node_N = np.arange(len(codes_ND)), np.zeros(len(codes_ND), dtype=np.int64)
    for depth in range(1, depths.max() + 1):
        goes_left_N = codes_ND[row_N, tree.code_V[node_N]] <= tree.threshold_V[node_N]
        node_N, before_N = np.where(goes_left_N, tree.left_V[node_N], tree.right_V[node_N]), node_N
        if np.array_equal(node_N, before_N):  # every point is in its leaf, at all larger depths too
            total_TNC[depths >= depth] += tree.share_VC[node_N]
            return
        total_TNC[depths == depth] += tree.share_VC[node_N]


def _importance(
    tree: _Tree, depth_V: NDArray[np.int64], depths: NDArray[np.int64], num_codes: int
) -> NDArray[np.float64]:
    """Share of each code in what the splits above each depth gain [T, D]; 0 where there are none."""
    gain_LD = np.zeros((depths.max(), num_codes))
    splits_V = tree.left_V != np.arange(len(tree.left_V))
    np.add.at(gain_LD, (depth_V[splits_V], tree.code_V[splits_V]), tree.gain_V[splits_V])
    return _to_sum_one(gain_LD.cumsum(axis=0)[depths - 1])


def _depths(tree: _Tree) -> NDArray[np.int64]:
    depth_V = np.zeros(len(tree.left_V), dtype=np.int64)
    level = np.zeros(1, dtype=np.int64)
    while len(level):
        level = level[tree.left_V[level] != level]
        below = np.concatenate([tree.left_V[level], tree.right_V[level]])
        depth_V[below] = np.tile(depth_V[level] + 1, 2)
        level = below
    return depth_V


def _to_sum_one(gain_TD: NDArray[np.float64]) -> NDArray[np.float64]:
    """Negative gains are rounding (about -1e-16): they count 0."""
    positive_TD = np.maximum(gain_TD, 0.0)
    total_T1 = positive_TD.sum(axis=1, keepdims=True)
    shares_TD: NDArray[np.float64] = positive_TD / np.where(total_T1 > 0, total_T1, 1.0)
    return shares_TD
