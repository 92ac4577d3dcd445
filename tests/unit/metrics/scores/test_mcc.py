from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, permutations
from numpy.random import RandomState

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.arrays import Points
from disentanglement.metrics.scores.mcc import Correlation, mcc, mcc_with_noise_rows

FACTORS = np.array([[0, 0], [1, 0], [2, 1], [3, 0]])


def random_points(seed: int, num_codes: int = 4, num_factors: int = 3) -> Points:
    rng = np.random.default_rng(seed)
    return Points(rng.normal(size=(30, num_codes)), rng.integers(0, 5, size=(30, num_factors)))


def test_correlations_and_the_assignment_are_worked_out_by_hand() -> None:
    codes = np.array([[0.0, -1.0], [0.0, -2.0], [1.0, -3.0], [0.0, -4.0]])
    result = mcc(codes, FACTORS, correlation="pearson")
    # Code 0 is factor 1, code 1 is factor 0 upside down; the factors' own correlation is 0.5 / sqrt(5 * 0.75).
    across = 0.5 / np.sqrt(5 * 0.75)
    assert result.correlation_DK == pytest.approx(np.array([[across, 1.0], [1.0, across]]))
    assert result.code_K.tolist() == [1, 0]
    assert result.scores() == {"meanabscorr": pytest.approx(1.0), "num_constant_codes": 0.0}


def test_the_sum_is_largest_not_each_factors_own_correlation() -> None:
    """Both factors like code 0 best; the assignment gives it to the one that has no other."""
    factors = np.array([[0, 0], [0, 1], [1, 0], [1, 2], [2, 2], [2, 1]])
    codes = np.stack([factors.sum(axis=1), factors[:, 0]], axis=1).astype(float)
    result = mcc(codes, factors, correlation="pearson")
    assert result.correlation_DK[0, 1] > result.correlation_DK[1, 1]
    assert result.code_K.tolist() == [1, 0]
    assert result.scores()["meanabscorr"] == pytest.approx((1.0 + result.correlation_DK[0, 1]) / 2)


def test_ranks_see_through_a_curve_and_share_the_mean_of_ties() -> None:
    factors = np.array([[0], [1], [2], [2]])
    codes = np.array([[0.0], [1.0], [10.0], [100.0]])
    # Ranks 1, 2, 3, 4 against 1, 2, 3.5, 3.5: products of centred ranks sum to 4.5, squares to 5 and 4.5.
    assert mcc(codes, factors).scores()["meanabscorr"] == pytest.approx(4.5 / np.sqrt(5 * 4.5))
    assert mcc(codes, factors, correlation="pearson").scores()["meanabscorr"] < 0.85


@pytest.mark.parametrize("correlation", ["pearson", "spearman"])
@given(seed=integers(0, 2**32 - 1), order=permutations(range(4)), scale=floats(0.1, 10), shift=floats(-10, 10))
def test_order_scale_sign_and_shift_of_codes_do_not_matter(
    correlation: Correlation, seed: int, order: list[int], scale: float, shift: float
) -> None:
    points = random_points(seed)
    moved = shift - scale * points.codes_ND[:, order]
    before = mcc(points.codes_ND, points.factors_NK, correlation=correlation).scores()
    assert mcc(moved, points.factors_NK, correlation=correlation).scores() == pytest.approx(before)


@given(seed=integers(0, 2**32 - 1))
def test_ranks_do_not_see_an_order_that_is_stretched(seed: int) -> None:
    points = random_points(seed)
    stretched = mcc(np.exp(points.codes_ND), points.factors_NK**3)
    assert stretched.scores() == pytest.approx(mcc(points.codes_ND, points.factors_NK).scores())


@given(seed=integers(0, 2**32 - 1))
def test_noise_rows_can_only_take_codes_away(seed: int) -> None:
    points = random_points(seed, num_codes=6)
    plain = mcc(points.codes_ND, points.factors_NK).scores()["meanabscorr"]
    noisy = mcc_with_noise_rows(points.codes_ND, points.factors_NK, random_state=RandomState(seed))
    assert noisy.scores()["meanabscorr"] <= plain + 1e-12
    assert len(set(noisy.code_K.tolist())) == 3


def test_without_room_for_noise_rows_nothing_is_drawn() -> None:
    points = random_points(0, num_codes=3)
    generator = RandomState(0)
    noisy = mcc_with_noise_rows(points.codes_ND, points.factors_NK, random_state=generator)
    assert noisy.scores() == mcc(points.codes_ND, points.factors_NK).scores()
    assert generator.standard_normal() == RandomState(0).standard_normal()


def test_a_noise_row_takes_the_code_that_it_is_more_like() -> None:
    noise = RandomState(0).standard_normal(30)
    factor = np.repeat([0, 1, 2], 10)
    own = factor + 3.0 * np.tile([1.0, -1.0], 15)
    mixed = noise + 0.9 * factor  # the factor likes it better than its own code, the noise even more
    codes = np.stack([mixed, own], axis=1)
    plain = mcc(codes, factor[:, None], correlation="pearson")
    noisy = mcc_with_noise_rows(codes, factor[:, None], random_state=RandomState(0), correlation="pearson")
    assert (plain.code_K.tolist(), noisy.code_K.tolist()) == ([0], [1])
    assert noisy.scores()["meanabscorr"] == pytest.approx(plain.correlation_DK[1, 0])


def test_constant_codes_take_no_part_and_are_counted() -> None:
    points = random_points(1)
    with_dead = np.insert(points.codes_ND, [0, 2], 0.1, axis=1)
    result = mcc(with_dead, points.factors_NK)
    alone = mcc(points.codes_ND, points.factors_NK)
    assert result.scores() == {**alone.scores(), "num_constant_codes": 2.0}
    assert result.code_K.tolist() == [[1, 2, 4, 5][code] for code in alone.code_K]
    assert result.correlation_DK[[0, 3]].tolist() == [[0.0] * 3] * 2


def test_factors_that_no_code_is_left_for_count_zero() -> None:
    codes = np.array([[5.0, 0.0], [5.0, 1.0], [5.0, 2.0], [5.0, 3.0]])
    result = mcc(codes, FACTORS, correlation="pearson")
    assert result.code_K.tolist() == [1, -1]
    assert result.correlation_DK[1, 1] > 0  # the code would have something of it
    assert result.correlations.tolist() == [pytest.approx(1.0), 0.0]
    with pytest.raises(MetricUndefined, match=r"wanted 2 codes that vary or more, as there are factors, got 1"):
        mcc_with_noise_rows(codes, FACTORS, random_state=RandomState(0))


def test_huge_and_tiny_codes_are_correlated_as_any() -> None:
    points = random_points(2)
    scaled = points.codes_ND * np.array([1e30, 1e-200, 1.0, 1e-30])
    before = mcc(points.codes_ND, points.factors_NK, correlation="pearson").scores()
    assert mcc(scaled, points.factors_NK, correlation="pearson").scores() == pytest.approx(before)


def test_float32_codes_and_integers_as_floats_score_alike() -> None:
    codes = np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 1.0], [3.0, 1.0]])
    assert mcc(codes.astype(np.float32), FACTORS).scores() == mcc(codes, FACTORS).scores()


def test_what_has_no_value_says_which_column_is_to_blame() -> None:
    points = random_points(3)
    with pytest.raises(MetricUndefined, match="every code has the same value"):
        mcc(np.ones((4, 2)), FACTORS)
    with pytest.raises(MetricUndefined, match=r"factors\[:, 1\] is 7 at every point"):
        mcc(np.eye(4), np.array([[0, 7], [1, 7], [2, 7], [3, 7]]))
    broken = points.codes_ND.copy()
    broken[4, 2] = np.nan
    with pytest.raises(MetricUndefined, match=r"codes\[:, 2\] is nan at row 4"):
        mcc(broken, points.factors_NK)
    with pytest.raises(SpecError, match=r"factors\.shape"):
        mcc(points.codes_ND, FACTORS)
