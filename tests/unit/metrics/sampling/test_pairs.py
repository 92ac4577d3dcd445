from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers
from numpy.random import RandomState

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Points
from disentanglement.metrics.sampling.pairs import CodePairs, pairs_among, pairs_drawn
from disentanglement.metrics.sampling.points import FactorGrid, GridRepresentation

SIZES = (2, 3, 4)
GRID = FactorGrid(SIZES)
FACTORS = GRID.all_factors()
OPEN = Points(FACTORS.astype(float), FACTORS)
"""Codes that are the factors, so that pairs show what they are of."""


def differing(pairs: CodePairs) -> list[bool]:
    """For each factor, whether its values differ in every pair; where in none, False."""
    changed = pairs.first_PD != pairs.second_PD
    assert (changed.all(axis=0) | ~changed.any(axis=0)).all()
    return [bool(differs) for differs in changed.all(axis=0)]


@given(seed=integers(0, 2**32 - 1))
def test_drawn_pairs_differ_in_their_factor_alone(seed: int) -> None:
    pairs = pairs_drawn(GridRepresentation(GRID, OPEN.codes_ND), 20, RandomState(seed))
    assert [differing(of_factor) for of_factor in pairs] == np.eye(3, dtype=bool).tolist()
    assert all((of_factor.first_PD == pairs[0].first_PD).all() for of_factor in pairs)


def test_drawn_pairs_take_every_other_value_alike() -> None:
    *_, last = pairs_drawn(GridRepresentation(GRID, OPEN.codes_ND), 3000, RandomState(0))
    steps = (last.second_PD - last.first_PD)[:, 2].astype(int) % 4
    assert np.bincount(steps, minlength=4) == pytest.approx([0, 1000, 1000, 1000], abs=100)


@given(seed=integers(0, 2**32 - 1))
def test_pairs_among_points_differ_in_their_factor_alone_and_pair_each_group_once_per_member(seed: int) -> None:
    repeated = OPEN.rows(np.random.default_rng(seed).permutation(np.arange(len(FACTORS)).repeat(3)))
    pairs = pairs_among(repeated, np.random.default_rng(seed))
    assert [differing(of_factor) for of_factor in pairs] == np.eye(3, dtype=bool).tolist()
    # 24 points: groups of 2, 3 and 4, each paired off once for each of its members; of 3, one is left out each time.
    assert [len(of_factor.first_PD) for of_factor in pairs] == [24 * 1, 24 * 1, 24 * 2]


def test_within_one_shuffle_no_point_is_in_two_pairs() -> None:
    column = Points(np.arange(5.0)[:, None], np.arange(5)[:, None])
    (pairs,) = pairs_among(column, np.random.default_rng(0))
    first, second = pairs.first_PD[:, 0].reshape(5, 2), pairs.second_PD[:, 0].reshape(5, 2)
    members = np.concatenate([first, second], axis=1)
    assert all(len(set(row)) == 4 for row in members.tolist())
    assert len({tuple(row) for row in members.tolist()}) > 1  # each shuffle is another


def test_the_first_of_equal_combinations_stands_for_them() -> None:
    points = Points(np.array([[1.0], [2.0], [9.0]]), np.array([[0], [1], [0]]))
    (pairs,) = pairs_among(points, np.random.default_rng(0))
    assert {*pairs.first_PD.ravel(), *pairs.second_PD.ravel()} == {1.0, 2.0}


def test_of_more_pairs_than_wanted_a_random_part_is_taken() -> None:
    pairs = pairs_among(OPEN, np.random.default_rng(0), most=7)
    assert [len(of_factor.first_PD) for of_factor in pairs] == [7, 7, 7]
    assert len(np.unique(pairs[2].first_PD[:, :2], axis=0)) > 1  # not those of the first values of the other factors
    assert [differing(of_factor) for of_factor in pairs] == np.eye(3, dtype=bool).tolist()


def test_pairs_among_points_repeat_from_their_seed() -> None:
    first, again, other = (pairs_among(OPEN, np.random.default_rng(seed))[2].first_PD for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_factor_that_no_pair_can_differ_in_is_named() -> None:
    diagonal = OPEN.rows(np.array([0, 5, 23]))
    with pytest.raises(MetricUndefined, match=r"no two points share all factors but factors\[:, 0\]"):
        pairs_among(diagonal, np.random.default_rng(0))
    flat = FactorGrid((2, 1))
    with pytest.raises(MetricUndefined, match="no pair can differ in factor 1: it has a single value"):
        pairs_drawn(GridRepresentation(flat, np.eye(2)), 4, RandomState(0))
