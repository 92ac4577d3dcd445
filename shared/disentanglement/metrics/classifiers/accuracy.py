"""How well a classifier predicts each factor from codes. Shapes: N points, D codes, K factors."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Factors, Points, check_factors_vary, check_same_columns, check_usable
from disentanglement.metrics.classifiers.predictor import Fit, prepare
from disentanglement.metrics.progress import Progress, part_of, silent
from disentanglement.specs.metrics import PredictorSpec


@dataclass(frozen=True, slots=True)
class Accuracies:
    """Share of points whose factor is predicted right, for each factor."""

    train_K: NDArray[np.float64]
    test_K: NDArray[np.float64]


def check_predictable(train: Points, test: Points, metric: str) -> None:
    """Raises MetricUndefined for codes that are not finite and for factors of a single value in training."""
    check_usable(train.codes_ND, train.factors_NK)
    check_usable(test.codes_ND, test.factors_NK, prefix="test_")
    check_same_columns(train, test)
    check_factors_vary(train.factors_NK, f"{metric} of {len(train)} training points")


def accuracies(
    predictor: PredictorSpec, train: Points, test: Points, *, random_state: RandomState, progress: Progress = silent
) -> Accuracies:
    """A classifier of its own for each factor, in order."""
    fit = prepare(predictor, train.codes_ND, random_state)
    parts = shares(train.factors_NK, progress)
    pairs = [accuracy(fit, train, test, factor, part) for factor, part in enumerate(parts)]
    return Accuracies(*(np.array(of_split) for of_split in zip(*pairs, strict=True)))


def accuracy(fit: Fit, train: Points, test: Points, factor: int, progress: Progress) -> tuple[float, float]:
    """On training and on test points, of one factor; values that training points lack count as errors."""
    fitted = fit(train.factors_NK[:, factor], progress)
    train_accuracy = np.mean(fitted.predict_training_points() == train.factors_NK[:, factor])
    return float(train_accuracy), float(np.mean(fitted.predict(test.codes_ND) == test.factors_NK[:, factor]))


def shares(factors_NK: Factors, progress: Progress) -> list[Progress]:
    """The progress of each factor's fit, which costs as much as it has values."""
    num_values_K = np.array([len(np.unique(factor_N)) for factor_N in factors_NK.T])
    end_K = num_values_K.cumsum() / num_values_K.sum()
    return [part_of(progress, *part) for part in pairwise([0.0, *end_K.tolist()])]
