"""Downstream accuracy out of distribution: one other factor is fixed in training and has other values in the test.

Shapes: N points, D codes, K factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Factors, Points
from disentanglement.metrics.classifiers import Accuracies, accuracies, accuracy, check_predictable, prepare
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays, grid_of
from disentanglement.metrics.progress import Progress, part_of
from disentanglement.metrics.sampling.points import GridRepresentation, Representation
from disentanglement.metrics.scores.downstream_task import Split
from disentanglement.specs.metrics import StrongDownstreamTask

PLAIN = 0.1
"""The share of the time that the fits without intervention take, roughly."""


@dataclass(frozen=True, slots=True)
class StrongAccuracies:
    """Accuracies on plain points, and of the experiments E with an intervention."""

    plain: Accuracies
    strong_train_E: NDArray[np.float64]
    strong_test_E: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StrongDownstreamTaskResult:
    """Accuracies by the number of training points."""

    by_size: Mapping[int, StrongAccuracies]

    def scores(self) -> dict[str, float]:
        """Under the reference's keys, which start with the training size."""
        scores: dict[str, float] = {}
        for size, of_size in self.by_size.items():
            mean_test, strong_test = of_size.plain.test_K.mean(), of_size.strong_test_E.mean()
            scores |= {
                f"{size}:mean_train_accuracy": float(of_size.plain.train_K.mean()),
                f"{size}:mean_test_accuracy": float(mean_test),
                f"{size}:mean_strong_train_accuracy": float(of_size.strong_train_E.mean()),
                f"{size}:mean_strong_test_accuracy": float(strong_test),
            }
            if mean_test > 0:  # else there is nothing to generalize, and the reference has infinity or NaN
                scores[f"{size}:strong_generalization_gap"] = float(1.0 - strong_test / mean_test)
        return scores


def intervene(
    train_factors_NK: Factors, test_factors_NK: Factors, target: int, factor_sizes: tuple[int, ...], draw: RandomState
) -> tuple[Factors, Factors]:
    """Copies with another factor than `target` at one value in training, and at others, at random, in the test.

    Draws the factor, its value, then the test values.
    """
    train_NK, test_NK = train_factors_NK.copy(), test_factors_NK.copy()
    shifted = int(draw.choice([factor for factor in range(len(factor_sizes)) if factor != target]))
    value = int(draw.choice(factor_sizes[shifted]))
    others = [other for other in range(factor_sizes[shifted]) if other != value]
    train_NK[:, shifted] = value
    test_NK[:, shifted] = draw.choice(others, size=len(test_NK))
    return train_NK, test_NK


def evaluate(
    spec: StrongDownstreamTask, representation: Representation, seed: int, progress: Progress
) -> StrongDownstreamTaskResult:
    """Fits on fresh points, and for every factor on `n_experiment` shifted ones.

    The reference draws interventions from NumPy's global generator, and so do its trees; here a generator of their
    own stands in for it, that starts from the metric's seed: with NumPy seeded alike, the draws are the same.
    """
    sizes = tuple(representation.factor_sizes)
    if len(sizes) < 2 or min(sizes) < 2:
        raise MetricUndefined(
            f"strong_downstream_task shifts another factor: wanted 2 factors or more, of 2 values or more; got {sizes}"
        )
    rs, own = RandomState(seed), RandomState(seed)
    ends = np.cumsum(spec.num_train) / np.sum(spec.num_train)
    by_size = {}
    for num_train, (start, end) in zip(spec.num_train, pairwise([0.0, *ends.tolist()]), strict=True):
        part = part_of(progress, start, end)
        by_size[num_train] = _of_size(spec, representation, num_train, rs, own, part)
    return StrongDownstreamTaskResult(by_size)


def _of_size(
    spec: StrongDownstreamTask,
    representation: Representation,
    num_train: int,
    rs: RandomState,
    own: RandomState,
    progress: Progress,
) -> StrongAccuracies:
    factors = representation.sample_factors(num_train, rs), representation.sample_factors(spec.num_test, rs)
    train, test = _observe(representation, *factors, rs)
    check_predictable(train, test, "strong_downstream_task")
    plain_part = part_of(progress, 0.0, PLAIN)
    plain = accuracies(spec.predictor, train, test, random_state=own, progress=plain_part)
    targets = np.repeat(np.arange(len(representation.factor_sizes)), spec.n_experiment)
    strong = []
    for done, target in enumerate(targets.tolist()):
        shifted = intervene(*factors, target, tuple(representation.factor_sizes), own)
        train, test = _observe(representation, *shifted, rs)
        fit = prepare(spec.predictor, train.codes_ND, own)
        share = PLAIN + (1 - PLAIN) * np.array([done, done + 1]) / len(targets)
        strong.append(accuracy(fit, train, test, target, part_of(progress, *share.tolist())))
    return StrongAccuracies(plain, *(np.array(of_split) for of_split in zip(*strong, strict=True)))


def _observe(
    representation: Representation, train_factors_NK: Factors, test_factors_NK: Factors, rs: RandomState
) -> Split:
    """All training points at once, then all test points."""
    train_rows_N, test_rows_N = representation.rows(train_factors_NK, rs), representation.rows(test_factors_NK, rs)
    train = Points(representation.codes_of(train_rows_N), train_factors_NK)
    return train, Points(representation.codes_of(test_rows_N), test_factors_NK)


def score(spec: StrongDownstreamTask, arrays: OwnArrays, seed: int, progress: Progress) -> StrongDownstreamTaskResult:
    """Where the given points are the whole grid of factor combinations."""
    grid = grid_of(arrays.given, "strong_downstream_task")
    return evaluate(spec, GridRepresentation(grid, arrays.given.codes_ND), seed, progress)


METRIC = Metric(Needs.FIXED_FACTORS, evaluate, score)
