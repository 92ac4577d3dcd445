"""The labelled sample of validation metrics: how it is drawn and split, and that the metrics are computed of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined, NotBuiltYet, SpecError
from disentanglement.metrics.arrays import Codes, Factors, Points
from disentanglement.metrics.catalog import evaluate_metric
from disentanglement.metrics.sampling.labelled_points import draw_labelled_points, split_points
from disentanglement.metrics.scores.dci import dci
from disentanglement.metrics.scores.mig import mig
from disentanglement.metrics.scores.sap_score import sap_score_continuous, sap_score_discrete
from disentanglement.metrics.scores.unified_scores import unified_scores
from disentanglement.metrics.scoring import score_arrays
from disentanglement.specs.metrics import MetricSpec, RelationMatrix
from disentanglement.specs.supervision import PERFECT_LABELLER, LabellerSpec

SIZES = (2, 4)
NUM, SEED = 40, 3
METRICS: dict[str, dict[str, Any]] = {
    "mig_validation": {},
    "sap_score_validation": {"train_percentage": 0.6},
    "dci_validation": {"train_percentage": 0.6},
    "unified_score_validation": {"train_percentage": 0.6, "matrix_fns": ["accuracy_svm_matrix"]},
}


class Drawn:
    """Two factors; observing them draws a third, which the code shows too."""

    factor_sizes = SIZES
    num_codes = 3

    def sample_factors(self, num: int, rs: RandomState) -> Factors:
        return np.stack([rs.randint(size, size=num) for size in SIZES], axis=1)

    def rows(self, factors_NK: Factors, rs: RandomState) -> NDArray[np.int64]:
        return np.asarray((factors_NK[:, 0] * 4 + factors_NK[:, 1]) * 3 + rs.randint(3, size=len(factors_NK)))

    def codes_of(self, rows_N: NDArray[np.int64]) -> Codes:
        return np.stack([rows_N // 12 + 0.1 * (rows_N % 3), rows_N // 3 % 4 - 0.2 * (rows_N % 3), rows_N % 5], axis=1)


def by_hand(seed: int = SEED) -> tuple[Factors, Codes, RandomState]:
    """Factors, then observations, from one generator; which is where labels are drawn from next."""
    rs = RandomState(seed)
    factors_NK = np.stack([rs.randint(2, size=NUM), rs.randint(4, size=NUM)], axis=1)
    noise_N = rs.randint(3, size=NUM)
    rows_N = 12 * factors_NK[:, 0] + 3 * factors_NK[:, 1] + noise_N
    return factors_NK, Drawn().codes_of(rows_N), rs


def metric(word: str, **changes: Any) -> MetricSpec:
    return MetricSpec.model_validate({word: {"num_labelled_samples": NUM, **METRICS[word], **changes}})


def expected(word: str, points: Points, train: Points, test: Points) -> dict[str, float]:
    """What the metric says of points that are drawn and split."""
    match word:
        case "mig_validation":
            return mig(points.codes_ND, points.factors_NK).scores()
        case "sap_score_validation":
            return sap_score_discrete(train, test).scores()
        case "dci_validation":
            return dci(train, test, random_state=RandomState(SEED)).scores()
        case _:
            matrices: tuple[RelationMatrix, ...] = ("accuracy_svm_matrix",)
            return unified_scores(train, test, random_state=RandomState(SEED), matrices=matrices).scores()


def test_factors_then_observations_then_labels_are_drawn_from_one_generator() -> None:
    labeller = LabellerSpec.model_validate({"noisy_labeller": {"prob_random": 0.5}})
    points = draw_labelled_points(Drawn(), NUM, labeller, SEED)
    labels_NK, codes_ND, rs = by_hand()
    for label_K in labels_NK:
        for factor, size in enumerate(SIZES):
            if rs.rand() < 0.5:
                label_K[factor] = rs.randint(size)
    assert (points.codes_ND == codes_ND).all()
    assert (points.factors_NK == labels_NK).all()
    assert points.factors_NK.dtype == np.int64


@pytest.mark.parametrize("word", METRICS)
def test_a_validation_metric_is_the_metric_of_the_labelled_points_split_in_their_order(word: str) -> None:
    factors_NK, codes_ND, _ = by_hand()
    points, train, test = (Points(codes_ND[part], factors_NK[part]) for part in (slice(None), slice(24), slice(24, 40)))
    shares: list[float] = []
    scores = evaluate_metric(metric(word), Drawn(), SEED, progress=shares.append).scores()
    assert scores == expected(word, points, train, test)
    assert shares == sorted(shares)


@pytest.mark.parametrize("word", METRICS)
def test_somebodys_own_points_are_the_labelled_ones(word: str) -> None:
    factors_NK, codes_ND, _ = by_hand()
    points = Points(codes_ND, factors_NK)
    train, test = split_points(points, 0.6)
    outcome = score_arrays(codes_ND, factors_NK, metrics=[metric(word)], seed=SEED)[word]
    assert outcome == expected(word, points, train, test)
    with_test = score_arrays(
        train.codes_ND,
        train.factors_NK,
        test_codes=test.codes_ND,
        test_factors=test.factors_NK,
        metrics=[metric(word, train_percentage=0.1) if "train_percentage" in METRICS[word] else metric(word)],
        seed=SEED,
    )[word]
    assert with_test == expected(word, train, train, test)


def test_continuous_factors_are_correlated_in_the_part_that_trains() -> None:
    factors_NK, codes_ND, _ = by_hand()
    spec = metric("sap_score_validation", continuous_factors=True)
    result = sap_score_continuous(codes_ND[:24], factors_NK[:24])
    assert evaluate_metric(spec, Drawn(), SEED).scores() == result.scores()


def test_labels_of_some_factors_are_scored_alone() -> None:
    labeller = {"partial_labeller": {"num_observed_factors": 1}}
    factors_NK, codes_ND, rs = by_hand()
    observed = factors_NK[:, rs.choice(2, size=1, replace=False)]
    scores = evaluate_metric(metric("mig_validation", labeller=labeller), Drawn(), SEED).scores()
    assert scores == mig(codes_ND, observed).scores()
    with pytest.raises(MetricUndefined, match="dci compares factors"):
        evaluate_metric(metric("dci_validation", labeller=labeller), Drawn(), SEED)
    with pytest.raises(SpecError, match="at most 2, got 3"):
        evaluate_metric(
            metric("mig_validation", labeller={"partial_labeller": {"num_observed_factors": 3}}), Drawn(), SEED
        )


def test_a_labeller_of_ones_own_is_not_built_yet() -> None:
    labeller = LabellerSpec.model_validate({"plugin": {"name": "mine"}})
    with pytest.raises(NotBuiltYet, match=r"labeller\.plugin"):
        draw_labelled_points(Drawn(), NUM, labeller, SEED)


@pytest.mark.parametrize(("num", "share", "training"), [(7, 0.5, 4), (10, 0.9, 9), (100, 0.07, 8), (2, 0.1, 1)])
def test_the_first_points_train_rounded_up(num: int, share: float, training: int) -> None:
    points = Points(np.arange(num)[:, None] + 0.0, np.arange(num)[:, None])
    train, test = split_points(points, share)
    assert train.factors_NK.ravel().tolist() == list(range(training))
    assert test.codes_ND.ravel().tolist() == list(range(training, num))


@pytest.mark.parametrize(("num", "share"), [(7, 0.9), (10, 1.0), (10, 0.0), (1, 0.5)])
def test_a_share_that_leaves_no_points_is_refused(num: int, share: float) -> None:
    points = Points(np.zeros((num, 2)), np.zeros((num, 1), np.int64))
    with pytest.raises(SpecError, match=rf"train_percentage: wanted a share of {num} points.*got {share}"):
        split_points(points, share)


def test_equal_seeds_see_equal_samples_and_others_another() -> None:
    first, again, other = (draw_labelled_points(Drawn(), NUM, PERFECT_LABELLER, seed) for seed in (SEED, SEED, 4))
    assert (first.codes_ND == again.codes_ND).all()
    assert (first.factors_NK != other.factors_NK).any()
