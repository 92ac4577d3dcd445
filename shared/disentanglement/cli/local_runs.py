"""`disentangle study run|status|watch|cancel|retry` without services: from the store, in workers of this command."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from disentanglement.cli import local_study, published_studies
from disentanglement.cli.console import print_json, say, saying_on_interrupt
from disentanglement.cli.settings import Place, device_name
from disentanglement.cli.study_ends import finish, plain, show_failures, view_of
from disentanglement.cli.study_view import as_line

if TYPE_CHECKING:
    from disentanglement.cli.local_study import LocalStudy
    from disentanglement.specs import StudySpec


@dataclass(frozen=True, slots=True)
class Workers:
    """How many steps run at once, and where."""

    number: int
    devices: tuple[str, ...]

    @classmethod
    def of(cls, workers: int | None, devices: str | None) -> Workers:
        """From options: one worker per device, or as many as the machine has cores."""
        on = tuple(device_name(text.strip()) for text in devices.split(",")) if devices else ()
        return cls(workers or (1 if on else os.cpu_count() or 1), on)


def run(found: LocalStudy, workers: Workers, *, again: str, as_json: bool) -> None:
    """Runs what is pending; `again` is what to call the study in order to go on."""
    stopped = f"stopped, checkpoints are kept; go on with: disentangle study run {again}"
    with saying_on_interrupt(stopped), view_of(found.name) as view:
        state = found.run(
            workers=workers.number,
            devices=workers.devices,
            show=lambda state, important: view.show(state, important=important),
            note=view.note,
        )
    finish(found.name, state, found.ledger.failures(found.plan), as_json)


def begun(place: Place, study: str, spec: StudySpec | None, *, replace: bool) -> LocalStudy:
    """The study to be run: submitted now, or (without a spec) one that was submitted before."""
    if spec is None:
        return published_studies.go_on(place, study)
    return published_studies.submit(place, spec, replace=replace)


def check(place: Place, spec: StudySpec, as_json: bool) -> None:
    """Only checks: the store stays as it is."""
    counts = local_study.count(place, spec)
    if as_json:
        print_json({"study": spec.name, "steps": counts})
    else:
        typer.echo(f"{spec.name}: " + ", ".join(f"{number} {step} steps" for step, number in counts.items()))


def status(place: Place, study: str, as_json: bool) -> None:
    """Shows how far a study is, and what has failed."""
    found = local_study.find(place, local_study.name_of(study))
    state, failures = found.state(), found.ledger.failures(found.plan)
    if as_json:
        print_json(plain(found.name, state, failures) | {"plan": found.plan.digest, "models": len(found.plan.models)})
        return
    typer.echo(f"{found.name}: {as_line(state)}")
    show_failures(found.name, failures)


def watch(place: Place, study: str, as_json: bool) -> None:
    """Follows a study that others work off."""
    found = local_study.find(place, local_study.name_of(study))
    with view_of(found.name) as view:
        state = found.watch(lambda state, important: view.show(state, important=important))
    finish(found.name, state, found.ledger.failures(found.plan), as_json)


def cancel(place: Place, study: str) -> str:
    """Writes down that a study shall stop; its name."""
    from disentanglement.studies.records import cancel_study

    found = local_study.find(place, local_study.name_of(study))
    cancel_study(found.store, place.project, found.name)
    return found.name


def retry(place: Place, study: str) -> tuple[str, int]:
    """Forgets the failures of a study; its name, and how many there were."""
    found = local_study.find(place, local_study.name_of(study))
    count = found.ledger.forget_failures(found.plan)
    say(f"{count} failed steps may be tried again: disentangle study run {study}")
    return found.name, count


def rows(place: Place) -> list[dict[str, Any]]:
    """The studies of the project, as a table."""
    from disentanglement.studies.records import list_studies

    return [
        {
            "study": record.study,
            "models": record.num_models,
            "cells": len(record.cells),
            "submitted": record.created.strftime("%Y-%m-%d %H:%M"),
            "plan": record.plan[:12],
        }
        for record in list_studies(place.open(), place.project)
    ]
