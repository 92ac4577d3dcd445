"""`disentangle study`: run, watch and repeat whole sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from disentanglement.cli import cluster_runs, local_runs, published_studies, remote_runs, rescoring
from disentanglement.cli.cluster_resources import resource
from disentanglement.cli.cluster_runs import is_in_cluster
from disentanglement.cli.cluster_study import connect
from disentanglement.cli.console import print_json, say
from disentanglement.cli.local_study import is_file
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
from disentanglement.cli.remote_study import Server
from disentanglement.cli.settings import Place
from disentanglement.cluster.names import store_name
from disentanglement.errors import ArtifactNotFound

if TYPE_CHECKING:
    from disentanglement.specs import StudySpec

app = typer.Typer(no_args_is_help=True, help="Run a sweep of models, watch it, go on with it.")

FILE_OR_ID = typer.Argument(metavar="FILE_OR_ID", help="A study file (YAML), or the name of a submitted study")
FileOrId = Annotated[str, FILE_OR_ID]


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
    variation = {
        "models": models,
        "datasets": datasets,
        "methods": methods,
        "seeds": seeds,
        "metrics": metrics,
        "set_": set_,
        "name": name,
    }
    study = study if is_file(study) else store_name(study)
    if is_in_cluster(cluster, context, namespace):
        item = resource(study, variation, {})
        cluster_runs.run(connect(context, namespace), item, as_json)
        return
    place = Place.of(store, project)
    spec = _asked_for(place, study, **variation)
    if check_only:
        local_runs.check(place, spec or published_studies.source(study, place), as_json)
    elif server is not None:
        remote_runs.run(Server(server, token, project, tls_ca), spec or study, as_json)
    else:
        found = local_runs.begun(place, study, spec, replace=replace)
        again = study if _is_whole(variation) else found.name
        local_runs.run(found, local_runs.Workers.of(workers, devices), again=again, as_json=as_json)


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
    if is_in_cluster(cluster, context, namespace):
        cluster_runs.status(connect(context, namespace), study, as_json)
    elif server is not None:
        remote_runs.status(Server(server, token, project, tls_ca), study, as_json)
    else:
        local_runs.status(Place.of(store, project), study, as_json)


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
    if is_in_cluster(cluster, context, namespace):
        cluster_runs.watch(connect(context, namespace), study, as_json)
    elif server is not None:
        remote_runs.watch(Server(server, token, project, tls_ca), study, as_json)
    else:
        local_runs.watch(Place.of(store, project), study, as_json)


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
        cluster_runs.cancel(connect(context, namespace), study, as_json)
        return
    if server is not None:
        name = remote_runs.cancel(Server(server, token, project, tls_ca), study)
    else:
        name = local_runs.cancel(Place.of(store, project), study)
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
    if is_in_cluster(cluster, context, namespace):
        cluster_runs.retry(connect(context, namespace), study, as_json)
        return
    if server is not None:
        name, count = remote_runs.retry(Server(server, token, project, tls_ca), study)
    else:
        name, count = local_runs.retry(Place.of(store, project), study)
    if as_json:
        print_json({"study": name, "retried_steps": count})


app.command("show")(published_studies.show)
app.command("rescore")(rescoring.rescore)


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
        rows = local_runs.rows(Place.of(store, project))
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

    if _is_whole(options) and not is_file(study):
        try:
            load_study(place.open(), place.project, study)
            return None
        except ArtifactNotFound:
            if not published_studies.is_published(study):
                return None
    return published_studies.varied(published_studies.source(study, place), **options)


def _is_whole(options: Mapping[str, Any]) -> bool:
    """Whether no option asks for a part of a study, or for changes to it."""
    return all(value is None for value in options.values())
