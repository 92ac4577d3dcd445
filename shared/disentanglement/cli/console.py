"""What the command prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from disentanglement.errors import DisentanglementError, SpecError

if TYPE_CHECKING:
    from rich.console import Console


def results() -> Console:
    """Where tables go."""
    from rich.console import Console

    return Console(file=sys.stdout, soft_wrap=False, highlight=False)


@cache
def messages() -> Console:
    """Where progress, hints and errors go. There is one, so that lines appear above what moves."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(text: str, *, style: str | None = None) -> None:
    """One line for people, on standard error."""
    messages().print(text, style=style, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Strict JSON on standard output: a number that is not finite is null, with a reason beside it."""
    sys.stdout.write(json.dumps(strict(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def strict(value: Any) -> Any:
    """The value without non-finite numbers: `{"mig": nan}` becomes `{"mig": None, "mig_reason": "nan"}`."""
    match value:
        case Mapping():
            plain = {str(name): strict(member) for name, member in value.items()}
            return plain | {f"{name}_reason": _name(member) for name, member in value.items() if _is_odd(member)}
        case list() | tuple():
            return [strict(member) for member in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value


def complaints(error: DisentanglementError) -> list[str]:
    """An error as lines for people: a wrong spec has one line per field."""
    if isinstance(error, SpecError) and error.violations:
        return [str(violation) for violation in error.violations]
    return [str(error) or type(error).__name__]


def complain(error: DisentanglementError) -> None:
    """Tell what went wrong and, where it is known, what to do."""
    console = messages()
    for line in complaints(error):
        console.print("[bold red]error:[/]", end=" ")
        console.print(line, markup=False, soft_wrap=True)


@contextmanager
def saying_on_interrupt(text: str) -> Iterator[None]:
    """After Ctrl-C, says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        say(text)
        raise


def duration(seconds: float | None) -> str:
    """`3:07`, `1:02:03`; `-:--` where nobody knows."""
    if seconds is None or not math.isfinite(seconds):
        return "-:--"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def size(num_bytes: float) -> str:
    """`1.4 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.0f} B" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1024
    return f"{num_bytes:.1f} TiB"


def _is_odd(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _name(value: float) -> str:
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
