"""Studies before they are submitted: which there are, what is in them, and parts of them under names of their own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from disentanglement.cli import local_study
from disentanglement.cli.console import print_json
from disentanglement.cli.local_study import LocalStudy, is_file, read_file
from disentanglement.cli.options import DEFAULT_PROJECT, JsonOption, ProjectOption, SetOption, StoreOption
from disentanglement.cli.parameters import assignments, metric_specs
from disentanglement.cli.settings import Place
from disentanglement.errors import ArtifactNotFound, NotBuiltYet, SpecError

if TYPE_CHECKING:
    from disentanglement.specs import Selection, StudySpec, TrainSpec

ModelsOption = Annotated[
    str | None, typer.Option("--models", metavar="N[,N-N...]", help="Numbers of models, e.g. 0-299,305")
]
DatasetsOption = Annotated[str | None, typer.Option("--datasets", help="Only these data sets, by comma")]
MethodsOption = Annotated[str | None, typer.Option("--methods", help="Only these methods, by comma")]
SeedsOption = Annotated[str | None, typer.Option("--seeds", help="Only these seeds, e.g. 0-4")]
MetricsOption = Annotated[
    str | None, typer.Option("--metrics", help="These metrics instead, by comma; '' for none: only train and extract")
]
NameOption = Annotated[str | None, typer.Option("--name", help="Name of the study with these models and changes")]
STUDY = typer.Argument(metavar="STUDY", help="A published study, a study file (YAML), or a submitted study")
MOST_MODELS_SHOWN = 12_600
MOST_NUMBERS = 40


def show(
    study: Annotated[str, STUDY],
    models: ModelsOption = None,
    datasets: DatasetsOption = None,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    metrics: MetricsOption = None,
    set_: SetOption = None,
    name: NameOption = None,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print the study as a file to run or to edit")] = False,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    as_json: JsonOption = False,
) -> None:
    """Show what a study trains and scores; with --models, each model as the reference's bindings.

    Examples:

      disentangle study show unsupervised_study_v1

      disentangle study show unsupervised_study_v1 --models 42,1800 --json
    """
    from disentanglement.studies.plan import training_specs

    whole = source(study, Place.of(store, project))
    if models is not None and whole.name == "test" and whole.grid is None:
        numbers = _every_number(models)  # the reference's smoke test is the same model under every number
        specs, wanted = dict.fromkeys(numbers, whole.model), whole
    else:
        wanted = varied(
            whole, models=models, datasets=datasets, methods=methods, seeds=seeds, metrics=metrics, set_=set_, name=name
        )
        specs = training_specs(wanted)
    if as_yaml:
        typer.echo(yaml_of(wanted), nl=False)
    elif models is not None:
        _show_models(wanted, specs, as_json)
    else:
        _show_summary(wanted, specs, as_json)


def source(study: str, place: Place) -> StudySpec:
    """The study that an argument means: a file, a published study, or one that was submitted."""
    from disentanglement.studies.published import STUDIES
    from disentanglement.studies.records import load_study

    if is_file(study):
        return read_file(Path(study))
    if study in STUDIES:
        return STUDIES[study].spec
    try:
        return load_study(place.open(), place.project, study).study_spec()
    except ArtifactNotFound:
        raise _unknown(place, study) from None


def go_on(place: Place, study: str) -> LocalStudy:
    """A study that was submitted before, to go on with."""
    try:
        return local_study.resubmit(place, study)
    except ArtifactNotFound as error:
        raise (_unknown(place, study) if f"has no study {study}" in str(error) else error) from None


def submit(place: Place, study: StudySpec, *, replace: bool) -> LocalStudy:
    """Submits a study.

    Raises:
        NotBuiltYet: with the list of what is missing, and with the options that leave it out.
    """
    from disentanglement.metrics.catalog import METRICS

    try:
        return local_study.submit(place, study, replace=replace)
    except NotBuiltYet as error:
        lacking, ways = str(error), []
        if "objective." in lacking or "dataset." in lacking:
            ways.append("choose models by --models, --datasets or --methods")
        built = [word for word in dict.fromkeys(metric.word for metric in study.metrics) if word in METRICS]
        if "metric." in lacking and built:
            ways.append(f"leave metrics out: --metrics {','.join(built)}")
        raise NotBuiltYet(f"{error} ({'; '.join(ways)})" if ways else lacking) from None


def is_published(study: str) -> bool:
    """Whether an argument names a published study and no file."""
    from disentanglement.studies.published import STUDIES

    return study in STUDIES and not is_file(study)


def varied(
    study: StudySpec,
    *,
    models: str | None = None,
    datasets: str | None = None,
    methods: str | None = None,
    seeds: str | None = None,
    metrics: str | None = None,
    set_: list[str] | None = None,
    name: str | None = None,
) -> StudySpec:
    """The part of a study that options ask for; the study itself where there are none."""
    from disentanglement.studies.variants import variant

    changes = assignments(set_)
    chosen = None if metrics is None else _metrics(study, metrics)
    selection = _selection(models, datasets, methods, seeds)
    if not (changes or name) and chosen is None and selection is None:
        return study
    return variant(study, selection=selection, changes=changes, metrics=chosen, name=name)


def yaml_of(study: StudySpec) -> str:
    """A study file."""
    import yaml

    plain = study.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    return str(yaml.safe_dump(plain, sort_keys=False, default_flow_style=None, width=120))


def published_rows() -> list[dict[str, Any]]:
    """The published studies as a table."""
    from disentanglement.studies.plan import training_specs
    from disentanglement.studies.published import STUDIES

    return [
        {
            "study": name,
            "models": len(training_specs(entry.spec)),
            "metrics": len(entry.spec.metrics),
            "about": entry.about,
        }
        for name, entry in STUDIES.items()
    ]


def _selection(models: str | None, datasets: str | None, methods: str | None, seeds: str | None) -> Selection | None:
    from disentanglement.specs import Selection, parse_spec

    for option, text in (("--models", models), ("--seeds", seeds)):
        if text is not None and (not text or not set(text) <= set("0123456789,-") or text.startswith("-")):
            raise SpecError.of(option, "numbers from 0 and ranges, e.g. 0-299,305", repr(text))
    given = {"models": models, "datasets": _words(datasets), "methods": _words(methods), "seeds": seeds}
    plain = {word: value for word, value in given.items() if value}
    return parse_spec(Selection, plain, field="selection") if plain else None


def _every_number(text: str) -> list[int]:
    from disentanglement.studies.selection import NumberSet

    selection = _selection(text, None, None, None)
    numbers = [number for each in NumberSet(selection.models if selection else "").ranges for number in each[:100_000]]
    if not numbers or len(numbers) > MOST_MODELS_SHOWN:
        raise SpecError.of("--models", f"1 to {MOST_MODELS_SHOWN} numbers", text)
    return numbers


def _metrics(study: StudySpec, words: str) -> list[Any]:
    """The study's own metrics of these words with their parameters, and others at their defaults."""
    chosen: list[Any] = []
    for word in _words(words):
        own = [metric for metric in study.metrics if metric.word == word]
        chosen += own or metric_specs(word, {})
    return chosen


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _show_models(study: StudySpec, specs: Mapping[int, TrainSpec], as_json: bool) -> None:
    from disentanglement.results.bindings import binding_lines

    if as_json:
        print_json({str(number): {"bindings": binding_lines(study, spec)} for number, spec in specs.items()})
        return
    for number, spec in specs.items():
        typer.echo(f"model {number}")
        for line in binding_lines(study, spec):
            typer.echo(f"  {line}")


def _show_summary(study: StudySpec, specs: Mapping[int, TrainSpec], as_json: bool) -> None:
    from disentanglement.steps.admission import steps_wanted
    from disentanglement.steps.support import missing
    from disentanglement.studies.selection import numbers_text

    objectives = dict.fromkeys(spec.objective.method for spec in specs.values())
    summary: dict[str, Any] = {
        "study": study.name,
        "models": len(specs),
        "axes": {
            "datasets": list(dict.fromkeys(spec.dataset.name for spec in specs.values())),
            "methods": list(objectives),
            "seeds": len({spec.random_seed for spec in specs.values()}),
        },
        "cells": dict(Counter(spec.cell for spec in specs.values())),
        "representations": [representation.word for representation in study.representations],
        "metrics": [metric.model_dump(mode="json", exclude_defaults=True) for metric in study.metrics],
        "missing": missing(steps_wanted(study, specs.values())),
    }
    if as_json:
        print_json(summary)
        return
    typer.echo(f"{study.name}: {len(specs)} models")
    for axis, values in summary["axes"].items():
        typer.echo(f"  {axis}: {', '.join(values) if isinstance(values, list) else values}")
    typer.echo(f"  representations: {', '.join(summary['representations'])}")
    typer.echo("  metrics: " + (", ".join(_metric_text(metric) for metric in summary["metrics"]) or "none"))
    for cell, count in summary["cells"].items():
        numbers = numbers_text(number for number, spec in specs.items() if spec.cell == cell)
        typer.echo(f"  {cell:<40} {count:>6} {'model' if count == 1 else 'models'} ({_shortened(numbers)})")
    if summary["missing"]:
        typer.echo("  not built yet: " + ", ".join(summary["missing"]))


def _unknown(place: Place, study: str) -> ArtifactNotFound:
    return ArtifactNotFound(
        f"project {place.project} has no study {study}, and none was published under this name: disentangle study list"
    )


def _shortened(numbers: str) -> str:
    return numbers if len(numbers) <= MOST_NUMBERS else numbers[:MOST_NUMBERS].rpartition(",")[0] + ",..."


def _metric_text(metric: Mapping[str, Any]) -> str:
    [(word, parameters)] = metric.items()
    return f"{word} {json.dumps(_bare(parameters))}" if parameters else word


def _bare(value: Any) -> Any:
    """`{"predictor": {"gbt": {}}}` is `{"predictor": "gbt"}`."""
    if not isinstance(value, Mapping):
        return value
    [*names] = value
    return names[0] if len(names) == 1 and value[names[0]] == {} else {name: _bare(value[name]) for name in names}
