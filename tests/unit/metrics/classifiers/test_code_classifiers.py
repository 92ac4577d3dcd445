"""The classifiers of one code beside scikit-learn's, and laws of theirs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from
from numpy.typing import NDArray
from sklearn.svm import LinearSVC

from disentanglement.metrics.classifiers import code_classifiers
from disentanglement.metrics.classifiers.code_classifiers import FactorClasses, fit_lines, predict

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

KINDS = ("normal", "steps", "far", "large", "collapsed")


def codes(kind: str, factor_N: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """A code that knows something of a factor."""
    noise_N = rng.normal(size=len(factor_N))
    kinds: dict[str, Floats] = {
        "normal": np.tanh(factor_N - 1.5) + noise_N,
        "steps": np.mod(3 * factor_N, 5).astype(np.float64),
        "far": 1000 + factor_N + noise_N,
        "large": 1e4 * noise_N * (1 + factor_N),
        "collapsed": 1e-3 * noise_N + 0.02,
    }
    return kinds[kind]


def theirs(code_N: Floats, factor_N: NDArray[np.int64]) -> LinearSVC:
    """The reference's classifier, its defaults written out."""
    machine = LinearSVC(C=0.01, class_weight="balanced", dual=False, tol=1e-4, max_iter=1000)
    return machine.fit(code_N[:, None], factor_N)


def balanced(num_points: int, num_classes: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permutation(np.arange(num_points) % num_classes)


def both(seed: int, kind: str, num_classes: int, num_points: int) -> tuple[Floats, Floats, Labels, Labels]:
    """Lines and predictions, ours and scikit-learn's, of random points."""
    rng = np.random.default_rng(seed)
    factor_N = np.sort(rng.integers(num_classes, size=num_points)) * 3
    factor_N[:2] = 0, 3  # at least two values
    code_N = codes(kind, factor_N // 3, rng)
    classes = FactorClasses.of(factor_N[:, None])
    line_P2, machine = fit_lines(code_N, classes), theirs(code_N, factor_N)
    their_line_P2 = np.column_stack([machine.coef_, machine.intercept_])
    if len(their_line_P2) == 1:  # of two classes it has the second one's line
        their_line_P2 = np.concatenate([-their_line_P2, their_line_P2])
    other_M = codes(kind, rng.integers(num_classes, size=200), rng)
    predicted_M = predict(line_P2, classes, other_M)[:, 0]
    return line_P2, their_line_P2, predicted_M, machine.predict(other_M[:, None])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_classes", [2, 3, 7])
def test_lines_are_scikit_learns_but_for_rounding_and_all_predictions_are(kind: str, num_classes: int) -> None:
    line_P2, their_line_P2, predicted_M, their_predicted_M = both(num_classes, kind, num_classes, 300)
    assert line_P2 == pytest.approx(their_line_P2, rel=1e-6, abs=1e-12)
    assert (predicted_M == their_predicted_M).all()


def gradient(line_2: Floats, code_N: Floats, is_class_N: NDArray[np.bool_], own: float, rest: float) -> Floats:
    """Of the squared hinge, point by point."""
    sign_N, penalty_N = np.where(is_class_N, 1.0, -1.0), np.where(is_class_N, own, rest)
    missed_N = np.maximum(1 - sign_N * (line_2[0] * code_N + line_2[1]), 0.0)
    slope_N = -2 * penalty_N * sign_N * missed_N
    total_2: Floats = line_2 + np.array([(slope_N * code_N).sum(), slope_N.sum()])
    return total_2


@settings(max_examples=30)
@given(seed=integers(0, 2**32 - 1), kind=sampled_from(KINDS), num_classes=integers(3, 6), num_points=integers(12, 60))
def test_gradients_at_the_lines_are_as_short_as_the_stopping_rule_wants(
    seed: int, kind: str, num_classes: int, num_points: int
) -> None:
    rng = np.random.default_rng(seed)
    factor_N = rng.permutation(np.concatenate([np.arange(3), rng.integers(num_classes, size=num_points)]))
    code_N = codes(kind, factor_N, rng)
    classes = FactorClasses.of(factor_N[:, None])
    for label, line_2 in zip(classes.labels[0], fit_lines(code_N, classes), strict=True):
        is_class_N = factor_N == label
        own = 0.01 * len(factor_N) / (len(classes.labels[0]) * is_class_N.sum())
        at_start, at_end = (gradient(line, code_N, is_class_N, own, 0.01) for line in (np.zeros(2), line_2))
        rarer = min(is_class_N.mean(), 1 - is_class_N.mean())
        assert np.linalg.norm(at_end) <= 1.01e-4 * rarer * np.linalg.norm(at_start)


def test_factors_side_by_side_are_classified_as_each_alone() -> None:
    rng = np.random.default_rng(0)
    factors_NK = np.stack([balanced(60, 2, rng), balanced(60, 5, rng) + 7], axis=1)
    code_N = factors_NK.sum(axis=1) + rng.normal(size=60)
    together = FactorClasses.of(factors_NK)
    alone = [FactorClasses.of(factors_NK[:, [k]]) for k in range(2)]
    line_P2 = fit_lines(code_N, together)
    assert together.ends == [0, 2, 7]
    assert line_P2 == pytest.approx(np.concatenate([fit_lines(code_N, classes) for classes in alone]), rel=1e-9)
    one_by_one = [predict(fit_lines(code_N, classes), classes, code_N) for classes in alone]
    assert (predict(line_P2, together, code_N) == np.concatenate(one_by_one, axis=1)).all()


def test_a_symmetric_pair_of_classes_is_solved_by_hand() -> None:
    # Codes -1 and 1, one class each, both of weight 1: minimise w^2 / 2 + 2 * 0.01 * (1 - w)^2 where w < 1, and b = 0.
    # The derivative w - 0.04 * (1 - w) is 0 at w = 0.04 / 1.04.
    classes = FactorClasses.of(np.array([[0], [1]]))
    line_P2 = fit_lines(np.array([-1.0, 1.0]), classes)
    assert line_P2[1] == pytest.approx([0.04 / 1.04, 0.0], abs=1e-12)
    assert (line_P2[0] == -line_P2[1]).all()
    assert predict(line_P2, classes, np.array([-0.1, 0.1, 0.0])).ravel().tolist() == [0, 1, 0]


def test_classes_of_equal_size_tie_by_a_code_that_never_changes_and_the_lowest_value_wins() -> None:
    rng = np.random.default_rng(1)
    classes = FactorClasses.of(balanced(50, 5, rng)[:, None] + 3)
    for value in (0.0, 0.3, -7.0, 1e-3):
        assert set(predict(fit_lines(np.full(50, value), classes), classes, np.full(4, value)).ravel()) == {3}


def test_codes_and_points_in_another_order_give_the_same_lines() -> None:
    rng = np.random.default_rng(2)
    factor_N = balanced(40, 4, rng)
    code_N = codes("normal", factor_N, rng)
    order_N = rng.permutation(40)
    line_P2 = fit_lines(code_N, FactorClasses.of(factor_N[:, None]))
    assert fit_lines(code_N[order_N], FactorClasses.of(factor_N[order_N, None])) == pytest.approx(line_P2, rel=1e-9)
    assert fit_lines(-code_N, FactorClasses.of(factor_N[:, None])) == pytest.approx(line_P2 * [-1, 1], rel=1e-6)


def test_many_points_are_predicted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    factor_N = balanced(60, 3, rng)
    code_N = codes("normal", factor_N, rng)
    classes = FactorClasses.of(factor_N[:, None])
    line_P2 = fit_lines(code_N, classes)
    whole = predict(line_P2, classes, code_N)
    monkeypatch.setattr(code_classifiers, "POINTS_AT_ONCE", 7)
    assert (predict(line_P2, classes, code_N) == whole).all()


def test_codes_in_single_precision_are_computed_with_in_double() -> None:
    rng = np.random.default_rng(4)
    factor_N = balanced(40, 4, rng)
    single_N = codes("far", factor_N, rng).astype(np.float32)
    classes = FactorClasses.of(factor_N[:, None])
    assert (fit_lines(single_N, classes) == fit_lines(single_N.astype(np.float64), classes)).all()
