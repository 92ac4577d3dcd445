"""Factors: order of draws, row-major positions, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import RandomState

from disentanglement.datasets.factor_space import FactorSpace
from disentanglement.errors import SpecError

SPACE = FactorSpace(names=("lamp", "shape", "angle", "shade"), sizes=(2, 3, 4, 5), latent=(1, 2))
"""`lamp` and `shade` are observed noise."""


@st.composite
def spaces(draw: st.DrawFn) -> FactorSpace:
    sizes = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=5)))
    latent = draw(st.lists(st.sampled_from(range(len(sizes))), unique=True).map(sorted))
    return FactorSpace(tuple(f"factor_{i}" for i in range(len(sizes))), sizes, tuple(latent))


def test_the_last_factor_is_the_fastest() -> None:
    rows = SPACE.row_of(np.array([[0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [1, 2, 3, 4]]))
    assert rows.tolist() == [1, 5, 20, 60, 119]


@given(spaces())
def test_row_of_is_the_inverse_of_factors_of(space: FactorSpace) -> None:
    rows = np.arange(space.num_points)
    all_NA = space.factors_of(rows)
    np.testing.assert_array_equal(space.row_of(all_NA), rows)
    assert len({tuple(factors) for factors in all_NA.tolist()}) == space.num_points


@given(spaces(), st.integers(0, 2**32 - 1), st.integers(0, 20))
def test_drawn_factors_are_within_their_sizes_and_completing_keeps_them(
    space: FactorSpace, seed: int, num: int
) -> None:
    rs = RandomState(seed)
    latent = space.sample_latent(num, rs)
    completed = space.complete(latent, rs)
    assert latent.dtype == completed.dtype == np.int64
    np.testing.assert_array_equal(completed[:, list(space.latent)], latent)
    rows = space.row_of(completed)  # which checks the ranges
    assert rows.shape == (num,)


def test_factors_are_drawn_column_after_column_and_noise_after_them_in_ascending_order() -> None:
    rs, by_hand = RandomState(3), RandomState(3)
    completed = SPACE.complete(SPACE.sample_latent(6, rs), rs)
    shape, angle, lamp, shade = (by_hand.randint(size, size=6) for size in (3, 4, 2, 5))
    np.testing.assert_array_equal(completed, np.stack([lamp, shape, angle, shade], axis=1))


def test_latent_factors_are_drawn_in_the_order_in_which_they_are_listed() -> None:
    space = FactorSpace(SPACE.names, SPACE.sizes, latent=(2, 0))
    rs, by_hand = RandomState(3), RandomState(3)
    expected = np.stack([by_hand.randint(4, size=6), by_hand.randint(2, size=6)], axis=1)
    latent = space.sample_latent(6, rs)
    np.testing.assert_array_equal(latent, expected)
    np.testing.assert_array_equal(space.complete(latent, rs)[:, [2, 0]], expected)


def test_a_factor_of_one_value_consumes_nothing_from_the_generator() -> None:
    space = FactorSpace(("color", "shape"), (1, 3), latent=(1,))
    rs = RandomState(0)
    latent = space.sample_latent(4, rs)
    before = rs.get_state(legacy=False)
    space.complete(latent, rs)
    np.testing.assert_equal(rs.get_state(legacy=False), before)


def test_every_value_is_drawn_equally_often() -> None:
    num = 60_000
    for size, column in zip((3, 4), SPACE.sample_latent(num, RandomState(0)).T, strict=True):
        deviation = np.bincount(column, minlength=size) - num / size
        assert np.abs(deviation).max() < 4 * np.sqrt(num * (1 / size) * (1 - 1 / size))


@pytest.mark.parametrize(
    ("factors", "field", "given_value"),
    [
        ([[0, 3, 0, 0]], "factors.shape", "3"),  # a value equal to its size is one too many
        ([[0, 0, 0, 0], [0, 0, -1, 0]], "factors.angle", "-1"),
        ([[2, 0, 0, 9]], "factors.lamp", "2"),
        ([[0, 0, 0]], "factors", "int64 [1, 3]"),
        ([0, 0, 0, 0], "factors", "int64 [4]"),
        ([[0.0, 0.0, 0.0, 0.0]], "factors", "float64 [1, 4]"),
    ],
)
def test_factors_out_of_range_are_refused_by_name(factors: list[object], field: str, given_value: str) -> None:
    with pytest.raises(SpecError) as caught:
        SPACE.row_of(np.array(factors))
    assert [(violation.field, violation.given) for violation in caught.value.violations] == [(field, given_value)]


def test_latent_factors_out_of_range_are_refused_before_anything_is_drawn() -> None:
    rs = RandomState(0)
    with pytest.raises(SpecError, match=r"factors\.angle: wanted 0 to 3, got 4"):
        SPACE.complete(np.array([[0, 4]]), rs)
    assert rs.randint(2**32) == RandomState(0).randint(2**32)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64])
def test_any_integers_are_factors(dtype: type[np.integer]) -> None:
    rows = SPACE.row_of(np.array([[1, 2, 3, 4]], dtype=dtype))
    assert rows.dtype == np.int64
    assert rows.tolist() == [119]


@pytest.mark.parametrize(
    ("sizes", "latent"), [((2, 0), (0,)), ((2,), (0,)), ((2, 3), (2,)), ((2, 3), (0, 0)), ((2, 3), (-1,))]
)
def test_a_space_that_makes_no_sense_is_refused(sizes: tuple[int, ...], latent: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match="factors"):
        FactorSpace(("a", "b"), sizes, latent)


def test_factors_of_one_name_are_refused() -> None:
    with pytest.raises(SpecError, match="wanted distinct names, got a, a"):
        FactorSpace(("a", "a"), (2, 3), (0,))


@pytest.mark.parametrize("row", [-1, 120])
def test_rows_outside_the_grid_are_refused(row: int) -> None:
    with pytest.raises(SpecError, match=f"rows: wanted 0 to 119, got {row}"):
        SPACE.factors_of(np.array([0, row]))


def test_a_large_space_is_counted_exactly() -> None:
    space = FactorSpace(tuple("abcdefg"), (1000,) * 7, (0,))
    assert space.num_points == 10**21
