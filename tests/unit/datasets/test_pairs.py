"""Pairs: which factors change, how often, to what, and which one is the label."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import RandomState
from small_grid import grid

from disentanglement.datasets.dummy_data import DummyData
from disentanglement.datasets.ground_truth import GridData
from disentanglement.datasets.pairs import NOTHING, PairedFactors, sample_paired_factors, sample_pairs
from disentanglement.errors import SpecError


def loop(ground_truth: GridData, k: int, num: int, rs: RandomState) -> PairedFactors:
    """The reference's way, one pair after another."""
    firsts, seconds, labels = [], [], []
    for _ in range(num):
        first = ground_truth.sample_factors(1, rs)[0]
        observed = rs.randint(1, len(first)) if k == -1 else k
        second, label = first.copy(), -1
        for index in rs.choice(len(first), rs.choice([1, observed]), replace=False):
            second[index] = rs.choice(range(ground_truth.factor_sizes[index]))
            label = int(index)
        firsts.append(first)
        seconds.append(second)
        labels.append(label)
    return PairedFactors(np.array(firsts), np.array(seconds), np.array(labels))


def outcomes(pairs: PairedFactors) -> Counter[tuple[Any, ...]]:
    """How often each (which differ, label, new value of the labelled factor) came out."""
    differs = (pairs.first_NK != pairs.second_NK).tolist()
    value = pairs.second_NK[np.arange(len(differs)), pairs.changed_N]
    return Counter((*row, label, new) for row, label, new in zip(differs, pairs.changed_N, value, strict=True))


@st.composite
def grids_and_k(draw: st.DrawFn) -> tuple[GridData, int]:
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    return grid(*sizes), draw(st.integers(0 if len(sizes) == 1 else -1, len(sizes)))


@pytest.mark.parametrize("k", [-1, 0, 1, 2, 3])
def test_pairs_come_out_as_often_as_those_of_the_references_loop(k: int) -> None:
    ours = outcomes(sample_paired_factors(grid(2, 3, 2), k, 40_000, RandomState(0)))
    theirs = outcomes(loop(grid(2, 3, 2), k, 5_000, RandomState(1)))
    for outcome in ours | theirs:
        share = ours[outcome] / 40_000
        error = np.sqrt(max(share, 1e-3) * (1 / 40_000 + 1 / 5_000))
        assert share == pytest.approx(theirs[outcome] / 5_000, abs=5 * error), outcome


def test_one_or_k_factors_are_drawn_anew_with_equal_probability() -> None:
    """Of a factor with 10,000 values nearly every new value is another one, so what differs can be counted."""
    pairs = sample_paired_factors(grid(*[10_000] * 4), 3, 20_000, RandomState(0))
    counts = np.bincount((pairs.first_NK != pairs.second_NK).sum(axis=1), minlength=5) / 20_000
    np.testing.assert_allclose(counts, [0, 0.5, 0, 0.5, 0], atol=0.02)


def test_k_minus_one_draws_a_number_below_the_number_of_factors_for_each_pair() -> None:
    """1 with 1/2 + 1/2 * 1/3, 2 and 3 with 1/2 * 1/3; never all four."""
    pairs = sample_paired_factors(grid(*[10_000] * 4), -1, 20_000, RandomState(0))
    counts = np.bincount((pairs.first_NK != pairs.second_NK).sum(axis=1), minlength=5) / 20_000
    np.testing.assert_allclose(counts, [0, 2 / 3, 1 / 6, 1 / 6, 0], atol=0.02)


def test_a_new_value_may_equal_the_old_one() -> None:
    pairs = sample_paired_factors(grid(2), 1, 20_000, RandomState(0))
    assert np.mean(pairs.first_NK != pairs.second_NK) == pytest.approx(0.5, abs=0.02)


def test_k_zero_changes_nothing_in_half_of_the_pairs_and_labels_them_minus_one() -> None:
    pairs = sample_paired_factors(grid(*[10_000] * 3), 0, 20_000, RandomState(0))
    nothing = pairs.changed_N == NOTHING
    assert np.mean(nothing) == pytest.approx(0.5, abs=0.02)
    assert np.array_equal(pairs.first_NK[nothing], pairs.second_NK[nothing])
    assert ((pairs.first_NK[~nothing] != pairs.second_NK[~nothing]).sum(axis=1) == 1).mean() > 0.99


@given(grids_and_k(), st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_at_most_k_factors_differ_and_the_label_is_one_that_was_drawn_anew(
    grid_and_k: tuple[GridData, int], seed: int, num: int
) -> None:
    ground_truth, k = grid_and_k
    num_factors = len(ground_truth.factor_sizes)
    pairs = sample_paired_factors(ground_truth, k, num, RandomState(seed))
    differs_NK = pairs.first_NK != pairs.second_NK
    assert pairs.first_NK.shape == pairs.second_NK.shape == (num, num_factors)
    most = num_factors - 1 if k == -1 else max(k, 1)
    assert (differs_NK.sum(axis=1) <= most).all()
    assert (pairs.second_NK >= 0).all()
    assert (pairs.second_NK < np.array(ground_truth.factor_sizes)).all()
    assert ((pairs.changed_N >= (NOTHING if k == 0 else 0)) & (pairs.changed_N < num_factors)).all()
    single = differs_NK.sum(axis=1) == 1
    if k == 1:  # the only factor that differs is the label
        assert np.array_equal(differs_NK[single].argmax(axis=1), pairs.changed_N[single])
    again = sample_paired_factors(ground_truth, k, num, RandomState(seed))
    assert np.array_equal(again.second_NK, pairs.second_NK)


def test_factors_and_their_order_of_change_are_independent_of_each_other_and_uniform() -> None:
    pairs = sample_paired_factors(grid(*[10_000] * 3), 2, 30_000, RandomState(0))
    labels = np.bincount(pairs.changed_N, minlength=3) / 30_000
    np.testing.assert_allclose(labels, [1 / 3] * 3, atol=0.02)
    two = (pairs.first_NK != pairs.second_NK).sum(axis=1) == 2
    assert np.mean(pairs.changed_N[two & (pairs.first_NK[:, 0] == pairs.second_NK[:, 0])] == 2) == pytest.approx(
        0.5, abs=0.03
    )  # either of the two factors is the last as often


def test_rows_show_the_factors_of_each_image_and_observed_noise_is_drawn_for_each() -> None:
    ground_truth = grid(3, 50, 4, noise=(1,))
    rows = sample_pairs(ground_truth, 1, 500, RandomState(0))
    space = ground_truth.card.factor_space
    first, second = space.factors_of(rows.first_N), space.factors_of(rows.second_N)
    factors = sample_paired_factors(ground_truth, 1, 500, RandomState(0))
    np.testing.assert_array_equal(first[:, [0, 2]], factors.first_NK)
    np.testing.assert_array_equal(second[:, [0, 2]], factors.second_NK)
    np.testing.assert_array_equal(rows.changed_N, factors.changed_N)
    assert np.mean(first[:, 1] == second[:, 1]) < 0.1


def test_noise_images_of_a_pair_have_nothing_to_do_with_each_other() -> None:
    dummy = grid(*[5] * 10, of=DummyData)
    rows = sample_pairs(dummy, 0, 60, RandomState(0))
    assert (rows.first_N != rows.second_N).all()


@pytest.mark.parametrize(("sizes", "k"), [((2, 3), 3), ((2, 3), -2), ((4,), -1), ((4,), 2)])
def test_a_number_of_changes_that_does_not_fit_the_factors_is_refused(sizes: tuple[int, ...], k: int) -> None:
    with pytest.raises(SpecError, match=r"pairs\.k"):
        sample_paired_factors(grid(*sizes), k, 1, RandomState(0))
