from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, permutations
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.sampling.pairs import CodePairs
from disentanglement.metrics.scores.omes import OmesResult, Pooling, omes

UP = np.array([0.0, 1.0, 2.0, 3.0])
ACROSS = np.array([1.0, -1.0, -1.0, 1.0])
"""Uncorrelated with UP."""
HALF = UP - 1.5 + ACROSS * np.sqrt(15.0) / 2
"""Has the correlation 0.5 with UP: squares of UP about its mean sum to 5, of the other part to 15."""


def score(pairs: list[CodePairs], **options: float | str) -> OmesResult:
    codes = np.concatenate([of_factor.first_PD for of_factor in pairs])
    pooling = cast("Pooling", options.pop("pooling", "avg"))
    numbers = cast("dict[str, float]", options)
    return omes(codes, pairs, random_state=RandomState(0), pooling=pooling, **numbers)


def by_hand() -> list[CodePairs]:
    """What changes [2 codes, 2 factors]: [[1, 0.5], [0, 1]]."""
    first = np.stack([UP, UP], axis=1)
    return [CodePairs(first, np.stack([ACROSS, -UP], axis=1)), CodePairs(first, np.stack([HALF, ACROSS], axis=1))]


def random_pairs(seed: int, num_codes: int = 4) -> list[CodePairs]:
    rng = np.random.default_rng(seed)

    def correlated(first: NDArray[np.float64]) -> NDArray[np.float64]:
        return first * rng.normal(size=num_codes) + rng.normal(size=first.shape)

    firsts = rng.normal(size=(3, 12, num_codes))
    return [CodePairs(first, correlated(first)) for first in firsts]


def test_parts_and_scores_are_worked_out_by_hand() -> None:
    result = score(by_hand(), pooling="max", alpha=0.25)
    assert result.changed_AK.tolist() == [[1.0, 0.5], [0.0, 1.0]]
    # Overlap: code 0 is at (0 + 0.5) / 2 from factor 0 alone, (1 + 0.5) / 2 from factor 1 alone; code 1 at 1 and 0.
    # Encoding: factor 0 is at 0 from code 0 alone, factor 1 at (0.5 + 1) / 2 from it and (0.5 + 0) / 2 from code 1.
    assert result.overlap_K.tolist() == [0.75, 1.0]
    assert result.encoding_K.tolist() == [1.0, 0.75]
    assert result.scores() == {"omes": 0.875, "overlap": 0.875, "multiple_encoding": 0.875, "num_active_codes": 2.0}
    assert result.score_of_factors.tolist() == [0.25 * 0.75 + 0.75, 0.25 + 0.75 * 0.75]


def test_average_pooling_weighs_codes_by_what_changes_them_twice() -> None:
    result = score(by_hand(), pooling="avg")
    assert result.overlap_K.tolist() == pytest.approx([0.75, (0.25 * 0.5**2 + 1.0) / 1.5])
    assert result.encoding_K.tolist() == pytest.approx([1.0, (0.25 * 0.5**2 + 0.75) / 1.5])


def test_a_perfect_code_of_a_binary_factor_scores_nothing_as_in_the_reference() -> None:
    """In a pair the two values of a code that copies the factor are always each other's opposite."""
    factor = np.tile([[0.0], [1.0]], (3, 1))
    pairs = [CodePairs(factor, 1.0 - factor)]
    assert score(pairs, pooling="max").scores()["omes"] == 0.0
    with pytest.raises(MetricUndefined, match="omes with pooling avg: factor 0 changes no code"):
        score(pairs, pooling="avg")


@given(
    seed=integers(0, 2**32 - 1),
    order=permutations(range(4)),
    factor_order=permutations(range(3)),
    scale=floats(1, 10),
    pooling=integers(0, 1),
)
def test_order_sign_shift_and_larger_scale_of_codes_do_not_matter(
    seed: int, order: list[int], factor_order: list[int], scale: float, pooling: int
) -> None:
    pairs = random_pairs(seed)
    moved = [CodePairs(*(3.0 - scale * codes_PD[:, order] for codes_PD in pairs[factor])) for factor in factor_order]
    word = ("max", "avg")[pooling]
    before, after = score(pairs, pooling=word), score(moved, pooling=word)
    assert after.changed_AK == pytest.approx(before.changed_AK[order][:, factor_order], abs=1.01e-4)  # rounded
    assert after.scores() == pytest.approx(before.scores(), abs=5e-4)


@given(seed=integers(0, 2**32 - 1), alpha=floats(0, 1))
def test_scores_lie_in_0_to_1_and_alpha_mixes_the_parts(seed: int, alpha: float) -> None:
    scores = score(random_pairs(seed), alpha=alpha).scores()
    assert 0.0 <= scores["omes"] <= 1.0
    mixed = alpha * scores["overlap"] + (1 - alpha) * scores["multiple_encoding"]
    assert scores["omes"] == pytest.approx(mixed, abs=1.01e-4)


def test_codes_of_small_scale_are_not_counted() -> None:
    pairs = by_hand()
    small = [CodePairs(*(codes_PD * [1.0, 0.01] for codes_PD in of_factor)) for of_factor in pairs]
    result = score(small)
    assert result.active_D.tolist() == [True, False]
    assert result.changed_AK.tolist() == [[1.0, 0.5]]
    assert score(small, min_std=0.001).changed_AK.tolist() == [[1.0, 0.5], [0.0, 1.0]]


def test_what_has_no_value_says_what_is_to_blame() -> None:
    pairs = by_hand()
    with pytest.raises(MetricUndefined, match=r"no code has a standard deviation of 0\.05 or more"):
        omes(np.ones((5, 2)), pairs, random_state=RandomState(0))
    constant = [pairs[0], CodePairs(pairs[1].first_PD, np.stack([HALF, np.full(4, 2.0)], axis=1))]
    with pytest.raises(MetricUndefined, match=r"codes\[:, 1\] never changes over the pairs that differ in factor 1"):
        score(constant)
    broken = [CodePairs(pairs[0].first_PD, np.full((4, 2), np.nan))]
    with pytest.raises(MetricUndefined, match=r"codes of pairs for factor 0\[:, 0\] is nan"):
        score(broken)
    with pytest.raises(MetricUndefined, match=r"codes\[:, 0\] is inf"):
        omes(np.full((5, 2), np.inf), pairs, random_state=RandomState(0))
    with pytest.raises(SpecError, match="alpha"):
        score(pairs, alpha=1.5)
