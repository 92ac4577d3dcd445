"""One long task: a bar with share, time left and what is being done; plain lines where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from disentanglement.cli.console import duration, messages, say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

LINE_EVERY_S = 5.0


class Bar:
    """Shows one task. `update` may be called as often as one likes, from one thread."""

    def __init__(self, title: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._title = title
        self._clock = clock
        self._started = self._last_line = clock()
        self._rich: RichProgress | None = None

    def __enter__(self) -> Self:
        console = messages()
        if console.is_terminal:
            self._rich = _rich_progress(console)
            self._task = self._rich.add_task(self._title, total=None, note="")  # until a share is known
            self._rich.start()
        else:
            say(f"{self._title} ...")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._rich is not None:
            if kind is None:
                self._rich.update(self._task, total=1.0, completed=1.0)
            self._rich.stop()
        elif kind is None:
            say(f"{self._title}: done in {duration(self._clock() - self._started)}")

    def update(self, fraction: float, note: str = "") -> None:
        """So much of the task is done."""
        if self._rich is not None:
            self._rich.update(self._task, total=1.0, completed=min(1.0, fraction), note=note)
        elif self._clock() - self._last_line >= LINE_EVERY_S:
            self._last_line = self._clock()
            say(f"{self._title}: {fraction:4.0%} {self._left(fraction)} {note}".rstrip())

    def _left(self, fraction: float) -> str:
        if fraction <= 0:
            return ""
        return f"about {duration((self._clock() - self._started) * (1 - fraction) / fraction)} to go"


@contextmanager
def bar(title: str, *, shown: bool = True) -> Iterator[Callable[[float, str], None]]:
    """A function that shows the share done and a note; it does nothing where `shown` is False."""
    if not shown:
        yield _silent
        return
    with Bar(title) as task:
        yield task.update


def _silent(fraction: float, note: str = "") -> None:
    """Shows nothing."""


def _rich_progress(console: Console) -> RichProgress:
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
    from rich.text import Text

    class Times(ProgressColumn):
        """`0:07 so far  about 0:12 to go`."""

        def render(self, task: Task) -> Text:
            so_far = Text(f"{duration(task.finished_time if task.finished else task.elapsed)} so far", "dim")
            if task.finished or not task.completed or task.elapsed is None:
                return so_far
            left = task.elapsed * (1 - task.completed) / task.completed
            return Text.assemble(so_far, (f"  about {duration(left)} to go", "cyan"))

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        Times(),
        TextColumn("[dim]{task.fields[note]}"),
        console=console,
        refresh_per_second=5,
    )
