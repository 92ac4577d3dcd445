"""`--set name=value` and `--metrics a,b`: what people type, as plain data for specs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from disentanglement.errors import SpecError

if TYPE_CHECKING:
    from disentanglement.specs import MetricSpec, TrainSpec


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


def train_spec(dataset: str, method: str, changes: Mapping[str, Any], **fields: Any) -> TrainSpec:
    """A training spec from a data set, an objective's word and changes.

    A bare name that is no field of the spec is a parameter of the objective: `beta` is `objective.beta_vae.beta`.

    Raises:
        SpecError: naming each field that is wrong.
    """
    from disentanglement.specs import ObjectiveSpec, TrainSpec, parse_spec
    from disentanglement.specs.parsing import with_paths

    if method not in ObjectiveSpec.model_fields:
        raise SpecError.of("--method", f"one of {', '.join(ObjectiveSpec.model_fields)}", method)
    paths = {_path(name, method, TrainSpec.model_fields): value for name, value in changes.items()}
    base = {"dataset": dataset, "objective": {method: {}}, **fields}
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


def _path(name: str, method: str, fields: Mapping[str, Any]) -> str:
    return name if name.split(".")[0] in fields else f"objective.{method}.{name}"


def _by_metric(names: Sequence[str], changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    by_metric: dict[str, dict[str, Any]] = {name: {} for name in names}
    for path, value in changes.items():
        metric, _, rest = path.partition(".")
        if metric in by_metric and rest:
            by_metric[metric][path] = value
        elif len(names) == 1 and not rest:
            by_metric[names[0]][f"{names[0]}.{path}"] = value
        else:
            raise SpecError.of("--set", f"METRIC.name=value with METRIC among {', '.join(names)}", path)
    return by_metric
