"""`disentangle study run|status|watch|cancel|retry --server`: studies that an aggregator drives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from disentanglement.cli.console import print_json, say, saying_on_interrupt
from disentanglement.cli.exit_codes import ExitCode
from disentanglement.cli.local_study import name_of
from disentanglement.cli.remote_study import EQUAL, Ended, Server, not_there, weights_of
from disentanglement.cli.study_ends import show_failures, view_of
from disentanglement.cli.study_view import as_line
from disentanglement.errors import Interrupted

if TYPE_CHECKING:
    from disentanglement.specs import StudySpec


def run(server: Server, study: str | StudySpec, as_json: bool) -> None:
    """Submits a study, or goes on with one that was submitted before, and watches it."""
    if not isinstance(study, str):
        server.submit(study)
        _watch(server, study.name, study, as_json)
    elif server.status(study).state == "cancelled":
        raise not_there(study)
    else:
        _watch(server, study, None, as_json)


def status(server: Server, study: str, as_json: bool) -> None:
    """Shows how far a study is, and what has failed."""
    ended = Ended(server.status(name_of(study)))
    if as_json:
        print_json(ended.to_plain())
    else:
        typer.echo(f"{ended.view.study} is {ended.view.state}: {as_line(ended.state)}")
        show_failures(ended.view.study, ended.view.failures)


def watch(server: Server, study: str, as_json: bool) -> None:
    """Follows a study to its end."""
    _watch(server, name_of(study), None, as_json)


def cancel(server: Server, study: str) -> str:
    """Stops a study for good; its name."""
    name = name_of(study)
    server.cancel(name)
    return name


def retry(server: Server, study: str) -> tuple[str, int]:
    """Lets failed steps be tried again; the study's name, and how many there were."""
    name = name_of(study)
    count = server.retry(name)
    say(f"{count} failed steps are tried again")
    return name, count


def _watch(server: Server, name: str, spec: StudySpec | None, as_json: bool) -> None:
    again = f"the study goes on; watch it with: disentangle study watch {name} --server {server.address}"
    with saying_on_interrupt(again), view_of(name) as view:
        ended = Ended(server.watch(name, view, weights=EQUAL if spec is None else weights_of(spec)))
    if as_json:
        print_json(ended.to_plain())
    else:
        show_failures(name, ended.view.failures)
        say(f"{ended.view.state}; see the scores: disentangle results show {name} --server {server.address}")
    if ended.view.state == "cancelled":
        raise Interrupted(f"the study {name} was cancelled; checkpoints are kept")
    if ended.view.failures:
        raise typer.Exit(ExitCode.FAILED)
