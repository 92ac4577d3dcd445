from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, permutations

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes, Factors
from disentanglement.metrics.sampling.points import FactorGrid
from disentanglement.metrics.scores.mig import mig

GRID = FactorGrid((3, 4)).all_factors()


def noisy_codes(seed: int, num_points: int = 60) -> tuple[Codes, Factors]:
    rng = np.random.default_rng(seed)
    factors = np.vstack([GRID, rng.integers(0, 3, size=(num_points - len(GRID), 2))])
    return factors @ rng.normal(size=(2, 3)) + 0.3 * rng.normal(size=(num_points, 3)), factors


def score(codes: Codes, factors: Factors) -> float:
    return mig(codes, factors).scores()["discrete_mig"]


def test_mig_is_one_when_each_code_copies_one_factor() -> None:
    assert score(GRID.astype(np.float64), GRID) == pytest.approx(1.0)


def test_mig_is_zero_when_every_factor_has_two_equal_codes() -> None:
    assert score(np.hstack([GRID, GRID]).astype(np.float64), GRID) == 0.0


def test_mig_is_zero_when_no_code_ever_changes() -> None:
    assert score(np.zeros((12, 4)), GRID) == 0.0


def test_the_gap_is_counted_in_units_of_the_factors_entropy() -> None:
    # The first code copies the factor of four values, the second tells only its halves: (ln 4 - ln 2) / ln 4.
    factors = np.arange(4)[:, None]
    codes = np.hstack([factors, factors // 2]).astype(np.float64)
    result = mig(codes, factors)
    assert result.information_DK == pytest.approx(np.array([[log(4)], [log(2)]]))
    assert result.entropy_K == pytest.approx([log(4)])
    assert result.gap_K == pytest.approx([0.5])


def test_mig_is_the_mean_over_factors() -> None:
    codes = np.stack([GRID[:, 0], GRID[:, 0], GRID[:, 1]], axis=1).astype(np.float64)
    assert score(codes, GRID) == pytest.approx((0.0 + 1.0) / 2)


def test_fewer_bins_than_values_lose_information() -> None:
    codes = np.stack([np.arange(4.0), np.zeros(4)], axis=1)
    assert mig(codes, np.arange(4)[:, None], num_bins=2).gap_K == pytest.approx([0.5])


@given(seed=integers(0, 2**32 - 1), order=permutations(range(3)))
def test_mig_does_not_depend_on_the_order_of_codes(seed: int, order: list[int]) -> None:
    codes, factors = noisy_codes(seed)
    assert score(codes[:, order], factors) == pytest.approx(score(codes, factors), abs=1e-12)


@given(seed=integers(0, 2**32 - 1), names=permutations(range(4)))
def test_mig_does_not_depend_on_what_factor_values_are_called(seed: int, names: list[int]) -> None:
    codes, factors = noisy_codes(seed)
    assert score(codes, np.array(names)[factors]) == pytest.approx(score(codes, factors), abs=1e-12)


@given(seed=integers(0, 2**32 - 1))
def test_mig_does_not_change_when_every_point_comes_twice(seed: int) -> None:
    codes, factors = noisy_codes(seed)
    assert score(np.repeat(codes, 2, axis=0), np.repeat(factors, 2, axis=0)) == pytest.approx(score(codes, factors))


@given(seed=integers(0, 2**32 - 1))
def test_every_gap_is_between_zero_and_one(seed: int) -> None:
    gaps = mig(*noisy_codes(seed)).gap_K
    assert (gaps >= 0).all()
    assert (gaps <= 1 + 1e-12).all()


def test_a_factor_of_a_single_value_is_named() -> None:
    with pytest.raises(MetricUndefined, match=r"mig needs factors that vary; factors\[:, 0\] is 0"):
        mig(np.ones((2, 2)), np.array([[0, 1], [0, 2]]))


def test_a_single_code_has_no_second_best() -> None:
    with pytest.raises(MetricUndefined, match="mig compares codes"):
        mig(np.ones((2, 1)), np.array([[0], [1]]))
