from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, permutations
from numpy.random import RandomState

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes, Factors, Points
from disentanglement.metrics.scores.z_variance import Vote, ZVarianceResult, z_variance

GRID: Factors = np.indices((3, 4, 2)).reshape(3, -1).T.repeat(4, axis=0)
"""Every combination of three factors, four times."""
BOTH = pytest.mark.parametrize("vote", ["min", "max"])


def scored(codes: Codes, factors: Factors, vote: Vote, *, seed: int = 0, threshold: float = 0.02) -> ZVarianceResult:
    """Small and quick."""
    return z_variance(
        codes,
        factors,
        vote=vote,
        random_state=RandomState(seed),
        num_train=30,
        num_eval=20,
        batch_size=8,
        prune_threshold=threshold,
    )


def noisy(seed: int) -> Points:
    rng = np.random.default_rng(seed)
    return Points(GRID @ rng.normal(size=(3, 4)) + rng.normal(size=(len(GRID), 4)), GRID)


@BOTH
def test_codes_that_copy_factors_never_err(vote: Vote) -> None:
    result = scored(GRID[:, [1, 2, 0]].astype(float), GRID, vote)
    owners = result.train_votes_KD > 0
    assert owners.tolist() == [[False, False, True], [True, False, False], [False, True, False]]
    assert result.scores() == {"train_accuracy": 1.0, "eval_accuracy": 1.0, "num_active_codes": 3.0}


def test_the_vote_is_of_the_least_varying_code_at_a_fixed_value_and_of_the_most_varying_at_fixed_others() -> None:
    factors = np.array([[0, 0], [0, 0], [0, 1], [0, 1], [1, 0], [1, 0], [1, 1], [1, 1]])
    steady = factors[:, 0] + np.tile([0.0, 0.1], 4)  # follows factor 0
    loose = factors[:, 1] * 0.5 + np.tile([0.0, 2.0], 4)  # follows factor 1 a little, else varies by itself
    codes = np.stack([steady, loose], axis=1)
    for vote in ("min", "max"):
        result = z_variance(
            codes, factors, vote=vote, random_state=RandomState(0), num_train=40, num_eval=40, batch_size=4
        )
        # Of its whole variance code 0 keeps 1 % where factor 0 is fixed, and all where factor 1 is; code 1 keeps all
        # and 94 %. So the least at a fixed factor is its own code's, and the most where only that factor varies.
        assert result.scores()["eval_accuracy"] == 1.0
        assert (result.train_votes_KD > 0).tolist() == [[True, False], [False, True]]


@given(seed=integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_accuracy_is_0_for_one_factors_vote_and_1_at_most(seed: int) -> None:
    for vote in ("min", "max"):
        result = scored(noisy(seed).codes_ND, GRID, vote, seed=seed)
        assert (result.train_votes_KD.sum(), result.eval_votes_KD.sum()) == (30, 20)
        assert 0.0 <= result.scores()["train_accuracy"] <= 1.0  # a majority is right in a third at least
        assert -0.5 <= result.scores()["eval_accuracy"] <= 1.0


def test_the_accuracy_is_beyond_guessing() -> None:
    votes = np.array([[3, 0], [1, 4]])
    scores = ZVarianceResult(np.array([True, True]), votes, votes[::-1]).scores()
    assert scores["train_accuracy"] == pytest.approx((7 / 8 - 1 / 2) / (1 / 2))
    assert scores["eval_accuracy"] == pytest.approx((1 / 8 - 1 / 2) / (1 / 2))  # below 0: worse than guessing


@BOTH
@given(seed=integers(0, 2**32 - 1), order=permutations(range(4)), power=integers(-3, 3), shift=integers(-4, 4))
@settings(max_examples=20)
def test_order_and_scale_of_codes_do_not_matter(
    vote: Vote, seed: int, order: list[int], power: int, shift: int
) -> None:
    points = noisy(seed)
    moved = scored(2.0**power * points.codes_ND[:, order], GRID, vote, threshold=0.0)
    before = scored(points.codes_ND, GRID, vote, threshold=0.0)
    assert (moved.train_votes_KD == before.train_votes_KD[:, order]).all()
    relabelled = scored(points.codes_ND, GRID * 2 + shift, vote, threshold=0.0)  # bins are of the range
    assert relabelled.scores() == before.scores()


@BOTH
def test_codes_below_the_threshold_do_not_vote_and_positions_count_the_others(vote: Vote) -> None:
    codes = np.column_stack([np.full(len(GRID), 2.0), 0.001 * GRID[:, 0], GRID[:, [0, 1, 2]]])
    result = scored(codes, GRID, vote)
    assert result.active_D.tolist() == [False, False, True, True, True]
    assert result.train_votes_KD[:, 3:].sum() == 0
    assert result.scores()["num_active_codes"] == 3.0
    assert result.scores()["eval_accuracy"] == 1.0


@BOTH
def test_a_constant_code_does_not_vote_even_at_threshold_zero(vote: Vote) -> None:
    codes = np.column_stack([np.full(len(GRID), 2.0), GRID])
    assert scored(codes, GRID, vote, threshold=0.0).active_D.tolist() == [False, True, True, True]


def test_factors_are_cut_into_bins_unless_told_otherwise() -> None:
    factors = np.stack([np.arange(40), np.arange(40) % 2], axis=1)
    codes = factors.astype(float)
    assert scored(codes, factors, "min").scores()["eval_accuracy"] == 1.0
    with pytest.raises(MetricUndefined, match=r"factors\[:, 0\]: no two rows share that factor; try fewer bins"):
        z_variance(codes, factors, vote="min", random_state=RandomState(0), num_bins=None)
    with pytest.raises(MetricUndefined, match=r"factors\[:, 1\]: no two rows share all factors but that one"):
        z_variance(codes, factors, vote="max", random_state=RandomState(0), num_bins=None)


@BOTH
def test_it_repeats_from_its_seed(vote: Vote) -> None:
    codes = noisy(1).codes_ND
    first, again, other = (scored(codes, GRID, vote, seed=seed) for seed in (3, 3, 4))
    assert (first.train_votes_KD == again.train_votes_KD).all()
    assert (first.train_votes_KD != other.train_votes_KD).any()


@BOTH
def test_what_has_no_value_says_which_column_is_to_blame(vote: Vote) -> None:
    codes = GRID.astype(float)
    with pytest.raises(MetricUndefined, match=rf"z_{vote}_variance: no code has a standard deviation of 0.02 or more"):
        scored(0.0001 * codes, GRID, vote)
    with pytest.raises(MetricUndefined, match=r"factors\[:, 1\] is 0 at every point"):
        scored(codes, GRID * np.array([1, 0, 1]), vote)
    with pytest.raises(MetricUndefined, match="wanted 2 columns of factors or more, got 1"):
        scored(codes, GRID[:, :1], vote)
    with pytest.raises(MetricUndefined, match=r"codes\[:, 1\] is nan"):
        scored(np.where(codes == 3, np.nan, codes), GRID, vote)


def test_one_code_and_float32_codes_are_scored() -> None:
    single = scored(GRID[:, :1].astype(np.float32), GRID, "min")
    assert single.scores()["num_active_codes"] == 1.0
    assert single.train_votes_KD.shape == (3, 1)
