"""`disentangle study rescore`: what a newer release computes otherwise, computed for the models that are there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from disentanglement.cli import local_runs, local_study
from disentanglement.cli.console import say
from disentanglement.cli.local_study import LocalStudy
from disentanglement.cli.options import DEFAULT_PROJECT, JsonOption, ProjectOption, StoreOption
from disentanglement.cli.settings import Place


def rescore(
    study: Annotated[str, typer.Argument(metavar="FILE_OR_ID", help="A submitted study, or the file it came from")],
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=1024, help="Scores at once", show_default=False)
    ] = None,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    as_json: JsonOption = False,
) -> None:
    """Compute the scores that are missing, of the models that are trained.

    After an update of this program, some metrics may give other numbers: `disentangle
    results show` marks the scores that are old. This computes those anew and nothing
    else; models are never trained here.

    Example: disentangle study rescore my_study
    """
    found = local_study.find(Place.of(store, project), local_study.name_of(study))
    trained = up_to_date(found)
    skipped = len(found.plan.models) - len(trained.plan.models)
    if skipped:
        say(f"{skipped} of {len(found.plan.models)} models are not trained: disentangle study run {found.name}")
    local_runs.run(trained, local_runs.Workers.of(workers, None), again=found.name, as_json=as_json)


def up_to_date(found: LocalStudy) -> LocalStudy:
    """The trained part of a study; the whole is submitted by this release's contract versions."""
    from disentanglement.studies.records import load_study, submit_study
    from disentanglement.studies.rescoring import of_trained_models, with_present_contracts

    plan, spec = with_present_contracts(found.plan), load_study(found.store, found.place.project, found.name)
    if plan.digest != found.plan.digest:
        now, asked = datetime.now(UTC), spec.study_spec()
        submit_study(found.store, asked, plan, project=found.place.project, now=now, replace=True)
    return replace(found, plan=of_trained_models(plan, found.ledger.committed(plan)))
