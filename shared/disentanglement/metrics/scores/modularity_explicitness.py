"""Modularity and explicitness (Ridgeway and Mozer, 2018, arXiv:1802.05312).

Shapes: N points, D codes, K factors, C values of a factor. A code is modular if it tells of one factor alone; a
factor is explicit if a linear classifier tells its values from the codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import (
    Codes,
    Factors,
    Points,
    check_factors_vary,
    check_same_columns,
    check_usable,
)
from disentanglement.metrics.classifiers.logistic_regression import LogisticRegression, fit_logistic_regression
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress, silent
from disentanglement.metrics.sampling.points import Representation, sample_points
from disentanglement.metrics.statistics.aggregations import modularities
from disentanglement.metrics.statistics.discretizer import discretize
from disentanglement.metrics.statistics.information import mutual_information
from disentanglement.metrics.statistics.roc_area import roc_areas
from disentanglement.specs.metrics import ModularityExplicitness


@dataclass(frozen=True, slots=True)
class ModularityExplicitnessResult:
    """What each code knows of each factor, in nats; how well each factor is told, 0.5 (guessing) to 1."""

    information_DK: NDArray[np.float64]
    explicitness_train_K: NDArray[np.float64]
    explicitness_test_K: NDArray[np.float64]

    def scores(self) -> dict[str, float]:
        """Under the reference's keys."""
        return {
            "modularity_score": modularity(self.information_DK),
            "explicitness_score_train": float(self.explicitness_train_K.mean()),
            "explicitness_score_test": float(self.explicitness_test_K.mean()),
        }


def modularity(information_DK: NDArray[np.float64]) -> float:
    """Over all codes, how little they know of other factors than the one they know best, by squares: 0 to 1.

    A code that knows nothing counts as 0, as in the reference.
    """
    return float(modularities(information_DK).mean())


def modularity_explicitness(
    train: Points, test: Points, *, num_bins: int = 20, progress: Progress = silent
) -> ModularityExplicitnessResult:
    """Modularity of the training points; areas under the curves of classifiers trained on them, on both.

    The classifiers are logistic regressions of standardized codes, at the optimum that scikit-learn's stop near:
    areas agree with its to about 1e-4. Raises MetricUndefined for a single factor, a factor of a single value, and
    test points that show at most one of the values known from training.
    """
    _check(train, test)
    information_DK = mutual_information(discretize(train.codes_ND, num_bins=num_bins), train.factors_NK)
    areas = []
    num_factors = train.factors_NK.shape[1]
    train_codes_ND, test_codes_ND = _standardized(train.codes_ND, test.codes_ND)
    for factor in range(num_factors):
        classifier = fit_logistic_regression(train_codes_ND, train.factors_NK[:, factor])
        areas.append(
            [
                _explicitness(classifier, codes_ND, points.factors_NK, factor)
                for codes_ND, points in ((train_codes_ND, train), (test_codes_ND, test))
            ]
        )
        progress((factor + 1) / num_factors)
    return ModularityExplicitnessResult(information_DK, *np.array(areas).T)


def _check(train: Points, test: Points) -> None:
    check_usable(train.codes_ND, train.factors_NK)
    check_usable(test.codes_ND, test.factors_NK, prefix="test_")
    check_same_columns(train, test)
    check_factors_vary(train.factors_NK, "modularity_explicitness")
    if train.factors_NK.shape[1] < 2:  # the reference divides by 0 other factors
        raise MetricUndefined("modularity_explicitness compares factors: wanted 2 columns of factors or more, got 1")


def _standardized(train_ND: Codes, test_ND: Codes) -> tuple[Codes, Codes]:
    """Both by mean and deviation of training codes. A code that never changes is 0, where the reference fails."""
    mean_D, deviation_D = train_ND.mean(axis=0), train_ND.std(axis=0)
    varies_D = (deviation_D > 0) & (train_ND != train_ND[0]).any(axis=0)
    scale_D = np.where(varies_D, 1.0, 0.0) / np.where(varies_D, deviation_D, 1.0)
    return (train_ND - mean_D) * scale_D, (test_ND - mean_D) * scale_D


def _explicitness(classifier: LogisticRegression, codes_ND: Codes, factors_NK: Factors, factor: int) -> float:
    """The mean area over the values at hand that the classifier knows; the reference fails where these differ."""
    known_C, values_N = classifier.classes_C, factors_NK[:, factor]
    class_N = np.minimum(np.searchsorted(known_C, values_N), len(known_C) - 1)
    class_N = np.where(known_C[class_N] == values_N, class_N, -1)
    areas = roc_areas(classifier.probabilities(codes_ND), class_N)
    if np.isnan(areas).all():
        raise MetricUndefined(
            f"explicitness needs test points of several values that training points have; test_factors[:, {factor}]"
            f" has {np.unique(values_N)[:10].tolist()}"
        )
    return float(np.nanmean(areas))


def evaluate(
    spec: ModularityExplicitness, representation: Representation, seed: int, progress: Progress
) -> ModularityExplicitnessResult:
    """Trained on `num_train` fresh points, tested on `num_test` more."""
    rs = RandomState(seed)
    train = sample_points(representation, spec.num_train, rs, spec.batch_size)
    test = sample_points(representation, spec.num_test, rs, spec.batch_size)
    return modularity_explicitness(train, test, num_bins=spec.num_bins, progress=progress)


def score(
    spec: ModularityExplicitness, arrays: OwnArrays, seed: int, progress: Progress
) -> ModularityExplicitnessResult:
    """Of training and test points."""
    return modularity_explicitness(*arrays.split(seed), num_bins=spec.num_bins, progress=progress)


METRIC = Metric(Needs.HELD_OUT_POINTS, evaluate, score)
