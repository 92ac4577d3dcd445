"""The course of a training as TensorBoard's event files: `tensorboard --logdir FOLDER` draws its curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from disentanglement.models.export.programs import require_extra

Row = Mapping[str, float | None]
"""One row of a history: `step`, terms of the loss, `kl_<latent>`, `images_per_second`."""


class EventFiles:
    """Writes rows of a training's history into a folder, each step once.

    Raises:
        NotBuiltYet: the extra `export` is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        require_extra("tensorboard")
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder))
        self._last_step = 0

    def add(self, rows: Sequence[Row], times: Sequence[float] | None = None) -> int:
        """Writes the rows that come after what was written before; how many there were.

        `times` are seconds since 1970, one for each row; without them, rows are of this moment.
        """
        count = 0
        for i, row in enumerate(rows):
            step = int(row["step"] or 0)
            if step > self._last_step:
                self._add(row, step, None if times is None else times[i])
                count += 1
        self._writer.flush()
        return count

    def _add(self, row: Row, step: int, time_s: float | None) -> None:
        for name, value in row.items():
            if name != "step" and value is not None:
                self._writer.add_scalar(tag_of(name), value, step, walltime=time_s)
        self._last_step = step

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.close()


def tag_of(column: str) -> str:
    """`kl_3` is shown as `kl_per_latent/03`, `images_per_second` under `speed`, terms of the loss under `train`."""
    first, _, rest = column.partition("_")
    if first == "kl" and rest.isdecimal():
        return f"kl_per_latent/{int(rest):02d}"
    return f"speed/{column}" if column == "images_per_second" else f"train/{column}"


def times_of(rows: Sequence[Row], *, started_s: float, seconds: float) -> list[float]:
    """When each row was reached, of a training that took so many seconds: they are shared out by the rows' speeds."""
    took = list(_durations(rows))
    reached = list(accumulate(took))
    return [started_s + seconds * done / reached[-1] for done in reached]


def _durations(rows: Sequence[Row]) -> Iterator[float]:
    """Of each row's steps, in a unit that is the same for all."""
    before = 0.0
    for row in rows:
        step = float(row["step"] or 0)
        yield (step - before) / (row.get("images_per_second") or 1.0)
        before = step
