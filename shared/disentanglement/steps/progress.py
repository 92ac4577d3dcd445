"""How far a step is, as it is shown and sent."""

from __future__ import annotations

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


Report = Callable[[Progress], None]
"""Called every now and then by a running step."""

ShouldStop = Callable[[], bool]
"""True once somebody asked the step to stop: checkpoint, then raise `Interrupted`."""


def silent(progress: Progress) -> None:
    """Reports to nobody."""


def never() -> bool:
    """Nobody asks to stop."""
    return False
