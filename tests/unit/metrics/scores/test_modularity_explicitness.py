from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics import Points, evaluate_metric
from disentanglement.metrics.sampling.points import FactorGrid
from disentanglement.metrics.scores.modularity_explicitness import modularity, modularity_explicitness
from disentanglement.specs.metrics import MetricSpec, ModularityExplicitness

GRID = FactorGrid((3, 4)).all_factors()
COPIES = Points(GRID.astype(np.float64), GRID)
TWICE = np.vstack([5 * np.eye(5), 5 * np.eye(5)])


def noisy_points(seed: int, num_points: int = 80, noise: float = 0.8) -> Points:
    rng = np.random.default_rng(seed)
    factors = np.vstack([GRID, rng.integers(0, 3, size=(num_points - len(GRID), 2))])
    mix = np.random.default_rng(1).normal(size=(2, 3))
    return Points(factors @ mix + noise * rng.normal(size=(num_points, 3)), factors)


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        (5 * np.eye(5), 1.0),
        (np.array([[1.0, 0], [0, 1], [0, 0]]), 2 / 3),
        (np.zeros((10, 10)), 0.0),
        (TWICE, 1.0),
        (5 * np.eye(5)[:2], 1.0),
        (TWICE.T, 1 - 1 / 9),
        (np.array([[2.0, 1, 1]]), 1 - (1 + 1) / (4 * 2)),
    ],
)
def test_modularity_of_known_matrices(
    information: np.ndarray[tuple[int, int], np.dtype[np.float64]], expected: float
) -> None:
    assert modularity(information) == pytest.approx(expected)


@given(st.lists(st.lists(st.floats(0, 5), min_size=3, max_size=3), min_size=1, max_size=4), st.permutations(range(3)))
def test_modularity_is_between_0_and_1_and_does_not_depend_on_order(rows: list[list[float]], order: list[int]) -> None:
    information = np.array(rows)
    assert -1e-12 <= modularity(information) <= 1.0
    assert modularity(information[::-1][:, order]) == pytest.approx(modularity(information))


def test_codes_that_copy_factors_are_modular_and_explicit() -> None:
    scores = modularity_explicitness(COPIES, COPIES).scores()
    assert scores == pytest.approx(dict.fromkeys(scores, 1.0))


def test_explicitness_is_that_of_classifiers_of_scikit_learn_at_their_optimum() -> None:
    train, test = noisy_points(0), noisy_points(2)
    mean, deviation = train.codes_ND.mean(axis=0), train.codes_ND.std(axis=0)
    for points, key in ((train, "explicitness_score_train"), (test, "explicitness_score_test")):
        areas = []
        for factor in range(2):
            model = LogisticRegression(tol=1e-9, max_iter=10_000)
            model.fit((train.codes_ND - mean) / deviation, train.factors_NK[:, factor])
            probabilities = model.predict_proba((points.codes_ND - mean) / deviation)
            areas.append(roc_auc_score(points.factors_NK[:, factor][:, None] == model.classes_, probabilities))
        expected = np.mean(areas)
        assert modularity_explicitness(train, test).scores()[key] == pytest.approx(expected, abs=1e-4)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    order=st.permutations(range(3)),
    exponent=st.integers(-4, 4),
    names=st.permutations([3, 7, -2, 40]),
)
def test_order_and_scale_of_codes_and_names_of_values_change_nothing(
    seed: int, order: list[int], exponent: int, names: list[int]
) -> None:
    train, test = noisy_points(seed), noisy_points(seed // 2 + 1)
    expected = modularity_explicitness(train, test).scores()
    train, test = (
        Points(points.codes_ND[:, order] * 2.0**exponent, np.array(names)[points.factors_NK][:, ::-1])
        for points in (train, test)
    )
    assert modularity_explicitness(train, test).scores() == pytest.approx(expected, abs=1e-3)


def test_a_code_that_never_changes_counts_in_modularity_alone() -> None:
    train, test = noisy_points(0), noisy_points(2)
    expected = modularity_explicitness(train, test).scores()
    dead = [Points(np.hstack([p.codes_ND, np.full((len(p), 1), 0.1)]), p.factors_NK) for p in (train, test)]
    scores = modularity_explicitness(*dead).scores()
    assert scores["modularity_score"] == pytest.approx(expected["modularity_score"] * 3 / 4)
    for key in ("explicitness_score_train", "explicitness_score_test"):
        assert scores[key] == pytest.approx(expected[key], abs=1e-6)


def test_a_value_that_one_sample_lacks_is_left_out_there() -> None:
    train, test = noisy_points(0), noisy_points(2)
    kept = test.factors_NK[:, 1] != 3
    fewer = test.rows(np.flatnonzero(kept))
    result = modularity_explicitness(train, fewer)
    assert np.isfinite(result.explicitness_test_K).all()
    known = np.flatnonzero(train.factors_NK[:, 1] != 3)
    unknown = modularity_explicitness(train.rows(known), test)  # the fourth value is new: among the rest of each other
    assert np.isfinite(unknown.explicitness_test_K).all()


def test_one_code_more_factors_than_codes_and_single_precision_are_scored() -> None:
    train, test = noisy_points(0), noisy_points(2)
    one = [Points(points.codes_ND[:, :1].astype(np.float32), points.factors_NK) for points in (train, test)]
    result = modularity_explicitness(*one)
    double = modularity_explicitness(*(Points(p.codes_ND[:, :1], p.factors_NK) for p in (train, test)))
    assert result.scores() == pytest.approx(double.scores(), abs=1e-4)


def test_what_cannot_be_scored_is_named() -> None:
    train, test = noisy_points(0), noisy_points(2)
    one_factor = [Points(p.codes_ND, p.factors_NK[:, :1]) for p in (train, test)]
    with pytest.raises(MetricUndefined, match="2 columns of factors or more, got 1"):
        modularity_explicitness(*one_factor)
    constant = Points(train.codes_ND, train.factors_NK * np.array([1, 0]))
    with pytest.raises(MetricUndefined, match=r"factors\[:, 1\] is 0 at every point"):
        modularity_explicitness(constant, test)
    with pytest.raises(MetricUndefined, match=r"test_factors\[:, 0\] has \[5\]"):
        modularity_explicitness(train, Points(test.codes_ND, np.full_like(test.factors_NK, 5)))
    with pytest.raises(MetricUndefined, match=r"test_codes\[:, 1\] is nan at row 0"):
        modularity_explicitness(train, Points(test.codes_ND * [1, np.nan, 1], test.factors_NK))
    with pytest.raises(SpecError, match=r"test_codes\.shape"):
        modularity_explicitness(train, Points(test.codes_ND[:, :2], test.factors_NK))


def test_progress_rises_to_one() -> None:
    shares: list[float] = []
    modularity_explicitness(COPIES, COPIES, progress=shares.append)
    assert shares == [0.5, 1.0]


def test_the_references_numbers_on_its_identity_data(representation: Callable[[str], object]) -> None:
    spec = MetricSpec(modularity_explicitness=ModularityExplicitness(num_train=1000, num_test=500))
    scores = evaluate_metric(spec, representation("linear"), 0).scores()  # type: ignore[arg-type]
    assert scores["modularity_score"] == pytest.approx(0.95812975, abs=1e-8)
    assert scores["explicitness_score_train"] == pytest.approx(0.79312124, abs=1e-4)
    assert scores["explicitness_score_test"] == pytest.approx(0.76688852, abs=1e-4)
