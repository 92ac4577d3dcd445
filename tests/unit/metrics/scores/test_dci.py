from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Points
from disentanglement.metrics.sampling.points import FactorGrid
from disentanglement.metrics.scores.dci import DciResult, dci

GRID = np.tile(FactorGrid((2, 3)).all_factors(), (6, 1))


def global_state() -> NDArray[np.uint32]:
    """The words of NumPy's global generator."""
    state: NDArray[np.uint32] = np.random.get_state(legacy=False)["state"]["key"].copy()
    return state


def test_codes_that_copy_factors_have_all_scores_one() -> None:
    points = Points(GRID.astype(np.float64), GRID)
    result = dci(points, points, random_state=RandomState(0))
    assert result.importance_DK == pytest.approx(np.eye(2))
    assert result.scores() == {
        "informativeness_train": 1.0,
        "informativeness_test": 1.0,
        "disentanglement": pytest.approx(1.0),
        "completeness": pytest.approx(1.0),
    }


def test_informativeness_is_the_mean_accuracy_over_factors() -> None:
    result = DciResult(np.eye(2), np.array([1.0, 0.5]), np.array([0.25, 0.5]))
    scores = result.scores()
    assert (scores["informativeness_train"], scores["informativeness_test"]) == (0.75, 0.375)


def test_test_points_are_used_for_test_accuracy_alone() -> None:
    train = Points(GRID.astype(np.float64), GRID)
    wrong = Points(train.codes_ND, np.stack([1 - GRID[:, 0], GRID[:, 1]], axis=1))
    result = dci(train, wrong, random_state=RandomState(0))
    assert result.test_accuracy_K == pytest.approx([0.0, 1.0])
    assert result.train_accuracy_K == pytest.approx([1.0, 1.0])


def test_equal_seeds_repeat_and_leave_numpys_global_generator_alone() -> None:
    rng = np.random.default_rng(0)
    points = Points(np.repeat(rng.normal(size=(36, 1)), 3, axis=1), GRID)  # three equal codes: nothing but ties
    before = global_state()
    first, second, other = (dci(points, points, random_state=RandomState(seed)).importance_DK for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != other).any()
    assert (global_state() == before).all()


def test_progress_rises_to_one_and_what_it_raises_stops_the_metric() -> None:
    points = Points(GRID.astype(np.float64), GRID)
    shares: list[float] = []
    dci(points, points, random_state=RandomState(0), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert shares[99] == pytest.approx(2 / 5)  # factors of two and three values: trees for five classes

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dci(points, points, random_state=RandomState(0), progress=stop)


def test_one_code_one_factor_and_a_constant_factor_are_each_named() -> None:
    codes = GRID.astype(np.float64)
    cases = [
        (codes[:, :1], GRID, "dci compares codes with each other"),
        (codes, GRID[:, :1], "dci compares factors with each other"),
        (codes, GRID * np.array([1, 0]), r"factors\[:, 1\] is 0 at every point"),
    ]
    for some_codes, factors, message in cases:
        points = Points(some_codes, factors)
        with pytest.raises(MetricUndefined, match=message):
            dci(points, points, random_state=RandomState(0))
