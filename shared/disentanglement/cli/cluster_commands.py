"""`disentangle study submit|why|logs`: the commands that there are for a Kubernetes cluster alone."""

from __future__ import annotations

from typing import Annotated

import typer

from disentanglement.cli import cluster_logs, cluster_study
from disentanglement.cli.cluster_resources import name_of, resource
from disentanglement.cli.cluster_runs import show_answer
from disentanglement.cli.cluster_study import Cluster, plain
from disentanglement.cli.console import print_json, say, saying_on_interrupt
from disentanglement.cli.options import (
    ClusterOption,
    ContextOption,
    JsonOption,
    NamespaceOption,
    SetOption,
    StoreOption,
)
from disentanglement.cli.published_studies import (
    DatasetsOption,
    MethodsOption,
    MetricsOption,
    ModelsOption,
    NameOption,
    SeedsOption,
)
from disentanglement.cli.settings import Place
from disentanglement.cluster.names import SYSTEM_NAMESPACE, project_of
from disentanglement.errors import ArtifactNotFound, SpecError

FILE_OR_NAME = typer.Argument(metavar="FILE_OR_NAME", help="A Study or a study file (YAML), or a published study")
STUDY = typer.Argument(metavar="STUDY", help="The name of a study in the cluster")
FileOrName = Annotated[str, FILE_OR_NAME]
StudyName = Annotated[str, STUDY]
TAIL_LINES = 50
STORED_LOGS = (
    "needs the cluster's store: --store s3://BUCKET/PREFIX (or DISENTANGLEMENT_STORE), with "
    "DISENTANGLEMENT_S3_ACCESS_KEY and _SECRET_KEY"
)


def submit(
    study: FileOrName,
    models: ModelsOption = None,
    datasets: DatasetsOption = None,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    metrics: MetricsOption = None,
    set_: SetOption = None,
    name: NameOption = None,
    parallelism: Annotated[
        int | None, typer.Option("--parallelism", min=1, help="Pods at once that train", show_default=False)
    ] = None,
    models_per_pod: Annotated[
        int | None, typer.Option("--models-per-pod", min=1, help="Models in one pod", show_default=False)
    ] = None,
    pool: Annotated[str | None, typer.Option("--pool", help="Worker pool that trains", show_default=False)] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Kueue's local queue", show_default=False)] = None,
    cluster: ClusterOption = True,
    context: ContextOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit a study to a Kubernetes cluster, as `kubectl apply` would.

    Submitting it again changes what may change: metrics may be added, parallelism may be another.

    Examples:

      disentangle study submit study.yaml --cluster

      disentangle study submit unsupervised_study_v1 --models 0-299 --set training_steps=1000 --cluster
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
    changes = {"parallelism": parallelism, "modelsPerPod": models_per_pod, "pool": pool, "queue": queue}
    item = resource(study, variation, changes)
    target = cluster_study.connect(context, namespace)
    made = target.answered(target.submit(item))
    if as_json:
        print_json(plain(made))
    made_name, where = made["metadata"]["name"], made["metadata"]["namespace"]
    say(f"submitted; watch it with: disentangle study watch {made_name} --cluster --namespace {where}")
    say(f"or with: kubectl get study {made_name} -n {where} --watch")
    show_answer(made)


def why(
    study: StudyName,
    cluster: ClusterOption = True,
    context: ContextOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell why a study in a cluster does not go on, and what to do about it.

    Example: disentangle study why my-study --cluster
    """
    reasons = cluster_study.connect(context, namespace).why(name_of(study))
    if as_json:
        print_json([reason.to_plain() for reason in reasons])
        return
    for reason in reasons:
        typer.echo(reason.what)
        if reason.todo:
            typer.echo(f"  -> {reason.todo}")


def logs(
    study: StudyName,
    model: Annotated[int | None, typer.Option("--model", min=0, help="Number of a model", show_default=False)] = None,
    step: Annotated[str | None, typer.Option("--step", help="Only train, postprocess or evaluate")] = None,
    tail: Annotated[int, typer.Option("--tail", min=1, max=10_000, help="Lines of each log")] = TAIL_LINES,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as long as the pods run")] = False,
    cluster: ClusterOption = True,
    context: ContextOption = None,
    namespace: NamespaceOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the pods of a study write; of pods that are gone, what the store has kept.

    Without --model: the newest pods that run, or else the newest that have ended.

    Examples:

      disentangle study logs my-study --cluster --follow

      disentangle study logs my-study --cluster --model 42 --store s3://bucket/prefix
    """
    if step not in (None, "train", "postprocess", "evaluate"):
        raise SpecError.of("--step", "train, postprocess or evaluate", step)
    target, study = cluster_study.connect(context, namespace), name_of(study)
    pods = cluster_logs.pods_of(target, study, model=model, step=step)
    if follow and any(pod.phase == "Running" for pod in pods):
        with saying_on_interrupt("the pods go on"):
            cluster_logs.follow(target, pods, typer.echo, tail_lines=tail)
        return
    found = cluster_logs.of_pods(target, pods, tail_lines=tail)
    if not found and model is not None:
        found = _stored(target, study, model, step, store, tail)
    if as_json:
        print_json([log.to_plain() for log in found])
    elif not found:
        say(_nothing(study, model))
    for log in () if as_json else found:
        say(f"== {log.title}", style="bold")
        typer.echo(log.text.rstrip("\n"))


def _nothing(study: str, model: int | None) -> str:
    if model is not None:
        return f"model {model} has no log, neither in a pod nor stored"
    one = f"disentangle study logs {study} --cluster --model 0"
    return f"no pod of {study} is there; the store keeps the end of each model's log: {one}, which {STORED_LOGS}"


def _stored(
    target: Cluster, study: str, model: int, step: str | None, store: str | None, tail: int
) -> list[cluster_logs.ShownLog]:
    """The stored tails; the cluster's store is not the default one, so it has to be named."""
    if store is None:
        raise ArtifactNotFound(f"no pod of model {model} is there; its stored log {STORED_LOGS}")
    place = Place.of(store, project_of(target.namespace, SYSTEM_NAMESPACE))
    found = cluster_logs.stored(place, study, model, step)
    return [log.shortened(tail) for log in found]
