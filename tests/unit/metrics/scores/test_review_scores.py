from __future__ import annotations

from math import log, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, permutations

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes, Factors
from disentanglement.metrics.sampling.points import FactorGrid
from disentanglement.metrics.scores.dcimig import dcimig
from disentanglement.metrics.scores.jemmig import jemmig
from disentanglement.metrics.scores.migsup import migsup
from disentanglement.metrics.scores.review_scores import mig_ubisoft, migsup_ubisoft, modularity_ubisoft
from disentanglement.metrics.scoring import score_arrays
from disentanglement.metrics.statistics.review_bins import review_bins

TOY_FACTORS = FactorGrid((2, 2)).all_factors()
TOY_CODES = np.stack([2 * TOY_FACTORS[:, 0] + TOY_FACTORS[:, 1], TOY_FACTORS[:, 1]], axis=1).astype(np.float64)
"""Code 0 knows both factors (2 bits), code 1 the second."""

KEYS = {
    "migsup": "mig_sup",
    "mig_ubisoft": "mig_rmig",
    "migsup_ubisoft": "mig_sup",
    "jemmig": "jemmig",
    "dcimig": "dcimig",
    "modularity_ubisoft": "modularity_score",
}
WORDS = sorted(KEYS)


def score(word: str, codes: Codes, factors: Factors) -> float:
    outcome = score_arrays(codes, factors, metrics=[word])[word]
    assert isinstance(outcome, dict), outcome
    return outcome[KEYS[word]]


def failure(word: str, codes: Codes, factors: Factors) -> str:
    outcome = score_arrays(codes, factors, metrics=[word])[word]
    assert isinstance(outcome, MetricUndefined), outcome
    return str(outcome)


def noisy(seed: int) -> tuple[Codes, Factors]:
    rng = np.random.default_rng(seed)
    factors = np.resize(FactorGrid((3, 4)).all_factors(), (60, 2))
    return factors @ rng.normal(size=(2, 3)) + 0.3 * rng.normal(size=(60, 3)), factors


@pytest.mark.parametrize("word", ["mig_ubisoft", "migsup_ubisoft", "dcimig", "modularity_ubisoft", "migsup"])
def test_the_toy_scores_one_half(word: str) -> None:
    # E.g. mig_ubisoft: factor 0 is 1 of the 2 bits of code 0, factor 1 is all of code 1 and half of code 0.
    assert score(word, TOY_CODES, TOY_FACTORS) == pytest.approx(0.5)


def test_jemmig_of_the_toy_takes_the_smaller_joint_entropy_of_equals() -> None:
    # Both factors: joint entropy 2 bits and gap 1, and 1 bit and gap 0, of at most 1 bit and 10 bins.
    result = jemmig(TOY_CODES, TOY_FACTORS, continuous_factors=False)
    assert result.scores()["jemmig"] == pytest.approx(1 - 1 / (1 + log2(10)))
    assert result.code_K.tolist() == [0, 1]


def test_mig_ubisoft_divides_by_what_the_code_has_not_by_what_the_factor_has() -> None:
    factors = FactorGrid((2, 4)).all_factors()
    codes = np.stack([factors[:, 0], factors[:, 1] % 2], axis=1).astype(np.float64)
    assert mig_ubisoft(codes, factors).terms == pytest.approx([1.0, 1.0])


def test_migsup_divides_by_what_the_factor_has() -> None:
    factors = FactorGrid((2, 4)).all_factors()
    codes = np.stack([factors[:, 0], factors[:, 1] % 2], axis=1).astype(np.float64)
    assert migsup(codes, factors).gap_D == pytest.approx([1.0, 0.5])
    assert migsup_ubisoft(codes, factors).terms == pytest.approx([1.0, 1.0])


def test_a_perfect_code_scores_one() -> None:
    factors = FactorGrid((3, 4)).all_factors()
    codes = factors[:, ::-1].astype(np.float64)
    for word in WORDS:
        assert score(word, codes, factors) == pytest.approx(1.0), word


def test_modularity_squares_what_codes_know_of_other_factors() -> None:
    rng = np.random.default_rng(1)
    factors = rng.integers(0, 2, size=(64, 3))
    codes = (factors[:, 0] + 2.0 * factors[:, 1])[:, None]
    known = [_information(codes[:, 0], factors[:, k]) for k in range(3)]
    best = max(known)
    expected = 1 - (sum(value**2 for value in known) - best**2) / (2 * best**2)
    assert modularity_ubisoft(codes, factors).terms == pytest.approx([expected])


def _information(code: Codes, factor: Factors) -> float:
    """In nats, summed cell by cell."""
    total = 0.0
    for a in set(code.tolist()):
        for b in set(factor.tolist()):
            both = float(np.mean((code == a) & (factor == b)))
            if both > 0:
                total += both * log(both / (float(np.mean(code == a)) * float(np.mean(factor == b))))
    return total


def test_dcimig_takes_the_largest_gap_of_the_codes_of_a_factor() -> None:
    factors = FactorGrid((2, 2, 2)).all_factors()
    codes = np.stack([factors[:, 0], 2 * factors[:, 0] + factors[:, 1], factors[:, 1]], axis=1).astype(np.float64)
    # Code 0 is factor 0, code 2 is factor 1; code 1 knows both equally; nobody knows factor 2.
    result = dcimig(codes, factors)
    assert result.gap_K == pytest.approx([log(2), log(2), 0.0])
    assert result.scores()["dcimig"] == pytest.approx(2 / 3)


@settings(max_examples=20)
@given(seed=integers(0, 2**32 - 1), order=permutations(range(3)), columns=permutations(range(2)))
def test_scores_do_not_depend_on_the_order_of_codes_and_factors(
    seed: int, order: list[int], columns: list[int]
) -> None:
    codes, factors = noisy(seed)
    for word in WORDS:
        expected = score(word, codes, factors)
        assert score(word, codes[:, order], factors[:, columns]) == pytest.approx(expected, abs=1e-9), word


@settings(max_examples=20)
@given(seed=integers(0, 2**32 - 1), names=permutations(range(4)))
def test_scores_do_not_depend_on_what_values_of_a_few_are_called(seed: int, names: list[int]) -> None:
    codes, factors = noisy(seed)  # four values fall into four of ten bins, whatever they are called
    for word in WORDS:
        expected = score(word, codes, factors)
        assert score(word, codes, np.array(names)[factors]) == pytest.approx(expected, abs=1e-9), word


@settings(max_examples=20)
@given(seed=integers(0, 2**32 - 1))
def test_scores_lie_between_zero_and_one_and_dead_codes_change_none(seed: int) -> None:
    codes, factors = noisy(seed)
    with_dead = np.hstack([codes, np.full((60, 2), 7.0)])
    for word in WORDS:
        alive = score(word, codes, factors)
        assert -1e-9 <= alive <= 1 + 1e-9, word
        assert score(word, with_dead, factors) == pytest.approx(alive, abs=1e-9), word


def test_dead_codes_are_counted() -> None:
    codes = np.hstack([TOY_CODES, np.ones((4, 1))])
    for result in (migsup(codes, TOY_FACTORS), mig_ubisoft(codes, TOY_FACTORS), modularity_ubisoft(codes, TOY_FACTORS)):
        assert result.scores()["num_constant_codes"] == 1.0


def test_a_lone_code_that_varies_leads_by_all_it_knows() -> None:
    codes = np.stack([TOY_FACTORS[:, 0], np.zeros(4)], axis=1).astype(np.float64)
    assert mig_ubisoft(codes, TOY_FACTORS).terms == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize("word", WORDS)
def test_what_cannot_be_scored_is_said(word: str) -> None:
    assert "all 2 codes are constant" in failure(word, np.ones((4, 2)), TOY_FACTORS)
    assert "factors[:, 0] is 0 at every point" in failure(word, TOY_CODES, np.array([[0, 1]] * 4))
    bad = TOY_CODES.copy()
    bad[2, 1] = np.nan
    assert "codes[:, 1] is nan at row 2" in failure(word, bad, TOY_FACTORS)


@pytest.mark.parametrize("word", ["migsup", "migsup_ubisoft", "dcimig", "modularity_ubisoft"])
def test_a_single_factor_has_no_second(word: str) -> None:
    assert f"{word} compares factors" in failure(word, TOY_CODES, TOY_FACTORS[:, :1])


@pytest.mark.parametrize("word", ["mig_ubisoft", "jemmig"])
def test_a_single_code_has_no_second(word: str) -> None:
    assert f"{word} compares codes" in failure(word, TOY_CODES[:, :1], TOY_FACTORS)


# ------------------------------------------------------------------------------------------------------------ bins


def test_bins_are_closed_on_the_left_and_the_largest_value_is_in_the_last() -> None:
    column = np.array([0.0, 0.19, 0.2, 0.5, 0.99, 1.0])[:, None]
    assert review_bins(column, 5)[:, 0].tolist() == [1, 1, 2, 3, 5, 5]


def test_a_column_that_hardly_changes_has_one_bin() -> None:
    assert len(np.unique(review_bins(np.array([[1.0], [1.0 + 1e-16], [1.0]]), 10))) == 1


def test_many_values_are_merged_where_factors_are_continuous() -> None:
    factors = FactorGrid((40, 2)).all_factors()
    codes = factors.astype(np.float64)
    assert dcimig(codes, factors).scores()["dcimig"] == pytest.approx(1.0)
    as_they_are = dcimig(codes, factors, continuous_factors=False).scores()["dcimig"]
    assert as_they_are == pytest.approx((log(10) + log(2)) / (log(40) + log(2)))
