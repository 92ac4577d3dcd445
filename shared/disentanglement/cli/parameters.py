"""`--set name=value` and `--metrics a,b`: what people type, as plain data for specs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from disentanglement.errors import SpecError

if TYPE_CHECKING:
    from disentanglement.specs import MetricSpec, TrainSpec

VARIANTS = {"dip_type", "aggregation"}
"""Parameters of objectives whose values are part of a method's word."""

OPTIONS = {"random_seed": "--seed", "training_steps": "--steps", "init_from": "--init-from"}
"""Options of `disentangle train` by the field that they give."""


def assignments(texts: Iterable[str] | None) -> dict[str, Any]:
    """`["beta=4", "optimizer.adam.learning_rate=1e-3"]` as names and values; values are read as YAML.

    Raises:
        SpecError: no `=`, no name, a name given twice, or a value that is no YAML.
    """
    from disentanglement.specs.parsing import load_yaml

    values: dict[str, Any] = {}
    for text in texts or ():
        name, separator, value = text.partition("=")
        if not separator or not all(part.isidentifier() for part in name.split(".")):
            raise SpecError.of("--set", "name=value, e.g. beta=4", repr(text))
        if name in values:
            raise SpecError.of("--set", "every name once", name)
        values[name] = load_yaml(value)
    return values


def methods() -> dict[str, tuple[str, dict[str, str]]]:
    """Every word of a method with the objective and the parameters that it stands for.

    `dip_vae_ii` is `dip_vae` of `dip_type` ii; the objective's own word leaves its parameters as they are given. A
    plugin has a word of its own, too, but no word could tell where its source is.
    """
    from disentanglement.specs import ObjectiveSpec

    found: dict[str, tuple[str, dict[str, str]]] = {}
    for word, field in ObjectiveSpec.model_fields.items():
        (kind,) = (each for each in get_args(field.annotation) if each is not type(None))
        found[word] = (word, {})
        for name in VARIANTS & kind.model_fields.keys():
            for value in get_args(kind.model_fields[name].annotation):
                found[f"{word}_{value}"] = (word, {name: value})
    return found


def train_spec(dataset: str, method: str, changes: Mapping[str, Any], **fields: Any) -> TrainSpec:
    """A training spec from a data set, a method's word, changes, and fields that options gave.

    A bare name that is no field of the spec is a parameter of the objective: `beta` is `objective.beta_vae.beta`.

    Raises:
        SpecError: naming each field that is wrong, or that is given twice: by two names, or by an option and --set.
    """
    from disentanglement.specs import TrainSpec, parse_spec
    from disentanglement.specs.parsing import with_paths

    word, parameters = _objective(method)
    given = {
        "dataset": "--dataset",
        "dataset.name": "--dataset",
        "objective": "--method",
        f"objective.{word}": "--method",
    }
    given |= {f"objective.{word}.{name}": "--method" for name in parameters}
    given |= {name: OPTIONS.get(name, f"--{name}") for name in fields}
    paths: dict[str, Any] = {}
    for name, value in changes.items():
        path = _path(name, word, TrainSpec.model_fields)
        _check_once(name, path, given)
        given[path], paths[path] = f"--set {name}", value
    base = {"dataset": {"name": dataset}, "objective": {word: parameters}, **fields}
    return parse_spec(TrainSpec, with_paths(base, paths))


def metric_specs(words: str, changes: Mapping[str, Any]) -> list[MetricSpec]:
    """Metrics from `mig,dci` and changes like `{"dci.num_train": 1000}`.

    With one metric only, its name may be left out of the change.

    Raises:
        SpecError: an unknown metric, a metric twice, a change of a metric that was not asked for.
    """
    from disentanglement.specs import MetricSpec, parse_spec
    from disentanglement.specs.parsing import with_paths

    names = [word.strip() for word in words.split(",") if word.strip()]
    if not names:
        raise SpecError.of("--metrics", f"some of {', '.join(built_metrics())}", repr(words))
    for name in names:
        if name not in MetricSpec.model_fields:
            raise SpecError.of("--metrics", f"some of {', '.join(built_metrics())}", name)
        if names.count(name) > 1:
            raise SpecError.of("--metrics", "each metric once", name)
    by_metric = _by_metric(names, changes)
    return [parse_spec(MetricSpec, with_paths({name: {}}, by_metric[name]), field="metrics") for name in names]


def built_metrics() -> Sequence[str]:
    """The metrics that this release computes."""
    from disentanglement.metrics.catalog import METRICS

    return list(METRICS)


def _objective(method: str) -> tuple[str, dict[str, str]]:
    known = methods()
    if method in known:
        return known[method]
    if method.startswith("plugin_"):
        raise SpecError.of("--method", "plugin, with --set name=module:name for an objective of one's own", method)
    raise SpecError.of("--method", f"one of {', '.join(known)}", method)


def _check_once(name: str, path: str, given: Mapping[str, str]) -> None:
    if path in given:
        raise SpecError.of("--set", "every field once", f"{name}, as {given[path]} says what {path} is")


def _path(name: str, method: str, fields: Mapping[str, Any]) -> str:
    return name if name.split(".")[0] in fields else f"objective.{method}.{name}"


def _by_metric(names: Sequence[str], changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    by_metric: dict[str, dict[str, Any]] = {name: {} for name in names}
    given: dict[str, str] = {}
    for name, value in changes.items():
        metric, _, rest = name.partition(".")
        if metric in by_metric and rest:
            path = name
        elif len(names) == 1 and not rest:
            metric, path = names[0], f"{names[0]}.{name}"
        else:
            raise SpecError.of("--set", f"METRIC.name=value with METRIC among {', '.join(names)}", name)
        _check_once(name, path, given)
        given[path], by_metric[metric][path] = f"--set {name}", value
    return by_metric
