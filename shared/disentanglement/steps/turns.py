"""Who computes next: callers take turns, and what is quick need not wait for what is slow.

A caller who asks for one step does not wait behind a hundred of another's: of those that wait, the one goes first whose
caller has the fewest steps running, then the one whose caller was served the longest ago. Beside the ordinary places
there may be a few that only quick steps get, of callers who have none running: while all others are taken by minutes
of work, seconds of work go on.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

MOST_REMEMBERED = 1024
"""Callers of whom it is known when they were served last."""


@dataclass(eq=False)
class _Waiting:
    """A step that waits, for everybody who wants it."""

    callers: Collection[str]
    """May grow while it waits."""
    is_quick: bool
    number: int
    granted: asyncio.Future[bool]
    """With whether the place is one for quick steps."""
    served: tuple[str, ...] = ()
    """The callers when its turn came."""


class Turns:
    """`places` steps at once, and `quick_places` more that are quick."""

    def __init__(self, places: int, quick_places: int = 0) -> None:
        self._free = places
        self._free_quick = quick_places
        self._waiting: list[_Waiting] = []
        self._running: Counter[str] = Counter()
        self._served: dict[str, int] = {}
        self._numbers = count()

    @asynccontextmanager
    async def turn(self, callers: Collection[str], *, is_quick: bool = False) -> AsyncIterator[None]:
        """Holds a place, once it is this step's turn."""
        waiting = _Waiting(callers, is_quick, next(self._numbers), asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._grant()
        try:
            is_quick_place = await waiting.granted
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            elif not waiting.granted.cancelled():
                self._give_back(waiting, waiting.granted.result())
            raise
        try:
            yield
        finally:
            self._give_back(waiting, is_quick_place)

    def _give_back(self, ended: _Waiting, is_quick_place: bool) -> None:
        self._running -= Counter(ended.served)  # keeps those above zero
        if is_quick_place:
            self._free_quick += 1
        else:
            self._free += 1
        self._grant()

    def _grant(self) -> None:
        self._waiting = [waiting for waiting in self._waiting if not waiting.granted.cancelled()]
        while self._free and self._waiting:
            self._free -= 1
            self._serve(min(self._waiting, key=self._rank), is_quick_place=False)
        while self._free_quick and (quick := [each for each in self._waiting if self._may_overtake(each)]):
            self._free_quick -= 1
            self._serve(min(quick, key=self._rank), is_quick_place=True)

    def _may_overtake(self, waiting: _Waiting) -> bool:
        return waiting.is_quick and self._rank(waiting)[0] == 0

    def _rank(self, waiting: _Waiting) -> tuple[int, int, int]:
        """By the caller among those who want it who has had the least."""
        best = min((self._running[caller], self._served.get(caller, -1)) for caller in waiting.callers)
        return *best, waiting.number

    def _serve(self, waiting: _Waiting, *, is_quick_place: bool) -> None:
        self._waiting.remove(waiting)
        waiting.served = tuple(waiting.callers)
        now = next(self._numbers)
        self._running.update(waiting.served)
        self._served.update(dict.fromkeys(waiting.served, now))
        if len(self._served) > MOST_REMEMBERED:
            latest = sorted(self._served.items(), key=lambda served: served[1])[MOST_REMEMBERED // 2 :]
            self._served = dict(latest)
        waiting.granted.set_result(is_quick_place)
