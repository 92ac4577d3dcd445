from __future__ import annotations

import gc

import numpy as np
import pytest
from numpy.typing import NDArray

from disentanglement.metrics.statistics import memory
from disentanglement.metrics.statistics.memory import computed_once

calls: list[str] = []


@computed_once
def scaled(values: NDArray[np.float64], *, factor: float = 1.0) -> NDArray[np.float64]:
    calls.append("scaled")
    return values * factor


@pytest.fixture(autouse=True)
def _nothing_called() -> None:
    calls.clear()
    memory._results.clear()


def frozen_range(num: int) -> NDArray[np.float64]:
    array = np.arange(num, dtype=np.float64)
    array.flags.writeable = False
    return array


def test_the_same_frozen_array_is_computed_with_once_and_its_result_is_frozen() -> None:
    values = frozen_range(3)
    first = scaled(values, factor=2.0)
    assert scaled(values, factor=2.0) is first
    assert first.tolist() == [0.0, 2.0, 4.0]
    assert calls == ["scaled"]
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1.0
    assert scaled(first, factor=2.0) is scaled(first, factor=2.0)  # so a result is remembered by, too


def test_other_arguments_and_other_elements_of_the_array_are_computed_with() -> None:
    values = frozen_range(6)
    table = values.reshape(2, 3)
    results = [scaled(values, factor=2.0), scaled(values, factor=3.0), scaled(values[1:]), scaled(values[:-1])]
    results += [scaled(table), scaled(table.T), scaled(values.reshape(3, 2)), scaled(values.view(np.int64))]
    expected = [values * 2, values * 3, values[1:], values[:-1], table, table.T, values.reshape(3, 2)]
    for result, wanted in zip(results, [*expected, values.view(np.int64)], strict=True):
        assert np.array_equal(result, wanted)
    assert len(calls) == len(results)
    assert scaled(table[0]) is scaled(table[0])  # equal views, each made anew


def test_an_array_that_can_change_is_computed_with_every_time() -> None:
    values = np.arange(3.0)
    view = values[:]
    view.flags.writeable = False  # who has `values` changes it all the same
    assert scaled(view).tolist() == [0.0, 1.0, 2.0]
    values[0] = 5.0
    assert scaled(view).tolist() == [5.0, 1.0, 2.0]
    assert scaled(values) is not scaled(values)
    assert memory._results == {}


def test_a_result_goes_with_the_array_that_it_was_computed_from() -> None:
    values = frozen_range(3)
    scaled(values)
    scaled(values[1:])
    assert len(memory._results) == 2
    del values
    gc.collect()
    assert memory._results == {}


def test_results_are_bounded_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_RESULTS", 2)
    values = frozen_range(3)
    for factor in (1.0, 2.0, 3.0, 3.0, 1.0):
        scaled(values, factor=factor)
    assert len(calls) == 4
    assert len(memory._results) == 2
