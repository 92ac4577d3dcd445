"""How far a step is, as it is shown and sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` units (`steps`, `images`, `factors`); `note` may name what is being done."""

    done: int
    total: int
    unit: str
    note: str = ""

    @property
    def fraction(self) -> float:
        """Share done, between 0 and 1."""
        return min(1.0, self.done / self.total) if self.total else 1.0

    def to_plain(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """The inverse of `to_plain`."""
        return cls(**plain)


class Speed:
    """Units a second over the last reports of one attempt."""

    def __init__(self, clock: Callable[[], float], *, window_s: float = 10.0) -> None:
        self._clock = clock
        self._window_s = window_s
        self._reports: deque[tuple[float, int]] = deque()

    def after(self, progress: Progress) -> float | None:
        """The speed once this was reported; None where there is nothing to compare with yet."""
        now = self._clock()
        if self._reports and progress.done < self._reports[-1][1]:
            self._reports.clear()  # the step began anew
        self._reports.append((now, progress.done))
        while len(self._reports) > 2 and self._reports[1][0] <= now - self._window_s:
            self._reports.popleft()
        since, before = self._reports[0]
        return (progress.done - before) / (now - since) if now > since and progress.done > before else None


Report = Callable[[Progress], None]
"""Called every now and then by a running step."""

ShouldStop = Callable[[], bool]
"""True once somebody asked the step to stop: checkpoint, then raise `Interrupted`."""


def silent(progress: Progress) -> None:
    """Reports to nobody."""


def never() -> bool:
    """Nobody asks to stop."""
    return False
