from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState

from disentanglement.errors import MetricUndefined
from disentanglement.metrics import evaluate_metric, score_arrays
from disentanglement.metrics.arrays import Points
from disentanglement.metrics.classifiers import Accuracies
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.sampling.points import FactorGrid, GridRepresentation
from disentanglement.metrics.scores.downstream_task import DownstreamTaskResult, downstream_task, own_splits
from disentanglement.metrics.scores.reduced_downstream_task import reduced_downstream_task
from disentanglement.metrics.scores.strong_downstream_task import intervene
from disentanglement.specs.metrics import DownstreamTask, MetricSpec, StrongDownstreamTask

SIZES = (2, 3)
GRID = FactorGrid(SIZES).all_factors()
FACTORS = np.tile(GRID, (6, 1))
COPIES = Points(FACTORS.astype(np.float64), FACTORS)


def test_scores_are_means_and_minima_under_the_references_keys() -> None:
    result = DownstreamTaskResult({10: Accuracies(np.array([1.0, 0.5]), np.array([0.25, 0.5]))})
    assert result.scores() == {
        "10:mean_train_accuracy": 0.75,
        "10:min_train_accuracy": 0.5,
        "10:train_accuracy_factor_0": 1.0,
        "10:train_accuracy_factor_1": 0.5,
        "10:mean_test_accuracy": 0.375,
        "10:min_test_accuracy": 0.25,
        "10:test_accuracy_factor_0": 0.25,
        "10:test_accuracy_factor_1": 0.5,
    }


def test_codes_that_copy_factors_predict_them() -> None:
    result = downstream_task([(COPIES, COPIES)], random_state=RandomState(0))
    assert set(result.scores().values()) == {1.0}


def test_sizes_beyond_the_points_are_all_points_once() -> None:
    splits = own_splits((10, 100, 1000), OwnArrays(COPIES, COPIES), 0)
    assert [len(train) for train, _ in splits] == [10, 36]
    assert (splits[0][0].codes_ND == COPIES.codes_ND[:10]).all()


def test_a_factor_of_one_value_in_a_small_sample_is_named_with_the_sample() -> None:
    spec = MetricSpec(downstream_task=DownstreamTask(num_train=(3, 36)))
    outcome = score_arrays(COPIES.codes_ND, FACTORS, test_codes=COPIES.codes_ND, test_factors=FACTORS, metrics=[spec])[
        "downstream_task"
    ]
    assert isinstance(outcome, MetricUndefined)
    assert "downstream_task of 3 training points needs factors that vary; factors[:, 0] is 0" in str(outcome)


def test_progress_rises_to_one_over_all_sizes() -> None:
    shares: list[float] = []
    spec = MetricSpec(downstream_task=DownstreamTask(num_train=(12, 24), num_test=5))
    evaluate_metric(spec, GridRepresentation(FactorGrid(SIZES), GRID.astype(np.float64)), 0, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


def test_without_its_code_a_factor_is_guessed_and_the_others_are_known() -> None:
    result = reduced_downstream_task([(COPIES, COPIES)], num_factors_to_remove=1, random_state=RandomState(0))
    scores = result.scores()
    assert scores["36:reduced_factor_0:mean_test_accuracy_reduced_factor"] == 0.5
    assert scores["36:reduced_factor_1:mean_test_accuracy_reduced_factor"] == pytest.approx(1 / 3)
    assert scores["36:reduced_factor_0:mean_test_accuracy_factor_1"] == 1.0
    assert scores["36:mean_test_accuracy_reduced_factor"] == pytest.approx(5 / 12)
    assert scores["36:mean_test_accuracy_other_factors"] == 1.0
    assert len(scores) == 2 * (2 * (2 + 2) + 2)


def test_the_last_code_is_not_removed() -> None:
    with pytest.raises(MetricUndefined, match="cannot remove 2 of 2 codes"):
        reduced_downstream_task([(COPIES, COPIES)], num_factors_to_remove=2, random_state=RandomState(0))


def test_an_intervention_moves_one_other_factor_apart() -> None:
    factors_NK = FactorGrid((2, 3, 4)).all_factors()
    for target in range(3):
        train_NK, test_NK = intervene(factors_NK, factors_NK, target, (2, 3, 4), RandomState(target))
        moved = np.flatnonzero((train_NK != factors_NK).any(axis=0))
        assert len(moved) == 1
        assert moved[0] != target
        assert len(np.unique(train_NK[:, moved[0]])) == 1
        assert not np.isin(train_NK[0, moved[0]], test_NK[:, moved[0]])
        assert (np.delete(test_NK, moved[0], axis=1) == np.delete(factors_NK, moved[0], axis=1)).all()


def test_codes_that_copy_factors_generalize_under_a_shift() -> None:
    spec = MetricSpec(strong_downstream_task=StrongDownstreamTask(num_train=(24,), num_test=12, n_experiment=1))
    scores = score_arrays(GRID.astype(np.float64), GRID, metrics=[spec])["strong_downstream_task"]
    assert isinstance(scores, dict)
    assert scores["24:mean_strong_test_accuracy"] == 1.0
    assert scores["24:strong_generalization_gap"] == 0.0
