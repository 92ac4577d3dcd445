"""How values are written for people and for programs."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentanglement.cli.console import complaints, duration, size, strict
from disentanglement.errors import SpecError, Unavailable, Violation


def test_a_number_that_is_not_finite_is_null_with_its_reason_beside_it() -> None:
    assert strict({"mig": math.nan, "sap": 0.5}) == {"mig": None, "mig_reason": "nan", "sap": 0.5}
    assert strict({"a": [math.inf, -math.inf]}) == {"a": [None, None]}


@given(st.recursive(st.floats() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_whatever_is_printed_is_strict_json(value: object) -> None:
    json.dumps(strict(value), allow_nan=False)


def test_a_wrong_spec_has_one_line_per_field() -> None:
    error = SpecError([Violation("model.batch_size", "1 or more", "0"), Violation("name", "a value", "nothing")])
    assert complaints(error) == [
        "model.batch_size: wanted 1 or more, got 0",
        "name: wanted a value, got nothing",
    ]
    assert complaints(Unavailable("the store is away")) == ["the store is away"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (187, "3:07"), (3723, "1:02:03"), (None, "-:--"), (math.inf, "-:--")],
)
def test_durations_are_written_as_on_a_clock(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**30, "5.0 GiB"), (2**50, "1024.0 TiB")],
)
def test_sizes_have_binary_units(num_bytes: int, text: str) -> None:
    assert size(num_bytes) == text
