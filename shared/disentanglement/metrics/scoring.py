"""Scoring somebody's own codes: arrays in, one outcome per metric out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from numpy.typing import ArrayLike
from pydantic import ValidationError

from disentanglement.errors import DisentanglementError, Interrupted, SpecError
from disentanglement.metrics.catalog import METRICS, find_metric
from disentanglement.metrics.metric import MetricResult, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress, part_of, silent
from disentanglement.metrics.uncertainty import with_standard_errors
from disentanglement.specs.base import OneOf
from disentanglement.specs.metrics import MetricSpec

Outcome = dict[str, float] | DisentanglementError
"""The scores under the reference's keys, or why there are none."""


def score_arrays(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    test_codes: ArrayLike | None = None,
    test_factors: ArrayLike | None = None,
    metrics: Iterable[str | MetricSpec],
    seed: int = 0,
    standard_error: bool = False,
    progress: Progress = silent,
) -> dict[str, Outcome]:
    """Scores of codes [N, D] against factors [N, K] (integers), for each metric by its word or its spec.

    Test points are used exactly as they are by the metrics that train a classifier (sap_score with discrete
    factors, dci); without them those metrics hold out a random third, the same for equal `seed`. All points are
    used, unless there are no test points and a spec's `num_train` or `num_test` is not at its default: then so
    many are drawn by the seed. A metric that has no value on these arrays has the error as its outcome, and the others
    still have their scores. factor_vae_score and beta_vae_sklearn need the whole grid of factor combinations in order,
    and say so. With `standard_error`, a score that has one is followed by it, as `discrete_mig.standard_error`.

    Raises SpecError, before anything is computed, for an unknown metric, a metric named twice, and arrays
    whose shape or dtype cannot be right.
    """
    specs = read_metrics(metrics)
    arrays = OwnArrays.read(codes, factors, test_codes, test_factors).shared()
    outcomes: dict[str, Outcome] = {}
    for position, (word, spec) in enumerate(specs.items()):
        part = part_of(progress, position / len(specs), (position + 1) / len(specs))
        outcomes[word] = _outcome(spec, arrays, seed, standard_error, part)
    return outcomes


def read_metrics(metrics: Iterable[str | MetricSpec]) -> dict[str, MetricSpec]:
    """Specs by name; a bare word stands for its default parameters.

    A metric's name is its label, and where several share one, `label(field=value)` of the fields in which they differ.
    """
    specs: list[MetricSpec] = []
    for position, metric in enumerate(metrics):
        spec = _by_word(metric, f"metrics[{position}]") if isinstance(metric, str) else metric
        if spec in specs:
            raise SpecError.of(f"metrics[{position}]", "each metric once", spec.label)
        specs.append(spec)
    return {_name(spec, specs): spec for spec in specs}


def _name(spec: MetricSpec, among: Sequence[MetricSpec]) -> str:
    alike = [dict(other.selected[1]) for other in among if other.label == spec.label]
    own = dict(spec.selected[1])
    told = [f"{field}={_short(own[field])}" for field in own if any(other[field] != own[field] for other in alike)]
    return f"{spec.label}({', '.join(told)})" if told else spec.label


def _short(value: object) -> object:
    return value.label if isinstance(value, OneOf) else value


def _by_word(word: str, field: str) -> MetricSpec:
    if word not in MetricSpec.model_fields:
        raise SpecError.of(field, f"one of {', '.join(METRICS)}", word)
    try:
        return MetricSpec.model_validate(word)
    except ValidationError as error:
        raise SpecError.of(field, f"a spec of {word}: its parameters have no defaults", word) from error


def score_metric(spec: MetricSpec, arrays: OwnArrays, seed: int, *, progress: Progress = silent) -> MetricResult:
    """One metric of somebody's own arrays; raises what the metric raises."""
    _, parameters = spec.selected
    return find_metric(spec).score(parameters, arrays_for(spec, arrays, seed), seed, progress)


def arrays_for(spec: MetricSpec, arrays: OwnArrays, seed: int) -> OwnArrays:
    """The points that a metric is computed on: as many as its parameters ask for."""
    needs, (_, parameters) = find_metric(spec).needs, spec.selected
    if needs is Needs.FIXED_FACTORS:
        return arrays
    return arrays.sized(parameters, seed, held_out=needs is Needs.HELD_OUT_POINTS)


def scores_of_arrays(
    spec: MetricSpec, arrays: OwnArrays, seed: int, *, standard_error: bool, progress: Progress = silent
) -> dict[str, float]:
    """Scores by key; with `standard_error` also theirs, as `metrics.uncertainty` has it."""
    result = score_metric(spec, arrays, seed, progress=progress)
    if not standard_error:
        return result.scores()
    return with_standard_errors(spec, result, arrays_for(spec, arrays, seed), seed)


def _outcome(spec: MetricSpec, arrays: OwnArrays, seed: int, standard_error: bool, progress: Progress) -> Outcome:
    try:
        return scores_of_arrays(spec, arrays, seed, standard_error=standard_error, progress=progress)
    except Interrupted:
        raise
    except DisentanglementError as error:
        return error
