from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, permutations
from numpy.random import RandomState

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes, Factors
from disentanglement.metrics.sampling.points import FactorGrid
from disentanglement.metrics.scores.infomec import (
    InfomecResult,
    infomec_continuous,
    infomec_continuous_iqr,
    infomec_discrete,
    ratio_to_sum,
)
from disentanglement.metrics.scores.infomec_explicitness import explicitness, linear_explicitness, one_hot
from disentanglement.metrics.scoring import score_arrays

TOY_FACTORS = FactorGrid((2, 2)).all_factors()
TOY_CODES = np.stack([2 * TOY_FACTORS[:, 0] + TOY_FACTORS[:, 1], TOY_FACTORS[:, 1]], axis=1).astype(np.float64)
"""One code holds both factors, the other one of them."""


def noisy(seed: int, num_points: int = 120) -> tuple[Codes, Factors]:
    rng = np.random.default_rng(seed)
    factors = np.resize(FactorGrid((2, 3)).all_factors(), (num_points, 2))
    return factors @ rng.normal(size=(2, 3)) + 0.3 * rng.normal(size=(num_points, 3)), factors


def continuous(codes: Codes, factors: Factors, seed: int = 0) -> InfomecResult:
    return infomec_continuous(codes, factors, random_state=RandomState(seed))


def test_discrete_codes_of_the_toy_are_worked_out_by_hand() -> None:
    # Code 0 knows all of both factors: half of its information is of the best. Code 1 is the second factor alone.
    result = infomec_discrete(TOY_CODES, TOY_FACTORS)
    assert result.information_DK == pytest.approx(np.array([[1.0, 1.0], [0.0, 1.0]]))
    scores = result.scores()
    assert scores["infom"] == pytest.approx(((1 / 2 + 1) / 2 - 1 / 2) / (1 / 2))
    assert scores["infoc"] == pytest.approx(((1 + 1 / 2) / 2 - 1 / 2) / (1 / 2))
    assert scores["infoe"] == pytest.approx(1.0, abs=1e-3)
    assert scores["num_active_codes"] == 2.0


def test_all_three_are_one_when_each_code_is_one_factor() -> None:
    scores = infomec_discrete(TOY_FACTORS.astype(np.float64), TOY_FACTORS).scores()
    assert [scores[key] for key in ("infom", "infoe", "infoc")] == pytest.approx([1.0, 1.0, 1.0], abs=1e-3)


def test_shares_are_counted_from_equal_to_single() -> None:
    assert ratio_to_sum(np.array([[1.0, 1.0, 1.0]])) == pytest.approx(0.0)
    assert ratio_to_sum(np.array([[0.0, 0.2, 0.0], [3.0, 0.0, 0.0]])) == pytest.approx(1.0)
    assert ratio_to_sum(np.array([[3.0, 1.0, 0.0]])) == pytest.approx((3 / 4 - 1 / 3) / (2 / 3))


def test_codes_that_hardly_move_are_not_active() -> None:
    codes, factors = noisy(0)
    codes = codes / np.ptp(codes, axis=0) * np.array([1.0, 0.051, 0.049])
    assert continuous(codes, factors).active_D.tolist() == [True, True, False]


def test_tripods_rule_looks_at_the_middle_half() -> None:
    factors = np.arange(300)[:, None] % 3
    wide = np.linspace(0.0, 1.0, 300)
    outliers = np.where(np.arange(300) < 10, wide * 100, wide / 20)  # a large range, and quartiles close together
    codes = np.stack([wide, outliers], axis=1)
    assert continuous(codes, factors).active_D.tolist() == [True, True]
    result = infomec_continuous_iqr(codes, factors, random_state=RandomState(0))
    assert result.active_D.tolist() == [True, False]


def test_inactive_codes_still_help_to_predict() -> None:
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 2, size=(200, 2))
    faint = 0.01 * (factors[:, 0] + 0.01 * rng.normal(size=200))
    result = continuous(np.stack([rng.normal(size=200), faint], axis=1), factors)
    assert result.active_D.tolist() == [True, False]
    assert result.explicitness_K[0] > 0.9
    assert result.explicitness_K[1] < 0.1


def test_codes_of_few_values_are_counted_as_a_warning() -> None:
    codes, factors = noisy(0)
    codes[:, 0] = np.round(codes[:, 0])
    assert continuous(codes, factors).scores()["num_repeating_codes"] == 1.0


@settings(max_examples=4)
@given(seed=integers(0, 2**32 - 1), order=permutations(range(3)), names=permutations(range(3)))
def test_discrete_scores_depend_neither_on_order_nor_on_names(seed: int, order: list[int], names: list[int]) -> None:
    codes, factors = noisy(seed, 60)
    codes = np.round(codes)
    codes[0] += 1  # so that no code is constant
    first = infomec_discrete(codes, factors).scores()
    again = infomec_discrete(10 * codes[:, order], np.array(names)[factors]).scores()
    for key in ("infom", "infoc"):
        assert again[key] == pytest.approx(first[key], abs=1e-9)
    assert again["infoe"] == pytest.approx(first["infoe"], abs=1e-2)  # another way to the same optimum, cut short


@settings(max_examples=4)
@given(seed=integers(0, 2**32 - 1))
def test_continuous_scores_do_not_depend_on_scale_and_shift(seed: int) -> None:
    codes, factors = noisy(seed)
    first, again = (continuous(each, factors).scores() for each in (codes, -4.0 * codes + 1.0))
    assert again["infom"] == pytest.approx(first["infom"], abs=1e-6)
    assert again["infoc"] == pytest.approx(first["infoc"], abs=1e-6)
    assert again["infoe"] == pytest.approx(first["infoe"], abs=1e-3)


def test_where_there_is_nothing_to_compare_the_score_is_not_a_number_and_the_others_stand() -> None:
    one_factor = infomec_discrete(TOY_CODES, TOY_FACTORS[:, 1:]).scores()
    assert isnan(one_factor["infom"])
    assert one_factor["infoc"] == pytest.approx(0.0)
    one_active = infomec_discrete(np.stack([TOY_CODES[:, 0], np.zeros(4)], axis=1), TOY_FACTORS).scores()
    assert isnan(one_active["infoc"])
    assert one_active["infom"] == pytest.approx(0.0)


def test_a_code_that_knows_nothing_has_no_shares() -> None:
    codes = np.stack([TOY_FACTORS[:, 0], TOY_FACTORS[:, 0] ^ TOY_FACTORS[:, 1]], axis=1).astype(np.float64)
    assert isnan(infomec_discrete(codes, TOY_FACTORS).scores()["infom"])


@pytest.mark.parametrize("word", ["infomec_continuous", "infomec_continuous_iqr", "infomec_discrete", "infomec_binned"])
def test_dead_codes_and_dead_factors_are_said_to_be(word: str) -> None:
    dead = score_arrays(np.ones((4, 2)), TOY_FACTORS, metrics=[word])[word]
    assert isinstance(dead, MetricUndefined)
    assert "none of the codes varies enough" in str(dead)
    single = score_arrays(TOY_CODES, np.array([[0, 1]] * 4), metrics=[word])[word]
    assert "factors[:, 0] is 0 at every point" in str(single)


def test_a_code_of_very_many_values_is_no_class() -> None:
    codes = np.stack([np.arange(1001.0) % 7, np.arange(1001.0)], axis=1)
    with pytest.raises(MetricUndefined, match=r"at most 1000 in codes\[:, 1\], got 1001; infomec_binned"):
        infomec_discrete(codes, np.arange(1001)[:, None] % 3)


def test_infomec_binned_takes_bins_as_classes() -> None:
    codes = np.array([[0.0, 0.0], [0.1, 1.0], [0.9, 0.0], [1.0, 1.0]])
    outcome = score_arrays(codes, TOY_FACTORS, metrics=["infomec_binned"])["infomec_binned"]
    assert isinstance(outcome, dict)
    assert outcome == pytest.approx(infomec_discrete(TOY_CODES, TOY_FACTORS).scores(), abs=1e-3)


# ---------------------------------------------------------------------------------------------------- explicitness


def test_inputs_that_say_nothing_explain_nothing() -> None:
    factors = np.array([[0], [0], [0], [1]])
    # Balanced classes make the solver say one half for both, whatever their shares.
    assert explicitness(np.zeros((4, 1)), factors) == pytest.approx([0.0], abs=1e-6)


def test_a_worked_out_explicitness() -> None:
    # One input of two values: of class 1 is 1/4 where it is 0 and 3/4 where it is 1, classes equally frequent.
    inputs = np.repeat([0.0, 1.0], 4)[:, None]
    factors = np.array([0, 0, 0, 1, 0, 1, 1, 1])[:, None]
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert explicitness(inputs, factors) == pytest.approx([1 - entropy / np.log(2)], abs=1e-4)


def test_each_value_has_an_input() -> None:
    labels = np.array([[5, 1], [7, 0], [5, 2]])
    assert one_hot(labels).toarray().tolist() == [[1, 0, 0, 1, 0], [0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]


def test_a_line_explains_what_lies_on_it() -> None:
    codes = np.array([[0.0], [1.0], [2.0], [3.0]])
    factors = np.array([[1, 0], [3, 1], [5, 1], [7, 0]])  # the second is not correlated with the code
    assert linear_explicitness(codes, factors) == pytest.approx([1.0, 0.0], abs=1e-12)
