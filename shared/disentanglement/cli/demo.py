"""`disentangle demo`: the whole pipeline, through the four services, on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated

import typer

from disentanglement.cli.console import duration, print_json, say, saying_on_interrupt
from disentanglement.cli.exit_codes import ExitCode
from disentanglement.cli.options import DEFAULT_PROJECT, JsonOption, StoreOption
from disentanglement.cli.settings import Place, state_directory
from disentanglement.errors import Unavailable

if TYPE_CHECKING:
    import pandas as pd

    from disentanglement.cli.local_services import LocalServices
    from disentanglement.cli.remote_study import Server
    from disentanglement.rpc.views import StudyView as RemoteView
    from disentanglement.specs import StudySpec

PATIENCE_S = 120.0
"""How long a service that died may stay away."""

RENDERING_S = 40.0
"""A guess for two cores."""


def demo(
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Steps of one kind at once; default: one per processor")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the services running afterwards")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train four beta-VAEs, score their representations, print the table.

    Renders dSprites where the store lacks it, starts the four services on
    loopback, and has the aggregator drive the study through them. Run it again:
    what is committed is found. Stop or kill it at any moment: the next run goes
    on where this one was.
    """
    from disentanglement.cli import local_study
    from disentanglement.cli.local_services import LocalServices
    from disentanglement.cli.tables import print_scores, strict_rows

    started = time.monotonic()
    place = Place.of(store)
    spec = study()
    services = LocalServices(state_directory() / "demo")
    with saying_on_interrupt("stopped, checkpoints are kept; the same command goes on"), services.locked(wait=False):
        _announce(place, spec)
        _provide_data(place, spec)
        local_study.submit(place, spec, replace=True)  # the demo of another release may stand under this name
        with _served(services, place, workers or os.cpu_count() or 1, keep=keep) as server:
            ended, table = _worked_off(server, spec)
    if as_json:
        print_json(strict_rows(table))
    else:
        print_scores(table)
        say(f"done in {duration(time.monotonic() - started)}; the scores again: disentangle results show {spec.name}")
    if ended.failures:
        raise typer.Exit(ExitCode.FAILED)


def study() -> StudySpec:
    """The demo's study, as it is shipped beside this module."""
    from disentanglement.specs import StudySpec, parse_yaml

    return parse_yaml(StudySpec, files("disentanglement.cli").joinpath("demo.yaml").read_text())


def _announce(place: Place, spec: StudySpec) -> None:
    """What is to come, and how long it will take, before anything is done."""
    from disentanglement.studies.plan import training_specs

    models = training_specs(spec)
    say(
        f"demo: {len(models)} beta-VAEs x {len(spec.representations)} representations x {len(spec.metrics)} metrics "
        f"on {models[0].dataset.name}\nresults go to {place.store_url}"
    )


def _provide_data(place: Place, spec: StudySpec) -> None:
    from disentanglement.cli import data_sets
    from disentanglement.cli.progress_bar import bar
    from disentanglement.storage.data_sets import data_set_digests

    store, name = place.open(), spec.model.dataset.name
    if name in data_set_digests(store, [name]):
        return
    with bar(f"rendering {name} (once)") as update:
        data_sets.obtain(store, name, released=None, report=update)


@contextmanager
def _served(services: LocalServices, place: Place, workers: int, *, keep: bool) -> Iterator[Server]:
    """The four services, looked after, and stopped at the end."""
    from disentanglement.cli.local_services import Setup, free_ports
    from disentanglement.cli.remote_study import Server
    from disentanglement.cli.services import bring_up
    from disentanglement.cli.supervisor import Supervisor

    standing = services.setup()
    ports = standing.ports if standing is not None and services.running() else free_ports()
    setup = Setup(place.store_url, ports, workers)
    try:
        bring_up(services, setup)
        with Supervisor(services, setup, note=say):
            yield Server(setup.address("aggregator"), None, DEFAULT_PROJECT)
    finally:
        if not keep:
            _stop(services)


def _stop(services: LocalServices) -> None:
    from disentanglement.cli.progress_bar import bar

    with bar("stopping services"):
        services.stop()


def _worked_off(server: Server, spec: StudySpec) -> tuple[RemoteView, pd.DataFrame]:
    """Submits, watches, reads the table; where the aggregator dies on the way, does it all again."""
    from disentanglement.cli.remote_study import weights_of
    from disentanglement.cli.study_view import StudyView

    weights = weights_of(spec)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            server.submit(spec)
            with StudyView(f"study {spec.name}") as view:
                ended = server.watch(spec.name, view, weights=weights, patience_s=PATIENCE_S)
            return ended, server.table(spec.name)
        except Unavailable as error:
            if time.monotonic() > deadline:
                raise
            say(f"the aggregator does not answer ({error}); trying again")
            time.sleep(1.0)
