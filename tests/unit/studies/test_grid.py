"""The sweep algebra, in the reference's order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentanglement.errors import SpecError
from disentanglement.specs import GridSpec, parse_spec
from disentanglement.studies.grid import expand, product, sweep


def grid(plain: Any) -> list[dict[str, Any]]:
    return [dict(changes) for changes in expand(parse_spec(GridSpec, plain))]


def test_a_sweep_gives_one_combination_per_value() -> None:
    assert grid({"sweep": {"a": [1, 2]}}) == [{"a": 1}, {"a": 2}]


def test_fixed_is_one_combination() -> None:
    assert grid({"fixed": {"a": 1, "b": "x"}}) == [{"a": 1, "b": "x"}]


def test_the_last_list_of_a_product_is_the_fastest() -> None:
    plain = {"product": [{"sweep": {"a": [1, 2]}}, {"sweep": {"b": [3, 4]}}]}
    assert grid(plain) == [{"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4}]


def test_zip_merges_element_by_element_and_repeats_a_single_one() -> None:
    plain = {"zip": [{"sweep": {"a": [1, 2]}}, {"fixed": {"b": 9}}, {"sweep": {"a": [5, 6]}}]}
    assert grid(plain) == [{"a": 5, "b": 9}, {"a": 6, "b": 9}]
    assert list(grid(plain)[0]) == ["a", "b"]  # later values win, names keep their first place


def test_zip_of_unequal_lengths_is_refused_by_path() -> None:
    with pytest.raises(SpecError, match=r"grid\.zip\.1: wanted 1 or 3"):
        grid({"zip": [{"sweep": {"a": [1, 2, 3]}}, {"sweep": {"b": [1, 2]}}]})


def test_chain_is_one_list_after_the_other() -> None:
    assert grid({"chain": [{"fixed": {"a": 1}}, {"sweep": {"b": [2, 3]}}]}) == [{"a": 1}, {"b": 2}, {"b": 3}]


def test_a_huge_product_is_refused_before_it_is_made() -> None:
    values = {"sweep": {"a": list(range(1000))}}
    with pytest.raises(SpecError, match="at most 100000 models"):
        grid({"product": [values] * 6})


@pytest.mark.parametrize("plain", [{"sweep": {"a": 1}}, {"sweep": {"a": []}}, {"sweep": {"a": [1], "b": [2]}}, {}])
def test_a_malformed_grid_is_refused(plain: Any) -> None:
    with pytest.raises(SpecError):
        grid(plain)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_product_has_the_product_of_the_lengths(lengths: list[int]) -> None:
    lists = [sweep(f"x{i}", list(range(length))) for i, length in enumerate(lengths)]
    combinations = product(lists)
    expected = 1
    for length in lengths:
        expected *= length
    assert len(combinations) == expected == len({tuple(c.items()) for c in combinations})
