"""Which objects have to be looked at again, and when: each at most once in the queue, none before its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class WorkQueue(Generic[Key]):
    """Keys with the time from which on they may be taken; safe to be used by several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[Key, float] = {}
        self._rests_until: dict[Key, float] = {}
        self._changed = threading.Condition()
        self._is_closed = False

    def add(self, key: Key, *, after_s: float = 0.0) -> None:
        """Have a key looked at in `after_s` seconds, or earlier if somebody else asks for that."""
        with self._changed:
            due = max(self._clock() + after_s, self._rests_until.get(key, 0.0))
            self._due[key] = min(due, self._due.get(key, due))
            self._changed.notify_all()

    def rest(self, key: Key, seconds: float) -> None:
        """Not before so many seconds, whoever asks: a burst of changes is looked at once."""
        with self._changed:
            self._rests_until[key] = self._clock() + seconds
            if key in self._due:
                self._due[key] = max(self._due[key], self._rests_until[key])

    def forget(self, key: Key) -> None:
        """The key exists no more."""
        with self._changed:
            self._due.pop(key, None)
            self._rests_until.pop(key, None)

    def take(self) -> Key | None:
        """The key that waits longest of those whose time has come; waits for it. None once the queue is closed."""
        with self._changed:
            while not self._is_closed:
                key = min(self._due, key=self._due.__getitem__, default=None)
                wait_s = None if key is None else self._due[key] - self._clock()
                if key is not None and wait_s is not None and wait_s <= 0:
                    del self._due[key]
                    return key
                self._changed.wait(wait_s)
            return None

    def close(self) -> None:
        """Nothing is taken any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class RateLimit:
    """At most `per_second` grants a second on average, and a few at once."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._clock = clock
        self._left = float(burst)
        self._counted_at = clock()

    def take(self) -> bool:
        """Whether one more may be done now."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def wait_s(self) -> float:
        """Seconds until the next one may be done."""
        return max(0.0, (1 - self._left) / self._per_second)
