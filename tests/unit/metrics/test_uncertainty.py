"""Errors against the spread of scores over many samples, and against formulas where there are any."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest import approx

from disentanglement.metrics import evaluate_metric, mig
from disentanglement.metrics.arrays import Codes, Points
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.sampling.points import FactorGrid, GridRepresentation
from disentanglement.metrics.scores.factor_vae_score import FactorVaeScoreResult
from disentanglement.metrics.scoring import score_metric
from disentanglement.metrics.statistics.information import entropies, mutual_information
from disentanglement.metrics.uncertainty import _resampled_information, of_share, with_standard_errors
from disentanglement.specs.metrics import Dci, FactorVaeScore, MetricSpec, Mig, ModularityExplicitness, SapScore

GRID = FactorGrid((3, 4, 5))
RNG = np.random.default_rng(0)
CODES = (GRID.all_factors() @ RNG.normal(size=(3, 4)) + RNG.normal(size=(60, 4))).astype(np.float64)


def noisy(seed: int) -> GridRepresentation:
    """A representation of endless different points."""
    return GridRepresentation(GRID, CODES, np.full_like(CODES, 0.5), np.random.default_rng(seed))


SPECS = {
    "discrete_mig": MetricSpec(mig=Mig(num_train=400)),
    "SAP_score": MetricSpec(sap_score=SapScore(num_train=400, num_test=400, continuous_factors=True)),
    "modularity_score": MetricSpec(modularity_explicitness=ModularityExplicitness(num_train=400, num_test=50)),
}


@pytest.mark.parametrize("key", SPECS)
def test_errors_are_about_the_spread_of_scores_over_fresh_samples(key: str) -> None:
    """Within a half of it: bins stay as they are, and the spread itself is known from 40 samples, to a ninth."""
    spec = SPECS[key]
    spread = np.std([evaluate_metric(spec, noisy(seed), seed).scores()[key] for seed in range(40)], ddof=1)
    scores = with_standard_errors(spec, evaluate_metric(spec, noisy(0), 0), noisy(0), 0)
    assert list(scores)[:2] == [key, f"{key}.standard_error"]
    assert 0.5 * spread < scores[f"{key}.standard_error"] < 1.5 * spread


def test_a_replicates_information_is_that_of_the_points_drawn() -> None:
    rng = np.random.default_rng(1)
    bins, factors = rng.integers(1, 5, size=(50, 2)), rng.integers(-1, 3, size=(50, 3))
    drawn = np.random.default_rng(2).integers(50, size=50)
    information, entropy = next(_resampled_information(bins, factors, np.random.default_rng(2)))
    assert information == approx(mutual_information(bins[drawn], factors[drawn]), abs=1e-12)
    assert entropy == approx(entropies(factors[drawn]), abs=1e-12)


def test_the_error_of_a_share_is_that_of_a_proportion() -> None:
    assert of_share(0.8, 100) == approx(0.04)
    votes: NDArray[np.int64] = np.array([[75, 5], [5, 15]])
    result = FactorVaeScoreResult(np.array([True, True]), votes, votes)
    spec = MetricSpec(factor_vae_score=FactorVaeScore())
    scores = with_standard_errors(spec, result, noisy(0), 0)
    assert scores["eval_accuracy.standard_error"] == approx(0.03)  # 0.9 of 100 votes
    assert [name for name in scores if name.endswith("standard_error")] == ["eval_accuracy.standard_error"]


def test_accuracies_of_support_vector_machines_spread_with_the_test_points() -> None:
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 2, size=(800, 1))
    codes = np.hstack([factors + 0.8 * rng.normal(size=(800, 1)), rng.normal(size=(800, 1))])
    own = OwnArrays(Points(codes[:400], factors[:400]), Points(codes[400:], factors[400:]))
    spec = MetricSpec(sap_score=SapScore())
    result = score_metric(spec, own, 0)
    scores = with_standard_errors(spec, result, own, 0)
    best, second = result.prediction_DK[:, 0]  # type: ignore[attr-defined]
    of_difference = np.sqrt((best * (1 - best) + second * (1 - second)) / 400)  # the codes are independent
    assert scores["SAP_score.standard_error"] == approx(of_difference, rel=0.25)


def test_errors_shrink_with_the_square_root_of_the_number_of_points_and_repeat() -> None:
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 4, size=(4000, 2))
    codes = factors + rng.normal(size=(4000, 2))
    spec, errors = MetricSpec(mig=Mig()), []
    for num in (250, 4000, 4000):
        own = OwnArrays(Points(codes[:num], factors[:num]))
        errors.append(
            with_standard_errors(spec, mig(codes[:num], factors[:num]), own, 3)["discrete_mig.standard_error"]
        )
    assert errors[1] == errors[2]
    assert errors[0] / errors[1] == approx(4.0, rel=0.4)


def test_scores_are_the_same_with_errors_and_without() -> None:
    for spec in SPECS.values():
        result = evaluate_metric(spec, noisy(4), 4)
        scores = with_standard_errors(spec, result, noisy(4), 4)
        assert {key: scores[key] for key in result.scores()} == result.scores()


def test_the_points_of_an_error_are_those_of_the_score() -> None:
    drawn: list[int] = []

    class Watched(GridRepresentation):
        def codes_of(self, rows_N: NDArray[np.int64]) -> Codes:
            drawn.append(hash(rows_N.tobytes()))
            return super().codes_of(rows_N)

    shown = Watched(GRID, CODES)
    spec = MetricSpec(sap_score=SapScore(num_train=60, num_test=30))
    with_standard_errors(spec, evaluate_metric(spec, shown, 1), shown, 1)
    assert len(drawn) == 4
    assert drawn[:2] == drawn[2:]


def test_the_error_of_informativeness_takes_whole_points() -> None:
    rng = np.random.default_rng(0)
    factors = np.repeat(rng.integers(0, 2, size=(300, 1)), 2, axis=1)  # the same factor twice: right or wrong together
    codes = factors + 0.7 * rng.normal(size=(300, 2))
    own = OwnArrays(Points(codes[:200], factors[:200]), Points(codes[200:], factors[200:]))
    spec = MetricSpec(dci=Dci())
    scores = with_standard_errors(spec, score_metric(spec, own, 0), own, 0)
    assert [key for key in scores if key.endswith("error")] == ["informativeness_test.standard_error"]
    of_one_factor = of_share(scores["informativeness_test"], 100)
    assert 0.85 * of_one_factor < scores["informativeness_test.standard_error"] <= 1.001 * of_one_factor
