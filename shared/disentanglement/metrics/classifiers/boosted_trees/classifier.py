"""The classifier around the compiled functions. Shapes: N points, D codes, C trees of a round, R rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes
from disentanglement.metrics.classifiers.boosted_trees.gradients import add_predictions, negative_gradients
from disentanglement.metrics.classifiers.boosted_trees.growing import grow_trees
from disentanglement.metrics.classifiers.boosted_trees.layout import (
    Floats,
    SortedCodes,
    Trees,
    make_trees,
    make_workspace,
)
from disentanglement.metrics.classifiers.boosted_trees.sorting import as_values
from disentanglement.metrics.progress import Progress, silent

NUM_ROUNDS = 100
LEARNING_RATE = 0.1
SEEDS = 2**31 - 1

Labels = NDArray[np.int64]
InParts = Callable[[Callable[[int, int, int], None], int], None]
"""Calls a function with (thread, start, end) for each part of so many things."""


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """A fitted classifier: rounds of one tree for each class, or of one tree where there are two classes."""

    labels: Labels
    """The classes, rising."""
    prior_C: Floats
    rounds: tuple[Trees, ...]
    importance_D: Floats
    """Sums to 1, or is 0 where no tree has a split."""
    train_raw_CN: Floats

    def predict(self, codes_ND: Codes) -> Labels:
        """The label [N] of each point."""
        return self._decide(self._raw(codes_ND))

    def predict_training_points(self) -> Labels:
        """As `predict` of the codes it was fitted to; known since then."""
        return self._decide(self.train_raw_CN)

    def predict_proba(self, codes_ND: Codes) -> Floats:
        """Probabilities [N, classes]."""
        raw_CN = self._raw(codes_ND)
        if len(raw_CN) == 1:
            raw_CN = np.stack([-raw_CN[0] / 2, raw_CN[0] / 2])
        odds_CN = np.exp(raw_CN - raw_CN.max(axis=0))
        probability_NC: Floats = (odds_CN / odds_CN.sum(axis=0)).T
        return probability_NC

    @property
    def num_ties(self) -> int:
        """Nodes of all trees at which several codes split about equally well."""
        return sum(int(trees.num_ties_C.sum()) for trees in self.rounds)

    def _raw(self, codes_ND: Codes) -> Floats:
        values_DN = as_values(codes_ND)
        raw_CN = np.repeat(self.prior_C[:, np.newaxis], len(codes_ND), axis=1)
        for trees in self.rounds:
            add_predictions(values_DN, trees.code_CK, trees.threshold_CK, trees.value_CL, LEARNING_RATE, raw_CN)
        return raw_CN

    def _decide(self, raw_CN: Floats) -> Labels:
        decided_N = (raw_CN[0] >= 0).astype(np.int64) if len(raw_CN) == 1 else raw_CN.argmax(axis=0)
        labels_N: Labels = self.labels[decided_N]
        return labels_N


def fit_boosted_trees(
    codes: SortedCodes,
    labels_N: Labels,
    *,
    random_state: RandomState,
    num_rounds: int = NUM_ROUNDS,
    num_threads: int = 1,
    progress: Progress = silent,
) -> BoostedTrees:
    """Trees that tell labels from codes. No number depends on `num_threads`.

    `progress` is called after each round; what it raises ends the fit. Raises MetricUndefined for a single label.
    """
    labels, inverse_N = np.unique(labels_N, return_inverse=True)
    class_N = inverse_N.astype(np.int32)
    if len(labels) < 2:
        raise MetricUndefined(f"boosted trees need labels that differ; all are {labels[0]}")
    prior_C = _prior(np.bincount(class_N) / len(class_N))
    raw_CN = np.repeat(prior_C[:, np.newaxis], len(class_N), axis=1)
    gradient_CN = np.empty_like(raw_CN)
    workspaces = [make_workspace(codes) for _ in range(num_threads)]
    rounds: list[Trees] = []
    with _threads(num_threads) as in_parts:
        for index in range(num_rounds):
            trees = make_trees(len(prior_C), len(codes.values_DN))
            seed_C = random_state.randint(0, SEEDS, size=len(prior_C)).astype(np.uint32)

            def step(thread: int, start: int, end: int) -> None:
                negative_gradients(raw_CN, class_N, gradient_CN, start, end)

            def grow(
                thread: int, start: int, end: int, trees: Trees = trees, seed_C: NDArray[np.uint32] = seed_C
            ) -> None:
                arguments: list[Any] = [*codes, *workspaces[thread], *trees]
                arguments += [class_N, gradient_CN, raw_CN, seed_C, start, end, LEARNING_RATE]
                grow_trees(*arguments)

            in_parts(step, len(class_N))
            in_parts(grow, len(prior_C))
            rounds.append(trees)
            progress((index + 1) / num_rounds)
    return BoostedTrees(labels, prior_C, tuple(rounds), _importance(rounds), raw_CN)


def _prior(share: Floats) -> Floats:
    """Raw predictions before the first round: log-odds of the second of two classes, or centered logarithms."""
    epsilon = np.finfo(np.float64).eps
    share = np.clip(share, epsilon, 1 - epsilon)
    logarithm = np.log(share)
    prior_C: Floats = np.log(share[1:] / (1 - share[1:])) if len(share) == 2 else logarithm - logarithm.mean()
    return prior_C


def _importance(rounds: list[Trees]) -> Floats:
    importance_D: Floats = np.sum([trees.importance_CD.sum(axis=0) for trees in rounds], axis=0)
    total = importance_D.sum()
    return importance_D / total if total > 0 else importance_D


@contextmanager
def _threads(num_threads: int) -> Iterator[InParts]:
    """Parts of about equal size, one for each thread; they hold no lock of the interpreter while they compute."""
    if num_threads == 1:
        yield lambda function, size: function(0, 0, size)
        return
    with ThreadPoolExecutor(num_threads) as pool:

        def in_parts(function: Callable[[int, int, int], None], size: int) -> None:
            ends = [size * thread // num_threads for thread in range(num_threads + 1)]
            parts = [(thread, *part) for thread, part in enumerate(pairwise(ends)) if part[0] < part[1]]
            for _ in pool.map(lambda part: function(*part), parts):
                pass

        yield in_parts
