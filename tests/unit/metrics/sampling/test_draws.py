from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from
from numpy.random import RandomState

from disentanglement.metrics.sampling import draws as module
from disentanglement.metrics.sampling.draws import Draws, draw

FILLS = {"compiled": module._draw_compiled, "one by one": module._draw_one_by_one}


def by_hand(
    rs: RandomState, sizes: list[int], num_batches: int, batch_size: int, num_choices: int
) -> tuple[list[int], list[list[list[int]]]]:
    """The calls that the reference makes."""
    choices, values = [], []
    for _ in range(num_batches):
        choices.append(int(rs.randint(num_choices)) if num_choices else 0)
        values.append(np.stack([rs.randint(size, size=batch_size) for size in sizes], axis=1).tolist())
    return choices, values


def filled(how: str, rs: RandomState, sizes: list[int], num_batches: int, batch_size: int, num_choices: int) -> Draws:
    empty = Draws(
        np.zeros(num_batches, dtype=np.int64), np.zeros((num_batches, batch_size, len(sizes)), dtype=np.int64)
    )
    FILLS[how](rs, sizes, num_choices, empty)
    return empty


@given(
    sizes=lists(sampled_from([1, 2, 3, 6, 32, 40, 65, 2**20 + 1, 2**31]), min_size=1, max_size=4),
    num_batches=integers(1, 9),
    batch_size=integers(1, 70),
    num_choices=integers(0, 6),
    seed=integers(0, 2**32 - 1),
    how=sampled_from(sorted(FILLS)),
)
def test_draws_are_those_of_single_calls_and_the_generator_goes_on_from_there(
    sizes: list[int], num_batches: int, batch_size: int, num_choices: int, seed: int, how: str
) -> None:
    one, all_at_once = RandomState(seed), RandomState(seed)
    for rs in (one, all_at_once):
        rs.normal()  # a second normal number waits in the generator, and has to go on waiting
    expected = by_hand(one, sizes, num_batches, batch_size, num_choices)
    drawn = filled(how, all_at_once, sizes, num_batches, batch_size, num_choices)
    assert (drawn.choice_M.tolist(), drawn.value_MBC.tolist()) == expected
    assert one.normal() == all_at_once.normal()
    assert one.randint(2**31, size=5).tolist() == all_at_once.randint(2**31, size=5).tolist()


def test_words_that_run_out_are_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_expected_words", lambda *_: 0)
    monkeypatch.setattr(module, "SPARE_WORDS", 1)
    drawn = filled("compiled", RandomState(3), [3, 5], 50, 4, 5)
    assert (drawn.choice_M.tolist(), drawn.value_MBC.tolist()) == by_hand(RandomState(3), [3, 5], 50, 4, 5)


def test_both_ways_give_what_draw_gives() -> None:
    drawn = draw(RandomState(1), [3, 40], 7, 16, num_choices=2)
    for how in FILLS:
        other = filled(how, RandomState(1), [3, 40], 7, 16, 2)
        assert (drawn.value_MBC == other.value_MBC).all()
        assert (drawn.choice_M == other.choice_M).all()
