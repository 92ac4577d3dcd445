from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes
from disentanglement.metrics.classifiers.logistic_regression import Labels, fit_logistic_regression


def points(num_classes: int, seed: int = 0, *, num: int = 400, noise: float = 1.0) -> tuple[Codes, Labels]:
    rng = np.random.default_rng(seed)
    labels = np.append(rng.integers(0, num_classes, num - num_classes), np.arange(num_classes))
    centres = rng.normal(size=(num_classes, 4))
    return centres[labels] + noise * rng.normal(size=(num, 4)), labels


def test_two_mirrored_points_have_the_weight_that_solves_the_stationarity_by_hand() -> None:
    model = fit_logistic_regression(np.array([[-1.0], [1.0]]), np.array([0, 1]))
    weight = brentq(lambda w: w - 2 / (1 + np.exp(w)), 0, 2)  # of w^2 / 2 + 2 log(1 + exp(-w))
    assert model.coefficients[:, 0] == pytest.approx([-weight / 2, weight / 2], abs=1e-5)
    assert model.intercepts == pytest.approx([0, 0], abs=1e-5)
    assert model.probabilities(np.array([[1.0]]))[0, 1] == pytest.approx(1 / (1 + np.exp(-weight)), abs=1e-5)


def test_constant_codes_give_each_class_its_share_of_the_points() -> None:
    model = fit_logistic_regression(np.ones((10, 2)), np.array([3] * 5 + [7] * 3 + [9] * 2))
    assert model.probabilities(np.ones((1, 2)))[0] == pytest.approx([0.5, 0.3, 0.2], abs=1e-5)
    assert model.predict(np.zeros((1, 2))) == [3]


@pytest.mark.parametrize("num_classes", [2, 3, 8, 40])
@pytest.mark.parametrize("noise", [0.05, 1.0])
@pytest.mark.parametrize("inverse_penalty", [1e-3, 1.0, 1e3])
def test_the_optimum_is_that_of_scikit_learn(num_classes: int, noise: float, inverse_penalty: float) -> None:
    codes, labels = points(num_classes, noise=noise)
    ours = fit_logistic_regression(codes, labels, inverse_penalty=inverse_penalty, tolerance=1e-8)
    theirs = SklearnLogisticRegression(C=inverse_penalty, tol=1e-8, max_iter=100_000).fit(codes, labels)
    assert ours.probabilities(codes) == pytest.approx(theirs.predict_proba(codes), abs=2e-5)
    assert (ours.predict(codes) == theirs.predict(codes)).mean() > 0.995


@pytest.mark.parametrize("num_classes", [2, 5, 40])
def test_the_gradient_vanishes(num_classes: int) -> None:
    codes, labels = points(num_classes)
    model = fit_logistic_regression(codes, labels)
    wrong_NC = model.probabilities(codes) - (labels[:, None] == model.classes_C)
    halved = 2 if num_classes == 2 else 1
    assert np.abs(wrong_NC.mean(axis=0)).max() < 1.1e-6
    assert np.abs(wrong_NC.T @ codes + halved * model.coefficients).max() / len(codes) < 1.1e-6


def test_probabilities_sum_to_one_and_the_likeliest_class_is_predicted() -> None:
    codes, labels = points(5)
    model = fit_logistic_regression(codes, labels)
    probabilities = model.probabilities(codes)
    assert probabilities.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert (model.predict(codes) == model.classes_C[probabilities.argmax(axis=1)]).all()
    assert (model.predict(codes) == labels).mean() > 0.5


@given(seed=st.integers(0, 2**32 - 1), order=st.permutations(range(4)), names=st.permutations([-5, 0, 2]))
def test_the_order_of_codes_and_the_names_of_classes_change_nothing(
    seed: int, order: list[int], names: list[int]
) -> None:
    codes, labels = points(3, seed, num=60)
    model = fit_logistic_regression(codes, labels, tolerance=1e-8)
    other = fit_logistic_regression(codes[:, order], np.array(names)[labels], tolerance=1e-8)
    rows = np.searchsorted(other.classes_C, np.array(names))
    assert other.coefficients[rows] == pytest.approx(model.coefficients[:, order], abs=1e-5)


def test_a_start_near_the_optimum_leads_to_the_same_optimum() -> None:
    codes, labels = points(6)
    near = fit_logistic_regression(codes, labels, inverse_penalty=0.5)
    warm = fit_logistic_regression(codes, labels, start_CV=near.weights_CV, tolerance=1e-8)
    cold = fit_logistic_regression(codes, labels, tolerance=1e-8)
    assert warm.weights_CV == pytest.approx(cold.weights_CV, abs=1e-5)


def test_single_precision_and_large_offsets_are_fitted_too() -> None:
    codes, labels = points(4)
    model = fit_logistic_regression(codes, labels, tolerance=1e-8)
    single = fit_logistic_regression(codes.astype(np.float32), labels, tolerance=1e-8)
    moved = fit_logistic_regression(codes + 100.0, labels, tolerance=1e-8)
    assert single.weights_CV == pytest.approx(model.weights_CV, abs=1e-5)
    assert moved.coefficients == pytest.approx(model.coefficients, abs=1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_codes_of_any_size_are_fitted(scale: float) -> None:
    codes, labels = points(3)
    model = fit_logistic_regression(codes, labels, tolerance=1e-8)
    scaled = fit_logistic_regression(codes * scale, labels, inverse_penalty=scale**-2, tolerance=1e-8 * min(scale, 1))
    assert scaled.probabilities(codes * scale) == pytest.approx(model.probabilities(codes), abs=1e-4)


def test_labels_of_one_class_and_codes_that_are_no_numbers_are_refused() -> None:
    codes, labels = points(3)
    with pytest.raises(MetricUndefined, match="2 classes or more; all are 4"):
        fit_logistic_regression(codes, np.full(len(codes), 4))
    codes[7, 1] = np.nan
    with pytest.raises(MetricUndefined, match=r"codes\[:, 1\] is nan at row 7"):
        fit_logistic_regression(codes, labels)
