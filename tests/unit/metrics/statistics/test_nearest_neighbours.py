from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.feature_selection import mutual_info_classif

from disentanglement.metrics.arrays import Codes, Factors
from disentanglement.metrics.statistics.nearest_neighbours import information_by_neighbours


def sample(seed: int, kind: str, num_points: int = 90) -> tuple[Codes, Factors]:
    """Codes of three columns: smooth, on a few values, and related to the first factor; the second has rare values."""
    rng = np.random.default_rng(seed)
    common = rng.integers(0, 3, size=num_points)
    rare = np.minimum(rng.geometric(0.3, size=num_points), 12)
    smooth, steps = rng.normal(size=num_points), rng.integers(0, 4, size=num_points) / 3.0
    codes = np.stack([smooth, steps, common + 0.3 * smooth], axis=1)
    return codes.astype(kind), np.stack([common, rare], axis=1)


def estimate(codes: Codes, factors: Factors, num_neighbors: int, seed: int = 0) -> NDArray[np.float64]:
    return information_by_neighbours(codes, factors, num_neighbors=num_neighbors, random_state=RandomState(seed))


def test_four_points_worked_out_by_hand() -> None:
    # The other point with the same label is at distance 1, none is nearer: psi(4) + psi(1) - psi(2) - psi(1).
    codes = np.array([[0.0], [1.0], [10.0], [11.0]])
    factors = np.array([[0], [0], [1], [1]])
    assert estimate(codes, factors, 1) == pytest.approx(np.array([[1 / 2 + 1 / 3]]), abs=1e-9)


def test_points_between_the_neighbours_are_counted() -> None:
    # Labels alternate: the nearest of the own label is at distance 2, one or two of the other lie within.
    codes = np.array([[0.0], [1.0], [2.0], [3.0]])
    factors = np.array([[0], [1], [0], [1]])
    within = [2, 3, 3, 2]
    psi = {1: 0.0, 2: 1.0, 3: 1.5, 4: 1.5 + 1 / 3}  # up to Euler's constant, which cancels
    expected = psi[4] + psi[1] - psi[2] - sum(psi[count] for count in within) / 4
    assert expected < 0
    assert estimate(codes, factors, 1) == pytest.approx(np.array([[0.0]]), abs=1e-12)


def test_a_label_that_occurs_once_is_left_out() -> None:
    codes = np.array([[0.0], [1.0], [10.0], [11.0], [0.5]])
    factors = np.array([[0], [0], [1], [1], [2]])
    assert estimate(codes, factors, 1) == pytest.approx(np.array([[1 / 2 + 1 / 3]]), abs=1e-9)


def test_labels_that_all_occur_once_tell_nothing() -> None:
    assert estimate(np.arange(4.0)[:, None], np.arange(4)[:, None], 3) == pytest.approx(np.zeros((1, 1)), abs=0)


@settings(max_examples=6)
@given(seed=integers(0, 2**32 - 1), num_neighbors=sampled_from([1, 3, 10, 40]), kind=sampled_from(["f4", "f8"]))
def test_it_is_scikit_learns_estimate(seed: int, num_neighbors: int, kind: str) -> None:
    codes, factors = sample(seed, kind)
    rs = RandomState(7)
    expected = [
        [
            mutual_info_classif(code_N1, factor_N, discrete_features=False, n_neighbors=num_neighbors, random_state=rs)
            for code_N1 in np.hsplit(codes, 3)
        ]
        for factor_N in factors.T
    ]
    assert estimate(codes, factors, num_neighbors, 7) == pytest.approx(np.squeeze(expected).T, abs=1e-9)


@settings(max_examples=20)
@given(seed=integers(0, 2**32 - 1), names=sampled_from([[2, 0, 1], [5, 9, -1]]))
def test_it_does_not_depend_on_what_factor_values_are_called(seed: int, names: list[int]) -> None:
    codes, factors = sample(seed, "f8")
    renamed = np.stack([np.array(names)[factors[:, 0]], -factors[:, 1]], axis=1)
    assert estimate(codes, renamed, 10) == pytest.approx(estimate(codes, factors, 10), abs=1e-9)


def test_a_constant_code_tells_nothing() -> None:
    factors = np.repeat(np.arange(2), 200)[:, None]
    assert estimate(np.full((400, 1), 3.0), factors, 10)[0, 0] < 0.05


def test_progress_rises_to_one() -> None:
    shares: list[float] = []
    codes, factors = sample(0, "f8")
    information_by_neighbours(codes, factors, num_neighbors=3, random_state=RandomState(0), progress=shares.append)
    assert shares == [0.5, 1.0]
