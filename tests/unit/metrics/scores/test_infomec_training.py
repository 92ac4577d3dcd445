from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from numpy.random import RandomState

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.sampling.points import FactorGrid
from disentanglement.metrics.scores.infomec_training import (
    InfomecTrainingResult,
    infoe_regression,
    infomec_training_bins,
    infomec_training_knn3,
)
from disentanglement.metrics.scores.migsup import migsup

FACTORS = FactorGrid((2, 2)).all_factors()
CODES = np.stack([2 * FACTORS[:, 0] + FACTORS[:, 1], FACTORS[:, 1]], axis=1).astype(np.float64)


def test_ratios_and_gaps_are_worked_out_by_hand() -> None:
    information = np.array([[0.6, 0.2], [0.0, 0.0], [0.1, 0.9]])
    scores = InfomecTrainingResult(information, np.array([True, True, True])).scores()
    assert scores["modularity_ratio"] == pytest.approx(((0.75 + 0.9) / 2 - 1 / 2) / (1 / 2))  # without the second
    assert scores["modularity_gap"] == pytest.approx((0.4 + 0.0 + 0.8) / 3)
    assert scores["compactness_ratio"] == pytest.approx(((6 / 7 + 9 / 11) / 2 - 1 / 3) / (2 / 3))
    assert scores["compactness_gap"] == pytest.approx((0.5 + 0.7) / 2)


def test_the_gap_of_a_factor_counts_inactive_codes_too() -> None:
    information = np.array([[0.6, 0.2], [0.1, 0.9], [0.5, 0.0]])
    scores = InfomecTrainingResult(information, np.array([True, True, False])).scores()
    assert scores["compactness_gap"] == pytest.approx((0.1 + 0.7) / 2)
    assert scores["modularity_gap"] == pytest.approx((0.4 + 0.8) / 2)
    assert scores["num_active_codes"] == 2.0


def test_the_gap_of_codes_is_mig_sup_where_all_are_active() -> None:
    scores = infomec_training_bins(CODES, FACTORS).scores()
    assert scores["modularity_gap"] == pytest.approx(migsup(CODES, FACTORS).scores()["mig_sup"])
    assert scores["modularity_gap"] == pytest.approx(0.5)


def test_a_code_is_active_above_an_eighth_of_the_largest_range() -> None:
    codes = np.linspace(0, 1, 50)[:, None] * np.array([1.0, 0.126, 0.124])
    factors = np.arange(50)[:, None] % 2
    assert infomec_training_bins(codes, factors).active_D.tolist() == [True, True, False]
    by_neighbours = infomec_training_knn3(codes, factors, random_state=RandomState(0))
    assert by_neighbours.active_D.tolist() == [True, True, False]


def test_one_code_and_one_factor_have_nothing_to_compare() -> None:
    scores = infomec_training_bins(CODES[:, :1], FACTORS[:, :1]).scores()
    assert all(isnan(value) for key, value in scores.items() if key != "num_active_codes")


def test_dead_codes_are_said_to_be() -> None:
    with pytest.raises(MetricUndefined, match="none of the codes varies enough"):
        infomec_training_bins(np.ones((4, 2)), FACTORS)
    with pytest.raises(MetricUndefined, match="none of the codes varies enough"):
        infomec_training_knn3(np.ones((4, 2)), FACTORS, random_state=RandomState(0))


def test_regression_explains_factors_that_are_sums_of_codes() -> None:
    assert infoe_regression(CODES, FACTORS).scores()["explicitness_regression"] == pytest.approx(1.0)
    xor = (FACTORS[:, :1] ^ FACTORS[:, 1:]).astype(np.int64)
    assert infoe_regression(CODES, xor).explicitness_K == pytest.approx([0.0], abs=1e-12)
    with pytest.raises(MetricUndefined, match=r"infoe_regression needs factors that vary; factors\[:, 1\]"):
        infoe_regression(CODES, np.stack([FACTORS[:, 0], np.zeros(4, dtype=np.int64)], axis=1))
