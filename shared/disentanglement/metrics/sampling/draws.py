"""Many small draws of a legacy `RandomState` at once, the same numbers as one by one.

The reference draws a batch of 16 points with a call of `randint` for each factor, so a metric's sample is thousands of
calls. NumPy's legacy `randint(n)` takes 32-bit words of the Mersenne Twister, keeps as many low bits as n - 1 has, and
takes the next word where that is too large. Here the words are taken in one call, and that rule is compiled code.
Shapes: M batches of B points, C columns.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.random import MT19937, RandomState
from numpy.typing import NDArray

LONG = 4096
"""Calls from which on it pays to load the compiler for half a second; no number depends on it."""
SPARE_WORDS = 1024
"""More than are expected to be needed, lest the words run out; no number depends on it."""

Integers = NDArray[np.int64]


class Draws(NamedTuple):
    """What was chosen for each batch [M] (zeros where there was no choice), and values [M, B, C]."""

    choice_M: Integers
    value_MBC: Integers


def draw(rs: RandomState, sizes: Sequence[int], num_batches: int, batch_size: int, *, num_choices: int = 0) -> Draws:
    """For each batch: `rs.randint(num_choices)` if there are any, then `rs.randint(size, size=B)` for each size.

    Leaves `rs` as those calls would. Sizes are 1 to 2**31.
    """
    draws = Draws(
        np.zeros(num_batches, dtype=np.int64), np.zeros((num_batches, batch_size, len(sizes)), dtype=np.int64)
    )
    fill = _draw_compiled if "numba" in sys.modules or num_batches * len(sizes) >= LONG else _draw_one_by_one
    fill(rs, sizes, num_choices, draws)
    return draws


def _draw_one_by_one(rs: RandomState, sizes: Sequence[int], num_choices: int, draws: Draws) -> None:
    batch_size = draws.value_MBC.shape[1]
    for batch, value_BC in enumerate(draws.value_MBC):
        if num_choices:
            draws.choice_M[batch] = rs.randint(num_choices)
        for column, size in enumerate(sizes):
            value_BC[:, column] = rs.randint(size, size=batch_size)


def _draw_compiled(rs: RandomState, sizes: Sequence[int], num_choices: int, draws: Draws) -> None:
    before: Any = rs.get_state(legacy=False)
    size_C = np.array(sizes, dtype=np.int64)
    num_words = _expected_words(size_C, num_choices, draws) + SPARE_WORDS
    while True:
        words = RandomState(_generator(before)).randint(2**32, size=num_words, dtype=np.uint32)  # each as it comes
        num_used = _fill()(words, size_C, num_choices, *draws)
        if num_used >= 0:
            break
        num_words *= 2
    after = _generator(before)
    after.random_raw(num_used, output=False)
    rs.set_state({**before, "state": after.state["state"]})


def _generator(state: Any) -> MT19937:
    generator = MT19937()
    generator.state = {"bit_generator": "MT19937", "state": state["state"]}
    return generator


def _expected_words(size_C: Integers, num_choices: int, draws: Draws) -> int:
    num_batches, batch_size, _ = draws.value_MBC.shape
    sizes = np.append(size_C, np.full(1, max(num_choices, 1)))
    per_value = np.where(sizes > 1, 2.0 ** np.ceil(np.log2(sizes)) / sizes, 0.0)
    per_batch = batch_size * per_value[:-1].sum() + per_value[-1]
    return int(num_batches * per_batch * 1.01)


@cache
def _fill() -> Any:
    from disentanglement.metrics.classifiers.boosted_trees.compiling import compiled  # loads the compiler

    return compiled(_fill_from_words)


def _fill_from_words(
    words: NDArray[np.uint32], size_C: Integers, num_choices: int, choice_M: Integers, value_MBC: Integers
) -> int:
    """How many words were used, -1 where they ran out."""
    position = 0
    for batch in range(len(choice_M)):
        for column in range(-1, len(size_C)):
            largest = (num_choices if column < 0 else size_C[column]) - 1
            if largest <= 0:
                continue  # nothing is drawn where there is one value
            mask = 1
            while mask < largest:
                mask = 2 * mask + 1
            for point in range(1 if column < 0 else value_MBC.shape[1]):
                value = largest + 1
                while value > largest:
                    if position == len(words):
                        return -1
                    value = np.int64(words[position]) & mask
                    position += 1
                if column < 0:
                    choice_M[batch] = value
                else:
                    value_MBC[batch, point, column] = value
    return position
