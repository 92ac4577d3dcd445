from __future__ import annotations

import asyncio
from collections.abc import Collection

from hypothesis import given
from hypothesis.strategies import booleans, integers, lists, sampled_from, tuples

from disentanglement.steps.turns import Turns


class Place:
    """Steps that hold their places until they are let go, in the order in which they got them."""

    def __init__(self, places: int, quick_places: int = 0) -> None:
        self.turns = Turns(places, quick_places)
        self.started: list[str] = []
        self.most = 0
        self.running: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def ask(self, name: str, callers: Collection[str], *, is_quick: bool = False) -> None:
        self.tasks[name] = asyncio.create_task(self._hold(name, callers, is_quick))

    async def _hold(self, name: str, callers: Collection[str], is_quick: bool) -> None:
        async with self.turns.turn(callers, is_quick=is_quick):
            self.started.append(name)
            self.running[name] = asyncio.Event()
            self.most = max(self.most, len(self.running))
            try:
                await self.running[name].wait()
            finally:
                del self.running[name]

    async def settle(self) -> None:
        for _ in range(8):
            await asyncio.sleep(0)

    async def finish(self, name: str) -> None:
        self.running[name].set()
        await self.settle()

    async def finish_all(self) -> None:
        while self.running:
            await self.finish(next(iter(self.running)))


async def test_one_step_does_not_wait_behind_a_hundred_of_another_caller() -> None:
    place = Place(2)
    for i in range(100):
        place.ask(f"a{i}", ["a"])
    await place.settle()
    place.ask("b", ["b"])
    await place.settle()
    assert place.started == ["a0", "a1"]
    await place.finish("a0")
    assert place.started == ["a0", "a1", "b"]
    await place.finish_all()
    assert len(place.started) == 101
    assert place.most == 2


async def test_callers_of_many_steps_take_turns() -> None:
    place = Place(1)
    for name in ("a0", "a1", "a2", "b0", "b1", "c0"):
        place.ask(name, name[:1])
    await place.settle()
    await place.finish_all()
    assert place.started == ["a0", "b0", "c0", "a1", "b1", "a2"]


async def test_a_quick_step_of_who_has_none_running_does_not_wait_for_slow_ones() -> None:
    place = Place(1, quick_places=1)
    for name in ("a0", "a1"):
        place.ask(name, ["a"], is_quick=True)
    place.ask("b slow", ["b"])
    await place.settle()
    assert place.started == ["a0"]  # a has one running, and b's is slow
    place.ask("b quick", ["b"], is_quick=True)
    await place.settle()
    assert place.started == ["a0", "b quick"]
    await place.finish("b quick")
    await place.finish_all()
    assert sorted(place.started) == ["a0", "a1", "b quick", "b slow"]
    assert place.most == 2


async def test_a_step_that_another_caller_wants_too_comes_as_early_as_for_that_caller() -> None:
    place, wanted = Place(1), ["a"]
    for name in ("a0", "a1"):
        place.ask(name, ["a"])
    place.ask("both", wanted)
    await place.settle()
    wanted.append("b")
    await place.finish("a0")
    assert place.started == ["a0", "both"]
    await place.finish_all()


async def test_who_stops_waiting_or_running_leaves_the_place_to_others() -> None:
    place = Place(1)
    for name in ("first", "second", "third"):
        place.ask(name, ["a"])
    await place.settle()
    place.tasks["second"].cancel()
    place.tasks["first"].cancel()
    await place.settle()
    assert place.started == ["first", "third"]
    await place.finish("third")
    place.ask("fourth", ["a"])
    await place.settle()
    assert place.started[-1] == "fourth"
    await place.finish_all()


async def test_who_stops_in_the_moment_of_its_turn_gives_the_place_back() -> None:
    place = Place(1)
    for name in ("first", "second", "third"):
        place.ask(name, ["a"])
    await place.settle()
    place.running["first"].set()
    await asyncio.sleep(0)  # the place is given to the second, which has not woken up yet
    place.tasks["second"].cancel()
    await place.settle()
    assert place.started[-1] == "third"
    await place.finish_all()


@given(
    steps=lists(tuples(sampled_from("abc"), booleans(), integers(0, 3)), max_size=30),
    places=integers(1, 3),
    quick_places=integers(0, 2),
)
def test_every_step_has_its_turn_and_never_more_run_than_there_are_places(
    steps: list[tuple[str, bool, int]], places: int, quick_places: int
) -> None:
    async def all_of_them() -> Place:
        place = Place(places, quick_places)
        for i, (caller, is_quick, finish) in enumerate(steps):
            place.ask(str(i), [caller], is_quick=is_quick)
            await place.settle()
            for name in list(place.running)[:finish]:
                await place.finish(name)
        await place.finish_all()
        return place

    place = asyncio.run(all_of_them())
    assert sorted(place.started, key=int) == [str(i) for i in range(len(steps))]
    assert place.most <= places + quick_places
