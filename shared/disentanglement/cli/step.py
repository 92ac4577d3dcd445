"""`disentangle train`, `postprocess` and `evaluate`: single steps, as a study would run them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from disentanglement.cli.console import print_json, say
from disentanglement.cli.exit_codes import ExitCode
from disentanglement.cli.options import (
    DEFAULT_PROJECT,
    DeviceOption,
    JsonOption,
    NoCacheOption,
    ProjectOption,
    SetOption,
    StandardErrorOption,
    StoreOption,
)
from disentanglement.cli.settings import Place, device_name
from disentanglement.errors import ArtifactNotFound, SpecError

if TYPE_CHECKING:
    from disentanglement.specs import StepKey
    from disentanglement.steps.messages import StepResult
    from disentanglement.storage.store import Store
    from disentanglement.studies.pending import WorkItem

Name = Annotated[str | None, typer.Option("--name", help="A name for the result, to use as REF", show_default=False)]


def train(
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="A name of `disentangle data list`")],
    method: Annotated[str, typer.Option("--method", help="The objective, e.g. beta_vae, dip_vae_ii, group_vae_argmax")],
    set_: SetOption = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of the model; 0 by default", show_default=False),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Optimiser updates; the published studies take 300000")
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            "--init-from",
            metavar="REF",
            help="Start from the weights of a trained model: STUDY:42, a key's beginning, or a --name",
            show_default=False,
        ),
    ] = None,
    name: Name = None,
    device: DeviceOption = "cpu",
    no_cache: NoCacheOption = False,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    as_json: JsonOption = False,
) -> None:
    """Train one model, unless it is committed. Ctrl-C keeps a checkpoint; the same
    command goes on.

    --set takes a parameter of the objective (beta=4) or any field of the spec by
    its path.

    Examples:

      disentangle train --dataset dsprites_full --method beta_vae --set beta=4 --seed 0 --steps 10000

      disentangle train -d dsprites_full --method beta_vae --set beta=4 --set batch_size=32

      disentangle train -d dsprites_full --method factor_vae --set gamma=10 --init-from my_study:42
    """
    from disentanglement.cli.parameters import assignments, train_spec
    from disentanglement.specs.plugins import EVERYTHING
    from disentanglement.steps.admission import admit_training
    from disentanglement.studies.pending import WorkItem

    options = {"random_seed": seed, "training_steps": steps, "init_from": init_from}
    fields = {field: value for field, value in options.items() if value is not None}
    spec = train_spec(dataset, method, assignments(set_), **fields)
    _check_name(name)
    place = Place.of(store, project)
    opened = place.open()
    item = WorkItem(0, admit_training(opened, spec, project=project, trusted=EVERYTHING), ())
    _run_and_show(place, opened, item, f"training {method} on {dataset}", device, no_cache, name, as_json)


def postprocess(
    reference: Annotated[str, typer.Argument(metavar="REF", help="A model: STUDY:42, a key's beginning, or a --name")],
    representation: Annotated[str, typer.Option("--representation", "-r", help="mean or sampled")] = "mean",
    name: Name = None,
    device: DeviceOption = "cpu",
    no_cache: NoCacheOption = False,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    as_json: JsonOption = False,
) -> None:
    """Extract a representation of a trained model: codes of the whole data set, shared
    by all representations.

    Example: disentangle postprocess my_study:42 --representation sampled
    """
    from disentanglement.specs import PostprocessSpec
    from disentanglement.studies.pending import WorkItem
    from disentanglement.studies.references import resolve

    place = Place.of(store, project)
    opened = place.open()
    spec = PostprocessSpec(representation=_representation(representation))
    item = WorkItem(0, spec, (resolve(opened, project, reference, "train"),))
    _check_name(name)
    _run_and_show(place, opened, item, f"extracting {representation}", device, no_cache, name, as_json)


def evaluate(
    reference: Annotated[
        str,
        typer.Argument(metavar="REF", help="A representation: STUDY:42/mean, MODEL/mean, a key's beginning, a name"),
    ],
    metrics: Annotated[str, typer.Option("--metrics", "-m", help="Comma-separated, e.g. mig,dci")],
    set_: SetOption = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of every metric")] = 0,
    standard_error: StandardErrorOption = False,
    no_cache: NoCacheOption = False,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    as_json: JsonOption = False,
) -> None:
    """Score a representation with the reference's protocol, from the stored codes.
    Needs no torch.

    Example: disentangle evaluate my_study:42/mean --metrics mig,dci --set
    dci.num_train=1000
    """
    from disentanglement.cli.parameters import assignments, metric_specs
    from disentanglement.specs import EvaluateSpec
    from disentanglement.specs.plugins import EVERYTHING
    from disentanglement.steps.admission import admit_evaluations
    from disentanglement.studies.pending import WorkItem

    asked = metric_specs(metrics, assignments(set_))
    wanted = [EvaluateSpec(metric=metric, random_seed=seed, standard_error=standard_error) for metric in asked]
    specs = admit_evaluations(wanted, trusted=EVERYTHING)
    place = Place.of(store, project)
    opened = place.open()
    key = _representation_key(opened, project, reference)
    found: dict[str, Any] = {}
    differs = False
    for spec in specs:
        item = WorkItem(0, spec, (key,))
        result = _run(place, item, f"computing {spec.metric.label}", device="cpu", no_cache=no_cache)
        differs = differs or result.determinism_violation
        found[spec.metric.label] = _manifest(opened, item).scores()
    _show_scores(found, as_json=as_json)
    _end(differs)


def _run_and_show(
    place: Place, store: Store, item: WorkItem, title: str, device: str, no_cache: bool, name: str | None, as_json: bool
) -> None:
    from disentanglement.studies.references import give_name

    result = _run(place, item, title, device=device_name(device), no_cache=no_cache)
    if name is not None:
        give_name(store, place.project, name, item.step, item.key)
    manifest = _manifest(store, item)
    if as_json:
        plain = {"step": item.step, "key": str(item.key), "computed": result.computed, "name": name}
        verdict = {"determinism_violation": result.determinism_violation, "content_digest": result.content_digest}
        print_json({**plain, **verdict, "results": manifest.scores()})
    else:
        say(_verdict(result, no_cache))
        typer.echo(str(item.key))
        for key, value in manifest.scores().items():
            say(f"  {key:30} {value}")
    _end(result.determinism_violation)


def _run(place: Place, item: WorkItem, title: str, *, device: str, no_cache: bool) -> StepResult:
    from disentanglement.cli.progress_bar import Bar
    from disentanglement.steps.progress import Progress

    with Bar(title) as shown:

        def report(progress: Progress) -> None:
            shown.update(progress.fraction, progress.note or f"{progress.done:,} of {progress.total:,} {progress.unit}")

        return asyncio.run(_in_worker(place.environment(device=device), item, report, no_cache))


async def _in_worker(env: dict[str, str], item: WorkItem, report: Any, no_cache: bool) -> StepResult:
    from disentanglement.steps.pool import WorkerPool

    pool = WorkerPool(1, env=env)
    try:
        return await pool.run(item, report=report, recompute=no_cache)
    finally:
        await pool.close()


def _manifest(store: Store, item: WorkItem) -> Any:
    from disentanglement.storage.commit import committed

    manifest = committed(store, item.step, item.key)
    assert manifest is not None, "a step that has run is committed"
    return manifest


def _verdict(result: StepResult, no_cache: bool) -> str:
    if result.determinism_violation:
        return "determinism_violation: computing again under equal circumstances gave other numbers than are committed"
    if no_cache:
        return "computed again, and it agrees with what is committed"
    return "computed and committed" if result.computed else "found committed"


def _end(differs: bool) -> None:
    if differs:
        raise typer.Exit(ExitCode.DIFFERENT)


def _show_scores(found: dict[str, Any], *, as_json: bool) -> None:
    from disentanglement.cli.score import with_errors
    from disentanglement.cli.tables import print_records

    rows = [
        {"metric": metric, "key": key, "value": value}
        for metric, scores in found.items()
        for key, value in with_errors(scores)
    ]
    if as_json:
        print_json(found)
    else:
        print_records(rows, as_json=False, nothing="")


def _representation(word: str) -> Any:
    from disentanglement.specs import RepresentationSpec, parse_spec

    if word not in RepresentationSpec.model_fields:
        raise SpecError.of("--representation", f"one of {', '.join(RepresentationSpec.model_fields)}", word)
    return parse_spec(RepresentationSpec, word, field="representation")


def _representation_key(store: Store, project: str, reference: str) -> StepKey:
    """The representation that is meant; `MODEL/mean` is the mean of a model, however the model is called."""
    from disentanglement.specs import PostprocessSpec, step_key
    from disentanglement.studies.references import IN_STUDY, resolve

    model, slash, word = reference.rpartition("/")
    if slash and IN_STUDY.fullmatch(reference) is None:
        spec = PostprocessSpec(representation=_representation(word))
        return step_key(spec, [resolve(store, project, model, "train")])
    try:
        return resolve(store, project, reference, "postprocess")
    except ArtifactNotFound as error:
        raise ArtifactNotFound(f"{error}; a model's representation is REF/mean or REF/sampled") from None


def _check_name(name: str | None) -> None:
    """Before hours of work: a name that cannot be given is refused."""
    from disentanglement.studies.references import NAME

    if name is not None and (NAME.fullmatch(name) is None or name.count(".") >= 2):
        raise SpecError.of("--name", "letters, digits, `_` and `-`", repr(name))
