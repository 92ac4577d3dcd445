from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState

from disentanglement.errors import MetricUndefined
from disentanglement.metrics import score_arrays
from disentanglement.metrics.arrays import Points
from disentanglement.metrics.sampling.points import FactorGrid
from disentanglement.metrics.scores.fairness import Intervention, aggregated, fairness, inter_group_fairness
from disentanglement.specs.metrics import Fairness, MetricSpec

GRID = FactorGrid((2, 3)).all_factors()
POINTS = Points(np.tile(GRID, (5, 1)).astype(np.float64), np.tile(GRID, (5, 1)))


def test_unfairness_of_counts_by_hand() -> None:
    mean, largest = inter_group_fairness(np.array([[0, 100], [100, 100]]))
    # A third of all predictions is 0: none of the first group's, half of the second's, which is twice as large.
    assert [mean, largest] == pytest.approx([2 / 9, 1 / 3], abs=1e-7)
    assert inter_group_fairness(np.array([[5], [2]])) == (0.0, 0.0)
    with pytest.raises(MetricUndefined, match="none for 1"):
        inter_group_fairness(np.array([[1, 0], [1, 0]]))


def test_aggregations_are_those_of_the_references_own_test() -> None:
    matrix = np.array([[0.0, 2, 4], [4, 0, 8], [2, 10, 0]])
    assert aggregated(matrix, "test") == pytest.approx(
        {
            "test:pred0:sens1": 2, "test:pred0:sens2": 4, "test:pred1:sens0": 4,
            "test:pred1:sens2": 8, "test:pred2:sens0": 2, "test:pred2:sens1": 10,
            "test:pred0:mean_sens": 3, "test:pred0:max_sens": 4, "test:pred1:mean_sens": 6,
            "test:pred1:max_sens": 8, "test:pred2:mean_sens": 6, "test:pred2:max_sens": 10,
            "test:sens0:mean_pred": 3, "test:sens0:max_pred": 4, "test:sens1:mean_pred": 6,
            "test:sens1:max_pred": 10, "test:sens2:mean_pred": 6, "test:sens2:max_pred": 8,
            "test:mean_sens:mean_pred": 5, "test:mean_sens:max_pred": 22 / 3,
            "test:max_sens:mean_pred": 6, "test:max_sens:max_pred": 10,
            "test:mean_pred:mean_sens": 5, "test:mean_pred:max_sens": 22 / 3,
            "test:max_pred:mean_sens": 6, "test:max_pred:max_sens": 10,
        }
    )  # fmt: skip


def test_a_prediction_that_follows_the_sensitive_factor_is_unfair_and_one_that_ignores_it_is_not() -> None:
    follows = np.array([[[0.0, 0.0]] * 4, [[1.0, 0.0]] * 4, [[1.0, 0.0]] * 4])  # the first code is the target
    ignores = np.zeros((2, 4, 2))
    result = fairness(
        POINTS,
        [Intervention(0, 1, follows), Intervention(1, 0, ignores)],
        factor_sizes=(2, 3),
        random_state=RandomState(0),
    )
    # One third of predictions is 0: the first value is 2/3 away, the others 1/3.
    assert result.mean_IJ[0, 1] == pytest.approx(4 / 9, abs=1e-7)
    assert result.max_IJ[0, 1] == pytest.approx(2 / 3, abs=1e-7)
    assert result.mean_IJ[1, 0] == result.max_IJ[1, 0] == 0.0


def test_codes_that_copy_factors_are_fair_and_the_whole_grid_can_be_brought() -> None:
    spec = MetricSpec(fairness=Fairness(num_train=60, num_test_points_per_class=10))
    scores = score_arrays(GRID.astype(np.float64), GRID, metrics=[spec])["fairness"]
    assert isinstance(scores, dict)
    assert set(scores.values()) == {0.0}
    assert len(scores) == 2 * (2 * 1 + 4 * 2 + 8)


def test_a_single_factor_and_one_of_a_single_value_are_named() -> None:
    for columns, message in ((slice(0, 1), "needs a sensitive factor"), (slice(None), r"factors\[:, 1\] is 0")):
        factors_NK = (POINTS.factors_NK * np.array([1, 0]))[:, columns]
        with pytest.raises(MetricUndefined, match=message):
            fairness(Points(POINTS.codes_ND, factors_NK), [], factor_sizes=(2, 3), random_state=RandomState(0))
