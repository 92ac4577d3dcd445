from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from disentanglement.datasets.factor_space import FactorSpace
from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics import evaluate_metric, score_arrays
from disentanglement.metrics.arrays import Factors
from disentanglement.metrics.sampling.paired_batches import draw_paired_batches
from disentanglement.metrics.sampling.points import FactorGrid, GridRepresentation
from disentanglement.metrics.scores.beta_vae_score import (
    SharedFactorDifferences,
    beta_vae_score,
    differences_at_shared_factors,
)
from disentanglement.specs.metrics import BetaVaeSklearn, MetricSpec

GRID = FactorGrid((3, 4, 2))
CODES = GRID.all_factors().astype(np.float64)


@dataclass(frozen=True)
class OneByOne:
    """The grid, which may observe each point with noise, drawn without knowing that it is one."""

    num_noise_values: int
    factor_sizes: tuple[int, ...] = GRID.factor_sizes

    def sample_factors(self, num: int, rs: RandomState) -> Factors:
        return GRID.sample_factors(num, rs)

    def rows(self, factors_NK: Factors, rs: RandomState) -> NDArray[np.int64]:
        rows: NDArray[np.int64] = GRID.rows(factors_NK, rs) * self.num_noise_values
        return rows + rs.randint(self.num_noise_values, size=len(factors_NK))


def random_points(seed: int, num: int = 60) -> SharedFactorDifferences:
    rng = np.random.default_rng(seed)
    factor = np.append([0, 1, 2], rng.integers(0, 3, num - 3))
    return SharedFactorDifferences(factor, np.abs(rng.normal(size=(num, 4)) + 0.7 * np.eye(3, 4)[factor]))


def test_codes_that_copy_factors_tell_the_shared_one() -> None:
    spec = MetricSpec(beta_vae_sklearn=BetaVaeSklearn(num_train=200, num_eval=100, batch_size=16))
    scores = evaluate_metric(spec, GridRepresentation(GRID, CODES), 0).scores()
    assert scores == {"train_accuracy": 1.0, "eval_accuracy": 1.0}


def test_codes_that_never_change_tell_no_more_than_the_commonest_factor() -> None:
    train = SharedFactorDifferences(np.array([0, 1, 1, 2]), np.zeros((4, 2)))
    evaluation = SharedFactorDifferences(np.array([1, 0, 2]), np.zeros((3, 2)))
    assert beta_vae_score(train, evaluation).scores() == {"train_accuracy": 0.5, "eval_accuracy": pytest.approx(1 / 3)}


def test_differences_are_means_over_pairs_that_share_one_factor() -> None:
    points = differences_at_shared_factors(GridRepresentation(GRID, CODES), 40, RandomState(3), 32)
    shared = points.difference_MD[np.arange(40), points.factor_M]
    assert (shared == 0).all()
    assert np.count_nonzero(points.difference_MD == 0) == 40
    assert (points.difference_MD * 32 == np.round(points.difference_MD * 32)).all()


def test_pairs_are_drawn_in_the_references_order() -> None:
    rs, again = RandomState(5), RandomState(5)
    drawn = draw_paired_batches(GRID, 3, 4, rs)
    for pair in range(3):
        factor = again.randint(3)
        first, second = GRID.sample_factors(4, again), GRID.sample_factors(4, again)
        second[:, factor] = first[:, factor]
        assert drawn.factor_M[pair] == factor
        assert (drawn.rows_M2B[pair, 0] == GRID.rows(first, again)).all()
        assert (drawn.rows_M2B[pair, 1] == GRID.rows(second, again)).all()
    assert rs.randint(2**31) == again.randint(2**31)


@pytest.mark.parametrize("num_pairs", [3, 700])  # few are drawn one by one, many by compiled code
def test_pairs_of_a_grid_are_those_of_a_source_that_is_asked_point_by_point(num_pairs: int) -> None:
    rs, again = RandomState(1), RandomState(1)
    drawn = draw_paired_batches(GRID, num_pairs, 2, rs)
    asked = draw_paired_batches(OneByOne(1), num_pairs, 2, again)
    assert (drawn.rows_M2B == asked.rows_M2B).all()
    assert (drawn.factor_M == asked.factor_M).all()
    assert rs.randint(2**31) == again.randint(2**31)


def test_what_observing_draws_is_drawn_after_the_factors_of_both_batches() -> None:
    again = RandomState(2)
    drawn = draw_paired_batches(OneByOne(7), 1, 5, RandomState(2))
    again.randint(3)
    GRID.sample_factors(5, again)
    GRID.sample_factors(5, again)
    assert (drawn.rows_M2B[0, 0] % 7 == again.randint(7, size=5)).all()
    assert (drawn.rows_M2B[0, 1] % 7 == again.randint(7, size=5)).all()


@dataclass(frozen=True)
class Observed:
    """A grid of which some factors are drawn only when a point is observed."""

    space: FactorSpace

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        return self.space.latent_sizes

    def sample_factors(self, num: int, rs: RandomState) -> Factors:
        return self.space.sample_latent(num, rs)

    def rows(self, factors_NK: Factors, rs: RandomState) -> NDArray[np.int64]:
        return self.space.row_of(self.space.complete(factors_NK, rs))


def test_pairs_of_a_grid_with_unscored_factors_are_drawn_as_if_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Observed(FactorSpace(("a", "b", "c", "d"), (3, 4, 2, 5), (2, 0)))
    rs, again = RandomState(4), RandomState(4)
    asked = draw_paired_batches(source, 6, 5, again)
    monkeypatch.setattr("disentanglement.metrics.sampling.paired_batches.uniform_space", lambda each: each.space)
    drawn = draw_paired_batches(source, 6, 5, rs)
    assert (drawn.rows_M2B == asked.rows_M2B).all()
    assert rs.randint(2**31) == again.randint(2**31)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_accuracies_are_those_of_scikit_learn_at_its_optimum(seed: int) -> None:
    train, evaluation = random_points(seed), random_points(seed // 2 + 1)
    model = LogisticRegression(tol=1e-9, max_iter=10_000).fit(train.difference_MD, train.factor_M)
    for points, accuracy in zip((train, evaluation), beta_vae_score(train, evaluation).scores().values(), strict=True):
        expected = model.score(points.difference_MD, points.factor_M)
        assert accuracy == pytest.approx(expected, abs=1.1 / 60)  # a point on the border of two factors


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), order=st.permutations(range(4)), names=st.permutations(range(3)))
def test_the_order_of_codes_and_factors_changes_nothing(seed: int, order: list[int], names: list[int]) -> None:
    train, evaluation = random_points(seed), random_points(seed // 2 + 1)
    changed = [
        SharedFactorDifferences(np.array(names)[p.factor_M], p.difference_MD[:, order]) for p in (train, evaluation)
    ]
    expected = beta_vae_score(train, evaluation).scores()
    assert beta_vae_score(*changed).scores() == pytest.approx(expected, abs=1.1 / 60)


def test_no_number_depends_on_how_many_points_are_looked_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def differences() -> bytes:
        logvar, noise = np.zeros_like(CODES), np.random.default_rng(3)
        points = differences_at_shared_factors(GridRepresentation(GRID, CODES, logvar, noise), 9, RandomState(0), 8)
        return points.difference_MD.tobytes()

    at_once = differences()
    monkeypatch.setattr(sys.modules[differences_at_shared_factors.__module__], "POINTS_PER_GATHER", 40)
    assert differences() == at_once


def test_single_precision_and_one_code_are_scored() -> None:
    representation = GridRepresentation(GRID, CODES[:, :1].astype(np.float32))
    points = differences_at_shared_factors(representation, 100, RandomState(0), 16)
    assert points.difference_MD.dtype == np.float64
    assert 0.3 < beta_vae_score(points, points).train_accuracy < 1.0


def test_own_arrays_are_scored_where_they_are_the_whole_grid() -> None:
    spec = MetricSpec(beta_vae_sklearn=BetaVaeSklearn(num_train=200, num_eval=100, batch_size=16))
    outcomes = score_arrays(CODES, GRID.all_factors(), metrics=[spec])
    assert outcomes["beta_vae_sklearn"] == {"train_accuracy": 1.0, "eval_accuracy": 1.0}
    outcome = score_arrays(CODES[:-1], GRID.all_factors()[:-1], metrics=[spec])["beta_vae_sklearn"]
    assert isinstance(outcome, MetricUndefined)


def test_what_cannot_be_scored_is_named() -> None:
    points = random_points(0)
    with pytest.raises(MetricUndefined, match="training points of 2 factors or more, got 1"):
        beta_vae_score(SharedFactorDifferences(0 * points.factor_M, points.difference_MD), points)
    with pytest.raises(MetricUndefined, match=r"difference of evaluation codes\[:, 2\] is nan at row 0"):
        beta_vae_score(points, SharedFactorDifferences(points.factor_M, points.difference_MD * [1, 1, np.nan, 1]))
    with pytest.raises(SpecError, match=r"differences\.shape"):
        beta_vae_score(points, SharedFactorDifferences(points.factor_M, points.difference_MD[:, :2]))


def test_progress_rises_to_one() -> None:
    shares: list[float] = []
    spec = MetricSpec(beta_vae_sklearn=BetaVaeSklearn(num_train=20, num_eval=10, batch_size=4))
    evaluate_metric(spec, GridRepresentation(GRID, CODES), 0, progress=shares.append)
    assert shares == pytest.approx([2 / 3, 1.0])


@pytest.mark.parametrize(
    ("name", "batch_size", "num_train", "expected"), [("identity", 5, 2000, 1.0), ("linear", 16, 500, 0.702)]
)
def test_the_references_numbers_on_its_identity_data(
    representation: Callable[[str], object], name: str, batch_size: int, num_train: int, expected: float
) -> None:
    spec = BetaVaeSklearn(batch_size=batch_size, num_train=num_train, num_eval=250)
    scores = evaluate_metric(MetricSpec(beta_vae_sklearn=spec), representation(name), 0).scores()  # type: ignore[arg-type]
    assert scores["train_accuracy"] == pytest.approx(expected, abs=0.005)
    if name == "linear":
        assert scores["eval_accuracy"] == pytest.approx(0.684, abs=0.009)
