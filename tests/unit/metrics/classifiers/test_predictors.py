"""The classifiers of downstream metrics: against scikit-learn's, and where there is nothing to fit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy.optimize import approx_fprime
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import KFold

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Points
from disentanglement.metrics.classifiers import PREDICTORS, accuracies, prepare
from disentanglement.metrics.classifiers.log_loss import Blocks, penalised_loss
from disentanglement.metrics.classifiers.logistic_regression_cv import fit_logistic_regression_cv
from disentanglement.metrics.progress import silent
from disentanglement.specs.metrics import PredictorSpec


def overlapping(num_points: int, num_classes: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(num_classes)
    codes_ND = rng.normal(size=(num_points, 3))
    edges = np.linspace(-1, 1, num_classes + 1)[1:-1]
    return codes_ND, 7 * np.digitize(codes_ND[:, 0] + rng.normal(size=num_points), edges)


def test_the_loss_of_even_odds_is_the_logarithm_of_the_number_of_classes() -> None:
    codes_ND, class_N = np.array([[1.0], [2.0], [3.0]]), np.array([0, 1, 2], np.int32)
    loss, gradient = penalised_loss(np.zeros(6), Blocks.of(codes_ND, class_N), 3, 0.5)
    assert loss == pytest.approx(np.log(3))
    # Of each class: the mean over points of (1/3 - truth) * code, then of (1/3 - truth).
    assert gradient == pytest.approx([2 / 3 - 1 / 3, 0.0, 2 / 3 - 1, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("num_rows", [1, 3])
def test_the_gradient_is_that_of_the_loss_also_in_a_block_that_is_not_full(num_rows: int) -> None:
    codes_ND, labels_N = overlapping(300, max(num_rows, 2))
    blocks = Blocks.of(codes_ND, (labels_N // 7).astype(np.int32))
    weights = np.random.default_rng(0).normal(size=4 * num_rows)
    _, gradient = penalised_loss(weights, blocks, num_rows, 0.3)

    def loss(weights: NDArray[np.float64]) -> float:
        return penalised_loss(weights, blocks, num_rows, 0.3)[0]

    numeric = approx_fprime(weights, loss)
    assert gradient == pytest.approx(numeric, abs=1e-6)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_logistic_regression_is_scikit_learns(num_classes: int) -> None:
    codes_ND, labels_N = overlapping(83, num_classes)  # folds of two sizes
    ours = fit_logistic_regression_cv(codes_ND, labels_N)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of defaults that will change
        theirs = LogisticRegressionCV(Cs=10, cv=KFold(n_splits=5), scoring="accuracy").fit(codes_ND, labels_N)
    assert ours.strength == pytest.approx(np.ravel(theirs.C_)[0])
    assert ours.weights_CP[:, :-1] == pytest.approx(theirs.coef_, abs=1e-6)
    assert ours.weights_CP[:, -1] == pytest.approx(theirs.intercept_, abs=1e-6)
    assert (ours.predict_training_points() == theirs.predict(codes_ND)).all()


def test_nothing_depends_on_the_number_of_threads() -> None:
    one, three = (fit_logistic_regression_cv(*overlapping(40, 3), num_threads=threads) for threads in (1, 3))
    assert (one.weights_CP == three.weights_CP).all()


@pytest.mark.parametrize("word", PREDICTORS)
def test_every_predictor_finds_a_code_that_copies_the_factor(word: str) -> None:
    factors_NK = np.random.default_rng(0).integers(0, 2, size=(120, 1))
    codes_ND = np.hstack([factors_NK * 2.0 - 1.0, np.ones((120, 1))])  # and a constant one
    points = Points(codes_ND, factors_NK)
    predictor = PredictorSpec.model_validate(word)
    found = accuracies(predictor, points, Points(codes_ND, 1 - factors_NK), random_state=RandomState(0))
    assert (found.train_K.tolist(), found.test_K.tolist()) == ([1.0], [0.0])


@pytest.mark.parametrize("word", PREDICTORS)
def test_a_value_that_training_lacks_is_never_predicted(word: str) -> None:
    codes_ND = np.linspace(-1, 1, 60)[:, np.newaxis]
    fit = prepare(PredictorSpec.model_validate(word), codes_ND, RandomState(0))
    fitted = fit(np.where(codes_ND[:, 0] > 0, 2, 0), silent)
    assert set(fitted.predict(np.linspace(-3, 3, 50)[:, np.newaxis]).tolist()) == {0, 2}


def test_a_class_that_one_fold_alone_has_is_no_trouble() -> None:
    codes_ND, labels_N = overlapping(40, 3)
    labels_N[:8] = np.array([99] + [0, 7] * 3 + [14])  # the first fold
    assert 99 in fit_logistic_regression_cv(codes_ND, labels_N).labels


def test_one_label_and_too_few_points_for_the_folds_are_named() -> None:
    with pytest.raises(MetricUndefined, match="all are 3"):
        fit_logistic_regression_cv(np.ones((6, 1)), np.full(6, 3))
    with pytest.raises(MetricUndefined, match="5 folds needs as many points; there are 4"):
        fit_logistic_regression_cv(np.ones((4, 1)), np.array([0, 1, 0, 1]))
    with pytest.raises(MetricUndefined, match="nan"):
        fit_logistic_regression_cv(np.full((6, 1), np.nan), np.array([0, 1] * 3))
