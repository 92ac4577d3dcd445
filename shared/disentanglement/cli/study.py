"""`disentangle study`: run, watch and repeat whole sweeps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from disentanglement.cli import cluster_commands, cluster_study, published_studies
from disentanglement.cli.cluster_commands import is_in_cluster
from disentanglement.cli.console import print_json, say, saying_on_interrupt
from disentanglement.cli.exit_codes import ExitCode
from disentanglement.cli.local_study import is_file, read_file
from disentanglement.cli.options import (
    DEFAULT_PROJECT,
    ClusterOption,
    ContextOption,
    JsonOption,
    NamespaceOption,
    ProjectOption,
    ServerOption,
    SetOption,
    StoreOption,
    TlsCaOption,
    TokenOption,
)
from disentanglement.cli.published_studies import (
    DatasetsOption,
    MethodsOption,
    MetricsOption,
    ModelsOption,
    NameOption,
    SeedsOption,
)
from disentanglement.cli.remote_study import EQUAL, Ended, Server, not_there, weights_of
from disentanglement.cli.settings import Place, device_name
from disentanglement.cli.study_view import StudyView, as_line
from disentanglement.errors import ArtifactNotFound, Interrupted

if TYPE_CHECKING:
    from disentanglement.cli.study_view import StudyState
    from disentanglement.rpc.views import FailedStep
    from disentanglement.specs import StudySpec
    from disentanglement.storage.failures import FailureRecord

app = typer.Typer(no_args_is_help=True, help="Run a sweep of models, watch it, go on with it.")

FILE_OR_ID = typer.Argument(metavar="FILE_OR_ID", help="A study file (YAML), or the name of a submitted study")
FileOrId = Annotated[str, FILE_OR_ID]
MOST_FAILURES = 20


@app.command()
def run(
    study: FileOrId,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, max=1024, help="Steps at once (with --devices: on each)", show_default=False),
    ] = None,
    devices: Annotated[
        str | None, typer.Option("--devices", help="GPUs to work on, e.g. 0,1; default: the CPU", show_default=False)
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of another study of this name")] = False,
    check_only: Annotated[bool, typer.Option("--check", help="Only check the study and count the steps")] = False,
    models: ModelsOption = None,
    datasets: DatasetsOption = None,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    metrics: MetricsOption = None,
    set_: SetOption = None,
    name: NameOption = None,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    server: ServerOption = None,
    token: TokenOption = None,
    tls_ca: TlsCaOption = None,
    cluster: ClusterOption = False,
    context: ContextOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a study, or go on with it: what is committed is never computed again.

    Ctrl-C stops it with checkpoints in place, and the same command goes on.

    Examples:

      disentangle study run study.yaml

      disentangle study run study.yaml --devices 0,1 --workers 2

      disentangle study run study.yaml --server 127.0.0.1:50050

      disentangle study run study.yaml --cluster

      disentangle study run unsupervised_study_v1 --models 42 --metrics mig,sap_score --set training_steps=1000
    """
    variation: dict[str, Any] = {
        "models": models,
        "datasets": datasets,
        "methods": methods,
        "seeds": seeds,
        "metrics": metrics,
        "set_": set_,
        "name": name,
    }
    if is_in_cluster(cluster, context, namespace):
        item = cluster_commands.resource(study, variation, {})
        cluster_commands.run(cluster_study.connect(context, namespace), item, as_json)
        return
    place = Place.of(store, project)
    spec = _asked_for(place, study, **variation)
    if check_only:
        _check(place, spec or published_studies.source(study, place), as_json)
        return
    if server is not None:
        _run_remote(Server(server, token, project, tls_ca), spec or study, as_json)
        return
    found = (
        published_studies.go_on(place, study)
        if spec is None
        else published_studies.submit(place, spec, replace=replace)
    )
    on = [device_name(text.strip()) for text in devices.split(",")] if devices else []
    same = study if all(value is None for value in variation.values()) else found.name
    again = f"stopped, checkpoints are kept; go on with: disentangle study run {same}"
    with saying_on_interrupt(again), _view(found.name) as view:
        state = found.run(
            workers=workers or (1 if on else os.cpu_count() or 1),
            devices=on,
            show=lambda state, important: view.show(state, important=important),
            note=view.note,
        )
    _finish(found.name, state, found.ledger.failures(found.plan), as_json)


@app.command()
def status(
    study: FileOrId,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    server: ServerOption = None,
    token: TokenOption = None,
    tls_ca: TlsCaOption = None,
    cluster: ClusterOption = False,
    context: ContextOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how far a study is, and what has failed.

    Example: disentangle study status my_study --json
    """
    from disentanglement.cli import local_study

    if is_in_cluster(cluster, context, namespace):
        cluster_commands.status(cluster_study.connect(context, namespace), study, as_json)
        return
    if server is not None:
        ended = Ended(Server(server, token, project, tls_ca).status(_name_of(study)))
        if as_json:
            print_json(ended.to_plain())
        else:
            typer.echo(f"{ended.view.study} is {ended.view.state}: {as_line(ended.state)}")
            _show_failures(ended.view.study, ended.view.failures)
        return
    found = local_study.find(Place.of(store, project), _name_of(study))
    state, failures = found.state(), found.ledger.failures(found.plan)
    if as_json:
        print_json(_plain(found.name, state, failures) | {"plan": found.plan.digest, "models": len(found.plan.models)})
        return
    typer.echo(f"{found.name}: {as_line(state)}")
    _show_failures(found.name, failures)


@app.command()
def watch(
    study: FileOrId,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    server: ServerOption = None,
    token: TokenOption = None,
    tls_ca: TlsCaOption = None,
    cluster: ClusterOption = False,
    context: ContextOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow a study that runs elsewhere, until it ends. Ctrl-C stops watching, not the study.

    Example: disentangle study watch my_study --server 127.0.0.1:50050
    """
    from disentanglement.cli import local_study

    if is_in_cluster(cluster, context, namespace):
        cluster_commands.watch(cluster_study.connect(context, namespace), study, as_json)
        return
    if server is not None:
        _watch_remote(Server(server, token, project, tls_ca), _name_of(study), None, as_json)
        return
    found = local_study.find(Place.of(store, project), _name_of(study))
    with _view(found.name) as view:
        state = found.watch(lambda state, important: view.show(state, important=important))
    _finish(found.name, state, found.ledger.failures(found.plan), as_json)


@app.command()
def cancel(
    study: FileOrId,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    server: ServerOption = None,
    token: TokenOption = None,
    tls_ca: TlsCaOption = None,
    cluster: ClusterOption = False,
    context: ContextOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop a study for good, wherever it runs; what is committed and all checkpoints stay.

    Running it again lets it go on. With --cluster the Study is deleted there.
    """
    if is_in_cluster(cluster, context, namespace):
        cluster_commands.cancel(cluster_study.connect(context, namespace), study, as_json)
        return
    name = _name_of(study)
    if server is not None:
        Server(server, token, project, tls_ca).cancel(name)
    else:
        from disentanglement.studies.records import cancel_study

        cancel_study(Place.of(store, project).open(), project, name)
    if as_json:
        print_json({"study": name, "state": "cancelled"})
    say(f"{name} is cancelled; `disentangle study run {study}` lets it go on")


@app.command()
def retry(
    study: FileOrId,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    server: ServerOption = None,
    token: TokenOption = None,
    tls_ca: TlsCaOption = None,
    cluster: ClusterOption = False,
    context: ContextOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget the failures of a study, so that its failed steps are tried again."""
    from disentanglement.cli import local_study

    if is_in_cluster(cluster, context, namespace):
        cluster_commands.retry(cluster_study.connect(context, namespace), study, as_json)
        return
    name = _name_of(study)
    if server is not None:
        count = Server(server, token, project, tls_ca).retry(name)
        say(f"{count} failed steps are tried again")
    else:
        found = local_study.find(Place.of(store, project), name)
        count = found.ledger.forget_failures(found.plan)
        say(f"{count} failed steps may be tried again: disentangle study run {study}")
    if as_json:
        print_json({"study": name, "retried_steps": count})


app.command("show")(published_studies.show)


@app.command("list")
def list_studies(
    published: Annotated[bool, typer.Option("--published", help="Only the published studies")] = False,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    server: ServerOption = None,
    token: TokenOption = None,
    tls_ca: TlsCaOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the submitted studies, and below them the published ones; with --json only the submitted ones.

    Example: disentangle study list --published
    """
    from disentanglement.cli.tables import print_records

    if published:
        print_records(published_studies.published_rows(), as_json=as_json, nothing="")
        return
    if server is not None:
        rows = Server(server, token, project, tls_ca).rows()
    else:
        from disentanglement.studies.records import list_studies

        rows = [
            {
                "study": record.study,
                "models": record.num_models,
                "cells": len(record.cells),
                "submitted": record.created.strftime("%Y-%m-%d %H:%M"),
                "plan": record.plan[:12],
            }
            for record in list_studies(Place.of(store, project).open(), project)
        ]
    print_records(
        rows,
        as_json=as_json,
        nothing="no study was submitted yet: disentangle study run FILE.yaml, or one of the published studies:",
    )
    if not as_json:
        print_records(published_studies.published_rows(), as_json=False, nothing="")


def _asked_for(place: Place, study: str, **options: Any) -> StudySpec | None:
    """What is to be submitted; None: the study of this name that was submitted before goes on."""
    from disentanglement.studies.records import load_study

    if not any(value is not None for value in options.values()) and not is_file(study):
        try:
            load_study(place.open(), place.project, study)
            return None
        except ArtifactNotFound:
            if not published_studies.is_published(study):
                return None
    return published_studies.varied(published_studies.source(study, place), **options)


def _check(place: Place, spec: StudySpec, as_json: bool) -> None:
    """Only checks: the store stays as it is."""
    from disentanglement.cli import local_study

    counts = local_study.count(place, spec)
    if as_json:
        print_json({"study": spec.name, "steps": counts})
    else:
        typer.echo(f"{spec.name}: " + ", ".join(f"{number} {step} steps" for step, number in counts.items()))


def _name_of(study: str) -> str:

    return read_file(Path(study)).name if is_file(study) else study


def _view(name: str) -> StudyView:
    return StudyView(f"study {name}")


def _run_remote(server: Server, study: str | StudySpec, as_json: bool) -> None:
    if not isinstance(study, str):
        server.submit(study)
        _watch_remote(server, study.name, study, as_json)
    elif server.status(study).state == "cancelled":
        raise not_there(study)
    else:
        _watch_remote(server, study, None, as_json)


def _watch_remote(server: Server, name: str, spec: StudySpec | None, as_json: bool) -> None:
    again = f"the study goes on; watch it with: disentangle study watch {name} --server {server.address}"
    with saying_on_interrupt(again), _view(name) as view:
        ended = Ended(server.watch(name, view, weights=EQUAL if spec is None else weights_of(spec)))
    if as_json:
        print_json(ended.to_plain())
    else:
        _show_failures(name, ended.view.failures)
        say(f"{ended.view.state}; see the scores: disentangle results show {name} --server {server.address}")
    if ended.view.state == "cancelled":
        raise Interrupted(f"the study {name} was cancelled; checkpoints are kept")
    if ended.view.failures:
        raise typer.Exit(ExitCode.FAILED)


def _finish(name: str, state: StudyState, failures: list[FailureRecord], as_json: bool) -> None:
    if as_json:
        print_json(_plain(name, state, failures))
    else:
        _show_failures(name, failures)
        say(f"see the scores: disentangle results show {name}")
    if failures:
        raise typer.Exit(ExitCode.FAILED)


def _plain(name: str, state: StudyState, failures: list[FailureRecord]) -> dict[str, object]:
    shown = [
        {"step": record.step, "step_key": record.step_key, "reason": record.reason, "message": record.message}
        for record in failures
    ]
    return {"study": name, **state.to_plain(), "failures": shown}


def _show_failures(name: str, failures: Sequence[FailureRecord | FailedStep]) -> None:
    for record in failures[:MOST_FAILURES]:
        say(f"failed: {record.step} {record.step_key[:40]}... {record.reason}: {record.message}", style="red")
    if len(failures) > MOST_FAILURES:
        say(f"and {len(failures) - MOST_FAILURES} more: disentangle study status {name} --json")
    if failures:
        say(f"let them be tried again: disentangle study retry {name}")
