"""Separated Attribute Predictability (Kumar et al., 2018, arXiv:1711.00848).

Shapes: N points, D codes, K factors. Two ways to say how well one code alone predicts one factor: a linear
classifier for factors that are classes, a squared correlation for factors that are quantities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.metrics.arrays import (
    Codes,
    Factors,
    Points,
    check_factors_vary,
    check_same_columns,
    check_several_codes,
    check_usable,
    gap_to_second,
)
from disentanglement.metrics.classifiers.code_classifiers import FactorClasses, fit_lines, predict
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress, silent
from disentanglement.metrics.sampling.points import Representation, sample_points
from disentanglement.specs.metrics import SapScore

SMALLEST_VARIANCE = 1e-12
"""A code that varies less is taken as constant: it predicts nothing."""


@dataclass(frozen=True, slots=True)
class SapResult:
    """How well each code alone predicts each factor (accuracy or squared correlation); the lead of the best."""

    gap_K: NDArray[np.float64]
    prediction_DK: NDArray[np.float64]

    def scores(self) -> dict[str, float]:
        """Under the reference's key."""
        return {"SAP_score": float(self.gap_K.mean())}


def sap_score_discrete(train: Points, test: Points, *, progress: Progress = silent) -> SapResult:
    """Test accuracy of a linear support vector machine on one code at a time.

    Accuracies are those of the reference's `LinearSVC`, but where a code never changes: there classes of equal size
    tie, rounding decides among them in the reference, and here the lowest value wins. Raises MetricUndefined for a
    single code and for a factor of a single value.
    """
    _check(train.codes_ND, train.factors_NK)
    check_usable(test.codes_ND, test.factors_NK, prefix="test_")
    check_same_columns(train, test)
    prediction_DK = accuracies(train, test, progress=progress)
    return SapResult(gap_to_second(prediction_DK), prediction_DK)


def accuracies(train: Points, test: Points, *, progress: Progress = silent) -> NDArray[np.float64]:
    """How often one code alone [D, K] tells the value of a factor at test points; all are taken as checked.

    A value that only test points have is never told.
    """
    classes = FactorClasses.of(train.factors_NK)
    accuracy_DK = np.empty((train.codes_ND.shape[1], train.factors_NK.shape[1]))
    for code, (train_N, test_M) in enumerate(zip(train.codes_ND.T, test.codes_ND.T, strict=True)):
        predicted_MK = predict(fit_lines(train_N, classes), classes, test_M)
        accuracy_DK[code] = (predicted_MK == test.factors_NK).mean(axis=0)
        progress((code + 1) / len(accuracy_DK))
    return accuracy_DK


def sap_score_continuous(codes_ND: Codes, factors_NK: Factors) -> SapResult:
    """Squared correlation of each code with each factor, over the training points.

    Raises MetricUndefined for a single code and for a factor of a single value (the reference gives NaN).
    """
    _check(codes_ND, factors_NK)
    num_codes = codes_ND.shape[1]
    covariance = np.cov(codes_ND.T, factors_NK.T)
    variance_D, variance_K = np.split(np.diag(covariance), [num_codes])
    active_D = variance_D > SMALLEST_VARIANCE
    product_DK = np.where(active_D, variance_D, 1.0)[:, None] * variance_K
    squared_DK = covariance[:num_codes, num_codes:] ** 2 / product_DK
    prediction_DK = np.where(active_D[:, None], squared_DK, 0.0)
    return SapResult(gap_to_second(prediction_DK), prediction_DK)


def _check(codes_ND: Codes, factors_NK: Factors) -> None:
    check_usable(codes_ND, factors_NK)
    check_several_codes(codes_ND, "sap_score")
    check_factors_vary(factors_NK, "sap_score")


def evaluate(spec: SapScore, representation: Representation, seed: int, progress: Progress) -> SapResult:
    """SAP trained on `num_train` fresh points, tested on `num_test` more."""
    rs = RandomState(seed)
    train = sample_points(representation, spec.num_train, rs, spec.batch_size)
    if spec.continuous_factors:
        return sap_score_continuous(train.codes_ND, train.factors_NK)
    test = sample_points(representation, spec.num_test, rs, spec.batch_size)
    return sap_score_discrete(train, test, progress=progress)


def score(spec: SapScore, arrays: OwnArrays, seed: int, progress: Progress) -> SapResult:
    """SAP; for continuous factors of the given points, test points play no part."""
    if spec.continuous_factors:
        return sap_score_continuous(arrays.given.codes_ND, arrays.given.factors_NK)
    return sap_score_discrete(*arrays.split(seed), progress=progress)


METRIC = Metric(Needs.HELD_OUT_POINTS, evaluate, score)
