"""Labellers: what they draw and in which order, what becomes of the sizes, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import RandomState

from disentanglement.datasets.factor_space import Factors
from disentanglement.datasets.labellers import (
    binned_labels,
    labeller,
    noisy_labels,
    partial_labels,
    perfect_labels,
    permuted_labels,
)
from disentanglement.errors import NotBuiltYet, SpecError
from disentanglement.specs.supervision import LabellerSpec

GOLDEN = Path(__file__).parents[2] / "golden" / "losses"
SIZES = (3, 6, 40, 32, 32)


@st.composite
def factors(draw: st.DrawFn) -> tuple[Factors, tuple[int, ...]]:
    sizes = tuple(draw(st.lists(st.integers(1, 50), min_size=1, max_size=5)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num = draw(st.integers(0, 20))
    return rng.integers(sizes, size=(num, len(sizes))), sizes


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("perfect_labeller", {}),
        ("bin_labeller", {"num_bins": 5}),
        ("noisy_labeller", {"prob_random": 0.1}),
        ("permuted_labeller", {}),
        ("partial_labeller", {"num_observed_factors": 2}),
    ],
)
@pytest.mark.parametrize("defaults", [False, True])
def test_labels_and_sizes_are_those_of_the_reference(name: str, parameters: dict[str, Any], defaults: bool) -> None:
    word = name.removesuffix("_labeller")
    label = labeller(LabellerSpec.model_validate({name: {} if defaults else parameters}))
    sizes = json.loads((GOLDEN / "semi_supervised.json").read_text())["labeller_factor_sizes"]
    with np.load(GOLDEN / "semi_supervised.npz") as golden:
        labels = label(golden["labeller_factors"], SIZES, RandomState(7))
        np.testing.assert_array_equal(labels.values_NL, golden[f"labeller_{word}"])
        assert labels.values_NL.dtype == np.float32
        assert list(labels.sizes) == sizes[word]


@given(factors(), st.sampled_from(["perfect", "bin", "noisy", "permuted", "partial"]), st.integers(0, 2**32 - 1))
def test_labels_are_whole_numbers_below_their_sizes_and_factors_stay_as_they_are(
    drawn: tuple[Factors, tuple[int, ...]], word: str, seed: int
) -> None:
    factors_NK, sizes = drawn
    before = factors_NK.copy()
    parameters = {"num_observed_factors": len(sizes)} if word == "partial" else {}
    labels = labeller(LabellerSpec.model_validate({f"{word}_labeller": parameters}))(
        factors_NK, sizes, RandomState(seed)
    )
    np.testing.assert_array_equal(factors_NK, before)
    assert labels.values_NL.dtype == np.float32
    assert labels.values_NL.shape == (len(factors_NK), len(labels.sizes))
    np.testing.assert_array_equal(labels.values_NL, np.floor(labels.values_NL))
    assert np.all((labels.values_NL >= 0) & (labels.values_NL < np.array(labels.sizes)))


@pytest.mark.parametrize(
    ("num_bins", "expected"),
    [(10, [0, 1, 2, 3, 4]), (5, [0, 1, 2, 3, 4]), (3, [0, 0, 1, 1, 2]), (2, [0, 0, 0, 1, 1])],
)
def test_bins_are_of_equal_width_and_only_where_there_are_more_values_than_bins(
    num_bins: int, expected: list[int]
) -> None:
    labels = binned_labels(np.arange(5)[:, None], (5,), num_bins=num_bins)
    assert labels.values_NL[:, 0].tolist() == expected
    assert labels.sizes == (min(5, num_bins),)


def test_bins_begin_where_float32_says() -> None:
    """The reference's arithmetic: 6 / 1.2 is 5, but 1.2 is a little more than that in float32."""
    assert binned_labels(np.array([[6]]), (12,), num_bins=10).values_NL.tolist() == [[4]]


def test_noise_is_drawn_point_after_point_and_only_where_it_is_used() -> None:
    factors_NK, by_hand = np.zeros((4, 2), np.int64), RandomState(5)
    expected = np.zeros((4, 2))
    for n in range(4):
        for k, size in enumerate((7, 9)):
            if by_hand.rand() < 0.5:
                expected[n, k] = by_hand.randint(size)
    rs = RandomState(5)
    np.testing.assert_array_equal(noisy_labels(factors_NK, (7, 9), rs, prob_random=0.5).values_NL, expected)
    assert rs.randint(2**31) == by_hand.randint(2**31)


def test_a_tenth_of_the_labels_is_random_and_a_fifth_of_those_as_before() -> None:
    factors_NK = RandomState(0).randint(5, size=(10_000, 10))
    labels = noisy_labels(factors_NK, (5,) * 10, RandomState(0), prob_random=0.1)
    assert 7000 < np.sum(labels.values_NL != factors_NK) < 9000


@given(factors(), st.integers(0, 2**32 - 1))
def test_permuted_labels_tell_the_same_values_apart(drawn: tuple[Factors, tuple[int, ...]], seed: int) -> None:
    factors_NK, sizes = drawn
    labels = permuted_labels(factors_NK, sizes, RandomState(seed))
    for before, after in zip(factors_NK.T, labels.values_NL.T, strict=True):
        assert len(set(zip(before, after, strict=True))) == len(set(before)) == len(set(after))


@given(factors(), st.data(), st.integers(0, 2**32 - 1))
def test_partial_labels_are_columns_in_the_order_in_which_they_are_drawn(
    drawn: tuple[Factors, tuple[int, ...]], data: st.DataObject, seed: int
) -> None:
    factors_NK, sizes = drawn
    num = data.draw(st.integers(1, len(sizes)))
    labels = partial_labels(factors_NK, sizes, RandomState(seed), num_observed_factors=num)
    kept = RandomState(seed).choice(len(sizes), size=num, replace=False)
    np.testing.assert_array_equal(labels.values_NL, factors_NK[:, kept])
    assert labels.sizes == tuple(sizes[k] for k in kept)


def test_perfect_and_binned_labels_draw_nothing() -> None:
    factors_NK, rs = np.array([[1, 2]]), RandomState(1)
    labeller(LabellerSpec.model_validate({"perfect_labeller": {}}))(factors_NK, (3, 30), rs)
    labeller(LabellerSpec.model_validate({"bin_labeller": {}}))(factors_NK, (3, 30), rs)
    assert rs.randint(2**31) == RandomState(1).randint(2**31)
    assert perfect_labels(factors_NK, (3, 30)).values_NL.tolist() == [[1, 2]]


def test_more_observed_factors_than_there_are_are_refused() -> None:
    with pytest.raises(SpecError, match=r"num_observed_factors: wanted at most 2, got 3"):
        partial_labels(np.zeros((1, 2), np.int64), (3, 3), RandomState(0), num_observed_factors=3)


def test_labellers_of_plugins_are_not_built_yet() -> None:
    spec = LabellerSpec.model_validate({"plugin": {"name": "module:own"}})
    with pytest.raises(NotBuiltYet, match=r"labelled\.labeller\.plugin"):
        labeller(spec)
