"""Pure functions of arrays that nobody can write to are computed once, for as long as the arrays live.

Metrics of one sample begin alike: bins, joint histograms, sorted codes. They stay pure functions of arrays; where
the arrays are frozen, as those of shared samples are, and the same ones come again, the result is looked up.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Points

P = ParamSpec("P")
R = TypeVar("R")

MAX_RESULTS = 256
"""Of all functions together; the oldest go. A sample has a handful, and they go with it anyway."""


def frozen(points: Points) -> Points:
    """The points, whose arrays nobody can write to from now on."""
    for array in (points.codes_ND, points.factors_NK):
        array.flags.writeable = False
    return points


def computed_once(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which looks up what it gave for the very same frozen arrays and equal other arguments.

    An array that it gives is frozen then, too. Arrays that can be written are computed with as if nothing were here.
    """

    @functools.wraps(function)
    def remembering(*args: P.args, **kwargs: P.kwargs) -> R:
        arguments: list[Any] = [*args, *kwargs.values()]
        names = (len(args), *kwargs)
        places = [_place(array) if isinstance(array, np.ndarray) else array for array in arguments]
        if any(place is None for place in places):
            return function(*args, **kwargs)
        key = (function, names, *places)
        if (found := _results.get(key)) is not None:
            result: R = found.result
            return result
        result = function(*args, **kwargs)
        if isinstance(result, np.ndarray):
            result.flags.writeable = False
        _remember(key, result, [_owner(array) for array in arguments if isinstance(array, np.ndarray)])
        return result

    return remembering


@dataclass(frozen=True, slots=True)
class _Result:
    result: Any
    owners: list[weakref.ref[NDArray[Any]]]
    """Held for their callbacks: with the first array that goes, the result goes."""


_results: dict[Any, _Result] = {}


def _remember(key: Any, result: Any, owners: list[NDArray[Any]]) -> None:
    def forget(_: object) -> None:
        _results.pop(key, None)

    while len(_results) >= MAX_RESULTS:
        _results.pop(next(iter(_results)), None)
    _results[key] = _Result(result, [weakref.ref(owner, forget) for owner in owners])


def _place(array: NDArray[Any]) -> tuple[Any, ...] | None:
    """Which elements of which memory, None where somebody could change them."""
    parts = list(_bases(array))
    if any(not isinstance(part, np.ndarray) or part.flags.writeable for part in parts):
        return None
    layout = array.__array_interface__
    return id(parts[-1]), layout["data"][0], array.shape, array.strides, array.dtype.str


def _owner(array: NDArray[Any]) -> NDArray[Any]:
    owner: NDArray[Any] = list(_bases(array))[-1]
    return owner


def _bases(array: Any) -> Iterator[Any]:
    """The array, what it is a view of, and so on."""
    part = array
    while part is not None:
        yield part
        part = part.base if isinstance(part, np.ndarray) else None
