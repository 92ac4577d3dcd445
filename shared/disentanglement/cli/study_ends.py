"""How studies are shown while they run and when they have ended, wherever that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from disentanglement.cli.console import print_json, say
from disentanglement.cli.exit_codes import ExitCode
from disentanglement.cli.study_view import StudyView
from disentanglement.errors import SpecError

if TYPE_CHECKING:
    from disentanglement.cli.study_view import StudyState
    from disentanglement.rpc.views import FailedStep
    from disentanglement.storage.failures import FailureRecord

MOST_FAILURES = 20
WRONG_SPEC = SpecError.of("", "", "").reason
MEND = "a SPEC_ERROR stays one: mend the spec and submit again: disentangle study run FILE --replace"
"""What is said where a step can't succeed as it is written, however often it is tried."""


def view_of(name: str) -> StudyView:
    """Shows a study while it runs."""
    return StudyView(f"study {name}")


def finish(name: str, state: StudyState, failures: list[FailureRecord], as_json: bool) -> None:
    """The end of a study of the store.

    Raises:
        typer.Exit: some of its steps have failed.
    """
    if as_json:
        print_json(plain(name, state, failures))
    else:
        show_failures(name, failures)
        say(f"see the scores: disentangle results show {name}")
    if failures:
        raise typer.Exit(ExitCode.FAILED)


def plain(name: str, state: StudyState, failures: list[FailureRecord]) -> dict[str, object]:
    """For `--json`."""
    shown = [
        {"step": record.step, "step_key": record.step_key, "reason": record.reason, "message": record.message}
        for record in failures
    ]
    return {"study": name, **state.to_plain(), "failures": shown}


def show_failures(name: str, failures: Sequence[FailureRecord | FailedStep]) -> None:
    """What has failed, and how it is tried again."""
    for record in failures[:MOST_FAILURES]:
        say(f"failed: {record.step} {record.step_key[:40]}... {record.reason}: {record.message}", style="red")
    if len(failures) > MOST_FAILURES:
        say(f"and {len(failures) - MOST_FAILURES} more: disentangle study status {name} --json")
    if any(record.reason == WRONG_SPEC for record in failures):
        say(MEND)
    if any(record.reason != WRONG_SPEC for record in failures):
        say(f"let them be tried again: disentangle study retry {name}")
