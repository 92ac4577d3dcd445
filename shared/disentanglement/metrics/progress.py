"""How a slow metric says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], None]
"""Called with the share done, from 0 to 1, rising. What it raises stops the metric: so a caller cancels."""


def silent(share: float) -> None:
    """Nobody is watching."""


def part_of(progress: Progress, start: float, end: float) -> Progress:
    """The progress of one part, which runs from `start` to `end` of the whole."""
    return lambda share: progress(start + (end - start) * share)
