"""How a running study looks: counts per step, share of the work, time to go, and what runs now with its rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from disentanglement.cli.console import duration, messages, say

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

LINE_EVERY_S = 5.0
MOST_ROWS = 8
NAMES = {"train": "trained", "postprocess": "extracted", "evaluate": "scored"}


@dataclass(frozen=True, slots=True)
class Count:
    """Steps of one kind: in all, committed, failed."""

    total: int
    committed: int
    failed: int


@dataclass(frozen=True, slots=True)
class Running:
    """One step that runs now; `fraction` is None where it is not known."""

    text: str
    fraction: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class StudyState:
    """A study at one moment, wherever it runs. `at` is when this was known, on the view's clock."""

    counts: Mapping[str, Count]
    fraction: float
    eta_s: float | None
    elapsed_s: float
    running: tuple[Running, ...] = ()
    at: float = field(default_factory=time.monotonic)

    @property
    def failed(self) -> int:
        """Steps that failed, of all kinds."""
        return sum(count.failed for count in self.counts.values())

    def to_plain(self) -> dict[str, object]:
        """For `--json`."""
        steps = {
            step: {"total": count.total, "committed": count.committed, "failed": count.failed}
            for step, count in self.counts.items()
        }
        return {"steps": steps, "fraction": round(self.fraction, 4), "eta_s": self.eta_s}


def as_line(state: StudyState) -> str:
    """One line for a log file."""
    counts = ", ".join(f"{NAMES[step]} {count.committed}/{count.total}" for step, count in state.counts.items())
    failed = f", {state.failed} failed" if state.failed else ""
    left = f", about {duration(state.eta_s)} to go" if state.eta_s is not None else ""
    now = "; ".join(_running_text(running) for running in state.running[:3])
    return f"[{state.fraction:4.0%}] {counts}{failed}{left}{f' | {now}' if now else ''}"


class StudyView:
    """Shows a study until it is left. `show` may be called as often as one likes, from any thread."""

    def __init__(self, title: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._title = title
        self._clock = clock
        self._started = clock()
        self._state: StudyState | None = None
        self._printed: StudyState | None = None
        self._last_line = float("-inf")
        self._live: Live | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        console = messages()
        if console.is_terminal:
            from rich.live import Live

            self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4)
            self._live.start()
        else:
            say(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._state is not None and self._state is not self._printed:
            say(as_line(self._state))

    def show(self, state: StudyState, *, important: bool = False) -> None:
        """This is how it stands now; what is important is not held back where lines are printed."""
        with self._lock:
            self._state = state
            if self._live is not None:
                return
            now = self._clock()
            if now - self._last_line >= (1.0 if important else LINE_EVERY_S):
                self._last_line = now
                self._printed = state
                say(as_line(state))

    def note(self, text: str) -> None:
        """A line that stays, above the moving part."""
        if self._live is not None:
            self._live.console.print(text, markup=False, soft_wrap=True)
        else:
            say(text)

    def _render(self) -> RenderableType:
        from rich.text import Text

        if self._state is None:
            return Text(f"{self._title}  {duration(self._clock() - self._started)}")
        return panel(self._title, self._state, self._clock())


def panel(title: str, state: StudyState, now: float) -> RenderableType:
    """The moving part in a terminal; between two messages the time to go runs on."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    since = max(0.0, now - state.at)
    whole = Table.grid(padding=(0, 2))
    counts = Text("  ").join(
        Text.assemble((f"{NAMES[step]} ", "dim"), (f"{count.committed}/{count.total}", "bold"))
        for step, count in state.counts.items()
    )
    if state.failed:
        counts.append(f"  {state.failed} failed", "bold red")
    left = "" if state.eta_s is None else f"about {duration(max(1.0, state.eta_s - since))} to go"
    whole.add_row(
        ProgressBar(total=1.0, completed=state.fraction, width=40),
        Text(f"{state.fraction:4.0%}"),
        Text(f"{duration(state.elapsed_s + since)} so far", "dim"),
        Text(left, "cyan"),
    )
    rows = Table.grid(padding=(0, 2))
    for running in state.running[:MOST_ROWS]:
        share = "" if running.fraction is None else f"{running.fraction:4.0%}"
        rows.add_row(Text("  ", "dim"), Text(running.text), Text(share), Text(running.note, "dim"))
    if len(state.running) > MOST_ROWS:
        rows.add_row("", Text(f"and {len(state.running) - MOST_ROWS} more", "dim"))
    return Group(Text.assemble((title, "bold"), "  ", counts), whole, rows)


def _running_text(running: Running) -> str:
    share = "" if running.fraction is None else f" {running.fraction:.0%}"
    return f"{running.text}{share}{f' {running.note}' if running.note else ''}"
