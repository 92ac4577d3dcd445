"""Samples of points, drawn once where several metrics would draw the same. Shapes: N points, D codes, K factors."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator, RandomState

from disentanglement.metrics.arrays import Points
from disentanglement.metrics.sampling.batches import draw_batches
from disentanglement.metrics.sampling.representations import GridRepresentation, Representation
from disentanglement.metrics.statistics.memory import frozen

Identity = tuple[Any, ...]
"""All that decides a sample of one representation."""


class Samples:
    """Points that were drawn, by all that decides them, so that equal draws are looked up: at most `max_bytes`.

    A sample is a function of the representation, of the states in which its generators are, and of the numbers asked
    for. Whoever finds one gets the very arrays, which can't be written, and both generators as drawing had left them.
    """

    def __init__(self, max_bytes: int = 1 << 28) -> None:
        self._max_bytes = max_bytes
        self._drawn: OrderedDict[Identity, _Drawn] = OrderedDict()

    def drawn(self, representation: Representation, num_points: int, rs: RandomState, batch_size: int) -> Points:
        """As `draw_points`; all calls have to be about one representation."""
        noise = representation.noise if isinstance(representation, GridRepresentation) else None
        key = _identity(num_points, batch_size, *_states(rs, noise))
        if (found := self._drawn.get(key)) is None:
            points = frozen(draw_points(representation, num_points, rs, batch_size))
            found = self._drawn[key] = _Drawn(points, *_states(rs, noise))
            self._trim()
        else:
            self._drawn.move_to_end(key)
            rs.set_state(found.rs_state)
            if noise is not None:
                noise.bit_generator.state = found.noise_state
        return found.points

    def _trim(self) -> None:
        while len(self._drawn) > 1 and sum(drawn.points.num_bytes for drawn in self._drawn.values()) > self._max_bytes:
            self._drawn.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Drawn:
    points: Points
    rs_state: Any
    noise_state: Any


def _states(rs: RandomState, noise: Generator | None) -> tuple[Any, Any]:
    return rs.get_state(), noise.bit_generator.state if noise is not None else None


def _identity(num_points: int, batch_size: int, rs_state: Any, noise_state: Any) -> Identity:
    kind, words, *rest = rs_state
    return num_points, batch_size, kind, words.tobytes(), *rest, repr(noise_state)


def draw_points(representation: Representation, num_points: int, rs: RandomState, batch_size: int) -> Points:
    """As `sample_points`, whether or not they were drawn before."""
    factors, rows = [], []
    whole = num_points // batch_size
    for num_batches, size in ((whole, batch_size), (1, num_points - whole * batch_size)):
        if num_batches and size:
            batches = draw_batches(representation, num_batches, size, rs)
            factors.append(batches.factors_NK)
            rows.append(batches.rows_N)
    return Points(representation.codes_of(np.concatenate(rows)), np.concatenate(factors))
