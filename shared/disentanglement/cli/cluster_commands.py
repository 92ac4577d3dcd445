"""`disentangle study ... --cluster`: what each command does where a Kubernetes cluster does the work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from disentanglement.cli import cluster_logs, cluster_study
from disentanglement.cli.cluster_study import Cluster, Pace, counts_of, phase_of, plain, state_of
from disentanglement.cli.console import print_json, say, saying_on_interrupt
from disentanglement.cli.exit_codes import ExitCode
from disentanglement.cli.local_study import is_file
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
    varied,
)
from disentanglement.cli.settings import Place
from disentanglement.cli.study_view import StudyView
from disentanglement.cluster.names import SYSTEM_NAMESPACE, project_of, store_name
from disentanglement.errors import ArtifactNotFound, SpecError

if TYPE_CHECKING:
    from disentanglement.cluster.kinds import Object

FILE_OR_NAME = typer.Argument(metavar="FILE_OR_NAME", help="A Study or a study file (YAML), or a published study")
STUDY = typer.Argument(metavar="STUDY", help="The name of a study in the cluster")
FileOrName = Annotated[str, FILE_OR_NAME]
StudyName = Annotated[str, STUDY]
TAIL_LINES = 50


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
    made = cluster_study.connect(context, namespace).submit(item)
    if as_json:
        print_json(plain(made))
        return
    made_name, where = made["metadata"]["name"], made["metadata"]["namespace"]
    say(f"submitted; watch it with: disentangle study watch {made_name} --cluster --namespace {where}")
    say(f"or with: kubectl get study {made_name} -n {where} --watch")


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
    reasons = cluster_study.connect(context, namespace).why(_name_of(study))
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

    Without --model: the newest pods that run.

    Examples:

      disentangle study logs my-study --cluster --follow

      disentangle study logs my-study --cluster --model 42 --store s3://bucket/prefix
    """
    if step not in (None, "train", "postprocess", "evaluate"):
        raise SpecError.of("--step", "train, postprocess or evaluate", step)
    target, study = cluster_study.connect(context, namespace), _name_of(study)
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
        say(f"no pod of {study} runs" if model is None else f"model {model} has no log, neither in a pod nor stored")
    for log in () if as_json else found:
        say(f"== {log.title}", style="bold")
        typer.echo(log.text.rstrip("\n"))


def is_in_cluster(cluster: bool, context: str | None, namespace: str | None) -> bool:
    """Whether a command is about a cluster: who names a context or a namespace means one."""
    return cluster or context is not None or namespace is not None


def run(target: Cluster, item: Object, as_json: bool) -> None:
    """Submits a study and watches it."""
    made = target.submit(item)
    watch(target, made["metadata"]["name"], as_json)


def status(target: Cluster, study: str, as_json: bool) -> None:
    """Shows how far a study is."""
    from disentanglement.cluster.explanation import summary

    found = target.study(_name_of(study))
    if as_json:
        print_json(plain(found))
        return
    typer.echo(summary(found))
    _show_conditions(found)
    _show_failures(found)


def watch(target: Cluster, study: str, as_json: bool) -> None:
    """Shows a study until it ends, with a time to go."""
    pace, told, name = Pace(), set[str](), _name_of(study)
    again = f"the study goes on; watch it with: disentangle study watch {name} --cluster"
    with saying_on_interrupt(again), StudyView(f"study {name}") as view:

        def show(found: Object) -> None:
            for text in _bad_conditions(found):
                if text not in told:
                    told.add(text)
                    view.note(text)
            view.show(state_of(found, pace))

        last = target.watch(name, show)
    _finish(last, as_json)


def cancel(target: Cluster, study: str, as_json: bool) -> None:
    """Deletes a study from the cluster."""
    name = _name_of(study)
    target.cancel(name)
    if as_json:
        print_json({"study": name, "namespace": target.namespace, "phase": "Deleted"})
    say(f"{name} is deleted from the cluster and its pods stop; what is computed stays in the store")


def retry(target: Cluster, study: str, as_json: bool) -> None:
    """Lets failed models be tried again."""
    name = _name_of(study)
    count = target.retry(name)
    if as_json:
        print_json({"study": name, "retried_models": count})
    else:
        say(f"{count} failed models of {name} are tried again")


def resource(study: str, variation: Mapping[str, Any], changes: Mapping[str, Any]) -> Object:
    """The resource that an argument means: a Study or a study file, or a published study, or a part of it.

    Raises:
        SpecError: it is none of these, or a field is wrong.
    """
    from disentanglement.cluster.submission import changed, resource_of, resource_spec, study_resource
    from disentanglement.specs import StudySpec, parse_spec
    from disentanglement.studies.published import STUDIES

    document = _document(Path(study)) if is_file(study) else None
    if isinstance(document, Mapping) and "kind" in document:
        if given := [name for name, value in variation.items() if value is not None]:
            option = f"--{given[0].strip('_')}"
            raise SpecError.of(option, "nothing with a Study resource, which has fields for it", "a value")
        return changed(resource_of(document), changes)
    if document is None and study not in STUDIES:
        raise SpecError.of("study", f"a file, or a published study ({', '.join(STUDIES)})", study)
    whole = STUDIES[study].spec if document is None else parse_spec(StudySpec, document)
    wanted = varied(whole, **variation)
    return changed(study_resource(wanted.name, resource_spec(wanted)), changes)


def _name_of(study: str) -> str:
    """The name of a study, or the one in a file."""
    return str(resource(study, {}, {})["metadata"]["name"]) if is_file(study) else study


def _document(path: Path) -> Any:
    from disentanglement.specs.parsing import load_yaml

    try:
        return load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactNotFound(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError.of("file", "a text file that can be read", f"{path}: {error}") from error


def _stored(
    target: Cluster, study: str, model: int, step: str | None, store: str | None, tail: int
) -> list[cluster_logs.ShownLog]:
    """The stored tails; the cluster's store is not the default one, so it has to be named."""
    if store is None:
        raise ArtifactNotFound(
            f"no pod of model {model} is there; its stored log needs the cluster's store: --store s3://BUCKET/PREFIX "
            "(or DISENTANGLEMENT_STORE), with DISENTANGLEMENT_S3_ACCESS_KEY and _SECRET_KEY"
        )
    place = Place.of(store, project_of(target.namespace, SYSTEM_NAMESPACE))
    found = cluster_logs.stored(place, study, model, step)
    return [log.shortened(tail) for log in found]


def _finish(study: Object, as_json: bool) -> None:
    name, phase = study["metadata"]["name"], phase_of(study)
    if as_json:
        print_json(plain(study))
    else:
        _show_failures(study)
        say(f"{phase}; see the scores: disentangle results show {store_name(name)} --server AGGREGATOR")
    if phase == "Invalid":
        raise SpecError.of("spec", "what the controller accepts", "; ".join(_bad_conditions(study)) or phase)
    if phase == "Failed" or counts_of(study)["failed"]:
        raise typer.Exit(ExitCode.FAILED)


def _bad_conditions(study: Object) -> list[str]:
    from disentanglement.cluster.explanation import bad_conditions

    return [reason.what for reason in bad_conditions(study)]


def _show_conditions(study: Object) -> None:
    for text in _bad_conditions(study):
        say(text, style="yellow")


def _show_failures(study: Object) -> None:
    name, failures = study["metadata"]["name"], (study.get("status") or {}).get("failures") or []
    for failure in failures:
        what = f"{failure.get('step')} of model {failure.get('model')}"
        say(f"failed: {what}: {failure.get('reason')}: {failure.get('message')}", style="red")
    if failures:
        say(f"read more: disentangle study why {name} --cluster; again: disentangle study retry {name} --cluster")
