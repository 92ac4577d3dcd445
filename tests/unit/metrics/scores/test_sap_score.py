from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, permutations
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.arrays import Points
from disentanglement.metrics.sampling.points import FactorGrid
from disentanglement.metrics.scores.sap_score import sap_score_continuous, sap_score_discrete

GRID = FactorGrid((2, 3)).all_factors()


def random_points(seed: int, num_points: int = 30) -> Points:
    rng = np.random.default_rng(seed)
    factors = np.vstack([GRID, rng.integers(0, 2, size=(num_points - len(GRID), 2))])
    return Points(factors @ rng.normal(size=(2, 3)) + rng.normal(size=(num_points, 3)), factors)


def global_state() -> NDArray[np.uint32]:
    """The words of NumPy's global generator."""
    state: NDArray[np.uint32] = np.random.get_state(legacy=False)["state"]["key"].copy()
    return state


def test_a_code_that_is_a_multiple_of_a_factor_has_the_squared_correlation_one() -> None:
    codes = np.stack([-2.0 * GRID[:, 0], 3.0 + GRID[:, 1]], axis=1)
    result = sap_score_continuous(codes, GRID)
    assert result.prediction_DK == pytest.approx(np.eye(2), abs=1e-12)
    assert result.scores() == {"SAP_score": pytest.approx(1.0)}


def test_the_squared_correlation_is_worked_out_by_hand() -> None:
    # code (0, 1, 2), factor (0, 0, 1): covariance 1/2, variances 1 and 1/3, so (1/4) / (1/3) = 3/4.
    codes = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    assert sap_score_continuous(codes, np.array([[0], [0], [1]])).gap_K == pytest.approx([0.75])


@pytest.mark.parametrize(("scale", "expected"), [(1e-7, 0.0), (1e-5, 1.0)])
def test_a_code_of_almost_no_variance_predicts_nothing(scale: float, expected: float) -> None:
    codes = np.stack([scale * GRID[:, 0], np.zeros(6)], axis=1)
    assert sap_score_continuous(codes, GRID).prediction_DK[0, 0] == pytest.approx(expected)


@given(seed=integers(0, 2**32 - 1), scale=floats(0.1, 10), shift=floats(-10, 10), order=permutations(range(3)))
def test_continuous_sap_ignores_scale_shift_and_order_of_codes(
    seed: int, scale: float, shift: float, order: list[int]
) -> None:
    points = random_points(seed)
    moved = shift - scale * points.codes_ND[:, order]
    expected = sap_score_continuous(points.codes_ND, points.factors_NK)
    assert sap_score_continuous(moved, points.factors_NK).gap_K == pytest.approx(expected.gap_K, abs=1e-9)
    assert (expected.prediction_DK <= 1 + 1e-12).all()


def test_discrete_sap_is_the_accuracy_on_held_out_points() -> None:
    # The first code separates both values of the factor; the second never changes, so one class is always guessed.
    factors = np.repeat([[0], [1]], 20, axis=0)
    codes = np.hstack([10.0 * factors - 5.0, np.zeros((40, 1))])
    test = Points(codes[10:25], factors[10:25])  # ten of the first class, five of the second
    result = sap_score_discrete(Points(codes, factors), test)
    assert result.prediction_DK[0, 0] == 1.0
    assert result.prediction_DK[1, 0] == pytest.approx(10 / 15)  # the classes tie: the lower one


def test_discrete_sap_repeats_and_leaves_numpys_global_generator_alone() -> None:
    before = global_state()
    train, test = random_points(0), random_points(1)
    first, second = (sap_score_discrete(train, test).prediction_DK for _ in range(2))
    assert (first == second).all()
    assert (global_state() == before).all()


def test_progress_rises_to_one() -> None:
    shares: list[float] = []
    sap_score_discrete(random_points(0), random_points(1), progress=shares.append)
    assert shares == sorted(shares)
    assert (len(shares), shares[-1]) == (3, 1.0)


def test_a_factor_of_a_single_value_is_named() -> None:
    factors = np.array([[0, 4], [1, 4]])
    with pytest.raises(MetricUndefined, match=r"sap_score needs factors that vary; factors\[:, 1\]"):
        sap_score_continuous(np.ones((2, 2)), factors)
    with pytest.raises(MetricUndefined, match=r"factors\[:, 1\] is 4"):
        sap_score_discrete(Points(np.ones((2, 2)), factors), Points(np.ones((2, 2)), factors))


def test_held_out_points_of_other_width_are_a_spec_error() -> None:
    points = random_points(0)
    with pytest.raises(SpecError, match=r"test_codes\.shape: wanted 3 columns, got 2"):
        sap_score_discrete(points, Points(points.codes_ND[:, :2], points.factors_NK))


def test_a_value_that_only_test_points_have_is_a_mistake_each_time() -> None:
    factors = np.array([[0], [0], [1], [1]])
    train = Points(np.array([[-9.0, 0], [-8, 0], [8, 0], [9, 0]]), factors)
    test = Points(train.codes_ND, np.array([[0], [2], [1], [2]]))
    assert sap_score_discrete(train, test).prediction_DK[0, 0] == 0.5


@pytest.mark.parametrize("num_codes", [1, 2])
def test_more_factors_than_codes_are_fine_but_a_single_code_is_not(num_codes: int) -> None:
    points = Points(np.eye(6)[:, :num_codes], np.stack([GRID[:, 0], GRID[:, 1], GRID.sum(axis=1)], axis=1))
    if num_codes == 1:
        with pytest.raises(MetricUndefined, match="sap_score compares codes with each other"):
            sap_score_discrete(points, points)
    else:
        assert sap_score_discrete(points, points).gap_K.shape == (3,)


def test_codes_that_are_not_finite_are_named() -> None:
    points = random_points(0)
    codes = points.codes_ND.copy()
    codes[4, 1] = np.nan
    with pytest.raises(MetricUndefined, match=r"test_codes\[:, 1\] is nan at row 4"):
        sap_score_discrete(points, Points(codes, points.factors_NK))
