from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, permutations

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.arrays import FixedFactorVariances
from disentanglement.metrics.scores.factor_vae_score import (
    FactorVaeScoreResult,
    active_codes,
    factor_vae_score,
    without_active_codes,
)

WHOLE = np.ones(3)
TRAIN = FixedFactorVariances(
    factor_M=np.array([0, 0, 1, 1, 1]),
    variance_MD=np.array([[0.1, 1, 1], [0.1, 1, 1], [1, 1, 0.1], [1, 1, 0.1], [0.1, 1, 1]]),
)
EVALUATION = FixedFactorVariances(
    factor_M=np.array([0, 1, 1]), variance_MD=np.array([[1, 1, 0.1], [1, 1, 0.1], [1, 0.1, 1]])
)


def random_batches(seed: int, num: int = 20) -> FixedFactorVariances:
    rng = np.random.default_rng(seed)
    return FixedFactorVariances(rng.integers(0, 2, size=num), rng.uniform(0.1, 2.0, size=(num, 3)))


def score(variance: list[float], train: FixedFactorVariances, **options: float) -> FactorVaeScoreResult:
    return factor_vae_score(np.array(variance), train, train, num_factors=2, **options)


def test_votes_and_accuracies_are_worked_out_by_hand() -> None:
    result = factor_vae_score(WHOLE, TRAIN, EVALUATION, num_factors=2)
    assert result.train_votes_KD.tolist() == [[2, 0, 0], [1, 0, 2]]
    assert result.eval_votes_KD.tolist() == [[0, 0, 1], [0, 1, 1]]
    # Learned: code 0 stands for factor 0 and code 2 for factor 1; code 1 never voted, the first factor is its default.
    assert result.scores() == {
        "train_accuracy": pytest.approx(4 / 5),
        "eval_accuracy": pytest.approx(1 / 3),
        "num_active_dims": 3.0,
    }


def test_a_variance_is_judged_in_units_of_the_whole_data_sets() -> None:
    batches = FixedFactorVariances(np.array([1]), np.array([[0.5, 0.6, 10.0]]))
    assert score([0.5, 1.0, 100.0], batches).train_votes_KD.tolist() == [[0, 0, 0], [0, 0, 1]]


def test_a_column_of_votes_counts_positions_among_the_active_codes() -> None:
    batches = FixedFactorVariances(np.array([0, 1]), np.array([[0.0, 0.1, 0.9], [0.0, 0.9, 0.1]]))
    result = score([1e-4, 1.0, 1.0], batches, prune_threshold=0.05)
    assert result.active_D.tolist() == [False, True, True]
    assert result.train_votes_KD.tolist() == [[1, 0, 0], [0, 1, 0]]  # codes 1 and 2 are the first and second active


def test_all_codes_are_counted_as_active_though_one_is_pruned() -> None:
    batches = FixedFactorVariances(np.array([1]), np.array([[0.0, 0.9, 0.1]]))
    assert score([1e-4, 1.0, 1.0], batches).scores()["num_active_dims"] == 3.0


def test_a_standard_deviation_at_the_threshold_is_active() -> None:
    assert active_codes(np.array([0.25, 0.2499, 0.0]), 0.5).tolist() == [True, False, False]


def test_with_threshold_zero_a_constant_code_takes_every_vote() -> None:
    batches = FixedFactorVariances(np.array([0, 1]), np.array([[0.1, 0.0, 0.5], [0.1, 0.0, 0.5]]))
    result = score([1.0, 0.0, 1.0], batches, prune_threshold=0.0)
    assert result.train_votes_KD.tolist() == [[0, 1, 0], [0, 1, 0]]


def test_without_an_active_code_all_scores_are_zero() -> None:
    zero = {"train_accuracy": 0.0, "eval_accuracy": 0.0, "num_active_dims": 0.0}
    assert score([1e-4, 0.0, 0.0], TRAIN).scores() == zero
    assert without_active_codes(num_codes=3, num_factors=2).scores() == zero


@given(seed=integers(0, 2**32 - 1), order=permutations(range(3)), scale=floats(0.5, 2))
def test_order_and_scale_of_codes_do_not_matter(seed: int, order: list[int], scale: float) -> None:
    batches = random_batches(seed)
    moved = FixedFactorVariances(batches.factor_M, scale * batches.variance_MD[:, order])
    whole = np.array([1.0, 2.0, 0.5])
    before = factor_vae_score(whole, batches, batches, num_factors=2)
    after = factor_vae_score(scale * whole[order], moved, moved, num_factors=2)
    assert after.scores() == before.scores()
    assert (after.train_votes_KD == before.train_votes_KD[:, order]).all()


@given(train=integers(0, 2**32 - 1), evaluation=integers(0, 2**32 - 1))
def test_every_vote_counts_once_and_training_beats_the_majority(train: int, evaluation: int) -> None:
    result = factor_vae_score(WHOLE, random_batches(train), random_batches(evaluation, 7), num_factors=2)
    assert (result.train_votes_KD.sum(), result.eval_votes_KD.sum()) == (20, 7)
    scores = result.scores()
    assert 0.5 <= scores["train_accuracy"] <= 1.0
    assert 0.0 <= scores["eval_accuracy"] <= 1.0


def test_a_variance_that_is_not_finite_names_its_code() -> None:
    with pytest.raises(MetricUndefined, match=r"variance of codes\[:, 1\] is nan"):
        score([1.0, np.nan, 1.0], TRAIN)
    broken = FixedFactorVariances(np.array([0]), np.array([[1.0, 1.0, np.inf]]))
    with pytest.raises(MetricUndefined, match=r"variance of codes at a fixed factor\[:, 2\] is inf"):
        score([1.0, 1.0, 1.0], broken)


def test_variances_of_another_width_are_a_spec_error() -> None:
    with pytest.raises(SpecError, match=r"variances\.shape"):
        score([1.0, 1.0], TRAIN)
