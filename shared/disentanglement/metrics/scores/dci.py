"""Disentanglement, Completeness and Informativeness (Eastwood and Williams, 2018, ICLR).

Shapes: N points, D codes, K factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import (
    Points,
    check_factors_vary,
    check_same_columns,
    check_several_codes,
    check_usable,
)
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress, part_of, silent
from disentanglement.metrics.sampling.points import Representation, sample_points
from disentanglement.metrics.statistics.aggregations import completeness, disentanglement
from disentanglement.specs.metrics import Dci

if TYPE_CHECKING:
    from disentanglement.metrics.classifiers.boosted_trees import SortedCodes


@dataclass(frozen=True, slots=True)
class DciResult:
    """How much trees use each code to predict each factor (columns sum to 1, or are 0), and how well they do."""

    importance_DK: NDArray[np.float64]
    train_accuracy_K: NDArray[np.float64]
    test_accuracy_K: NDArray[np.float64]
    test_right_MK: NDArray[np.bool_] | None = None
    """At which of the M test points each factor is told; what an error of the accuracies is made of."""

    def scores(self) -> dict[str, float]:
        """Under the reference's keys; informativeness is an accuracy, higher is better."""
        return {
            "informativeness_train": float(self.train_accuracy_K.mean()),
            "informativeness_test": float(self.test_accuracy_K.mean()),
            "disentanglement": disentanglement(self.importance_DK),
            "completeness": completeness(self.importance_DK),
        }


def dci(train: Points, test: Points, *, random_state: RandomState, progress: Progress = silent) -> DciResult:
    """Boosted trees predict each factor from all codes; which codes they use says who stands for what.

    `random_state` is drawn from factor after factor, for ties between codes that split equally well: the
    reference draws from NumPy's global generator in the same order. Raises MetricUndefined for a single code,
    a single factor and a factor of a single value.
    """
    from disentanglement.metrics.classifiers.boosted_trees import (
        sort_codes,  # a second to load: only who scores pays for it
    )

    _check(train, test)
    codes = sort_codes(train.codes_ND)
    num_classes_K = np.array([len(np.unique(factor_N)) for factor_N in train.factors_NK.T])
    end_K = num_classes_K.cumsum() / num_classes_K.sum()  # each round grows a tree for each class
    fits = [
        _fit(codes, train, test, factor, random_state, part_of(progress, start, end))
        for factor, (start, end) in enumerate(pairwise([0.0, *end_K.tolist()]))
    ]
    importances, train_accuracies, right = zip(*fits, strict=True)
    test_accuracies = [float(np.mean(right_M)) for right_M in right]
    accuracies = np.array(train_accuracies), np.array(test_accuracies)
    return DciResult(np.stack(importances, axis=1), *accuracies, np.stack(right, axis=1))


def _check(train: Points, test: Points) -> None:
    check_usable(train.codes_ND, train.factors_NK)
    check_usable(test.codes_ND, test.factors_NK, prefix="test_")
    check_same_columns(train, test)
    check_several_codes(train.codes_ND, "dci")
    check_factors_vary(train.factors_NK, "dci")
    if train.factors_NK.shape[1] < 2:
        raise MetricUndefined("dci compares factors with each other: wanted 2 columns of factors or more, got 1")


def _fit(
    codes: SortedCodes, train: Points, test: Points, factor: int, random_state: RandomState, progress: Progress
) -> tuple[NDArray[np.float64], float, NDArray[np.bool_]]:
    """Importance of each code [D], training accuracy, which test points [M] are told right."""
    from disentanglement.metrics.classifiers.boosted_trees import fit_boosted_trees

    train_N, test_N = train.factors_NK[:, factor], test.factors_NK[:, factor]
    trees = fit_boosted_trees(codes, train_N, random_state=random_state, progress=progress)
    train_accuracy = np.mean(trees.predict_training_points() == train_N)
    return trees.importance_D, float(train_accuracy), trees.predict(test.codes_ND) == test_N


def evaluate(spec: Dci, representation: Representation, seed: int, progress: Progress) -> DciResult:
    """DCI trained on `num_train` fresh points, tested on `num_test` more."""
    rs = RandomState(seed)
    train = sample_points(representation, spec.num_train, rs, spec.batch_size)
    test = sample_points(representation, spec.num_test, rs, spec.batch_size)
    return dci(train, test, random_state=RandomState(seed), progress=progress)


def score(spec: Dci, arrays: OwnArrays, seed: int, progress: Progress) -> DciResult:
    """DCI of training and test points."""
    return dci(*arrays.split(seed), random_state=RandomState(seed), progress=progress)


METRIC = Metric(Needs.HELD_OUT_POINTS, evaluate, score)
