from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats, permutations
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Points
from disentanglement.metrics.dci import DciResult, completeness, dci, disentanglement
from disentanglement.metrics.sampling import FactorGrid

GRID = np.tile(FactorGrid((2, 3)).all_factors(), (6, 1))
DIAGONAL = 5.0 * np.eye(5)
TWO_OF_TEN = 1 - log(2) / log(10)

some_importances = arrays(np.float64, (4, 3), elements=floats(0, 1))


def global_state() -> NDArray[np.uint32]:
    """The words of NumPy's global generator."""
    state: NDArray[np.uint32] = np.random.get_state(legacy=False)["state"]["key"].copy()
    return state


@pytest.mark.parametrize(
    ("importance", "expected_disentanglement", "expected_completeness"),
    [
        pytest.param(DIAGONAL, 1, 1, id="diagonal"),
        pytest.param(np.array([[1.0, 0], [0, 1], [0, 0]]), 1, 1, id="a code used for nothing"),
        pytest.param(np.zeros((10, 10)), 0, 0, id="zeros"),
        pytest.param(np.vstack([DIAGONAL, DIAGONAL]), 1, TWO_OF_TEN, id="each factor in two codes"),
        pytest.param(DIAGONAL[:2], 1, 1, id="factors that no code serves"),
        pytest.param(np.hstack([DIAGONAL, DIAGONAL]), TWO_OF_TEN, 1, id="each code for two factors"),
    ],
)
def test_disentanglement_and_completeness_are_those_of_the_references_own_tests(
    importance: NDArray[np.float64], expected_disentanglement: float, expected_completeness: float
) -> None:
    assert disentanglement(importance) == pytest.approx(expected_disentanglement, rel=1e-7, abs=1e-7)
    assert completeness(importance) == pytest.approx(expected_completeness, rel=1e-7, abs=1e-7)


def test_codes_are_weighted_by_how_much_they_are_used() -> None:
    # The first code serves one factor and has three quarters of the importance; the second serves both alike.
    assert disentanglement(np.array([[0.75, 0.0], [0.125, 0.125]])) == pytest.approx(0.75)


@given(importance=some_importances, codes=permutations(range(4)), factors=permutations(range(3)))
def test_scores_are_bounded_and_ignore_the_order_of_codes_and_factors(
    importance: NDArray[np.float64], codes: list[int], factors: list[int]
) -> None:
    moved = importance[codes][:, factors]
    for score in (disentanglement, completeness):
        assert -1e-9 <= score(importance) <= 1 + 1e-9
        assert score(moved) == pytest.approx(score(importance), abs=1e-9)


@given(importance=some_importances)
def test_disentanglement_of_the_transpose_is_completeness(importance: NDArray[np.float64]) -> None:
    assert disentanglement(importance.T) == completeness(importance)


def test_codes_that_copy_factors_have_all_scores_one() -> None:
    points = Points(GRID.astype(np.float64), GRID)
    result = dci(points, points, random_state=RandomState(0))
    assert result.importance_DK == pytest.approx(np.eye(2))
    assert result.scores() == {
        "informativeness_train": 1.0,
        "informativeness_test": 1.0,
        "disentanglement": pytest.approx(1.0),
        "completeness": pytest.approx(1.0),
    }


def test_informativeness_is_the_mean_accuracy_over_factors() -> None:
    result = DciResult(np.eye(2), np.array([1.0, 0.5]), np.array([0.25, 0.5]))
    scores = result.scores()
    assert (scores["informativeness_train"], scores["informativeness_test"]) == (0.75, 0.375)


def test_test_points_are_used_for_test_accuracy_alone() -> None:
    train = Points(GRID.astype(np.float64), GRID)
    wrong = Points(train.codes_ND, np.stack([1 - GRID[:, 0], GRID[:, 1]], axis=1))
    result = dci(train, wrong, random_state=RandomState(0))
    assert result.test_accuracy_K == pytest.approx([0.0, 1.0])
    assert result.train_accuracy_K == pytest.approx([1.0, 1.0])


def test_equal_seeds_repeat_and_leave_numpys_global_generator_alone() -> None:
    rng = np.random.default_rng(0)
    points = Points(np.repeat(rng.normal(size=(36, 1)), 3, axis=1), GRID)  # three equal codes: nothing but ties
    before = global_state()
    first, second, other = (dci(points, points, random_state=RandomState(seed)).importance_DK for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != other).any()
    assert (global_state() == before).all()


def test_progress_rises_to_one_and_what_it_raises_stops_the_metric() -> None:
    points = Points(GRID.astype(np.float64), GRID)
    shares: list[float] = []
    dci(points, points, random_state=RandomState(0), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert shares[99] == pytest.approx(2 / 5)  # factors of two and three values: trees for five classes

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dci(points, points, random_state=RandomState(0), progress=stop)


def test_one_code_one_factor_and_a_constant_factor_are_each_named() -> None:
    codes = GRID.astype(np.float64)
    cases = [
        (codes[:, :1], GRID, "dci compares codes with each other"),
        (codes, GRID[:, :1], "dci compares factors with each other"),
        (codes, GRID * np.array([1, 0]), r"factors\[:, 1\] is 0 at every point"),
    ]
    for some_codes, factors, message in cases:
        points = Points(some_codes, factors)
        with pytest.raises(MetricUndefined, match=message):
            dci(points, points, random_state=RandomState(0))
