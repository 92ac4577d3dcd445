"""Studies made from others: some of the models, changed, scored otherwise, each under a name of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from disentanglement.specs import (
    EvaluationSeed,
    MetricSpec,
    Selection,
    StudySpec,
    canonical,
    canonical_json,
    parse_spec,
)

MAX_NAME = 52
"""So that the study may be a resource of a cluster, too."""


def apply_changes(study: StudySpec, changes: Mapping[str, Any]) -> StudySpec:
    """The study with dotted paths set in every model, over base and grid: `{"training_steps": 1000}`."""
    return study.replace(changes={**study.changes, **changes})


def with_metrics(study: StudySpec, metrics: Iterable[MetricSpec]) -> StudySpec:
    """The study scored with these metrics instead; one that only has other parameters keeps the seeds of its word."""
    wanted = tuple(metrics)
    known = {(each.representation, canonical_json(canonical(each.metric))) for each in study.evaluation_seeds}
    added = [
        EvaluationSeed(representation=each.representation, metric=metric, random_seed=each.random_seed)
        for metric in wanted
        for each in study.evaluation_seeds
        if (each.representation, canonical_json(canonical(metric))) not in known
        and [other.metric.word for other in study.evaluation_seeds].count(metric.word) == len(study.representations)
        and each.metric.word == metric.word
    ]
    return study.replace(metrics=wanted, evaluation_seeds=(*study.evaluation_seeds, *added))


def variant(
    study: StudySpec,
    *,
    selection: Selection | None = None,
    changes: Mapping[str, Any] | None = None,
    metrics: Iterable[MetricSpec] | None = None,
    name: str | None = None,
) -> StudySpec:
    """Some of a study's models, changed. Models keep their numbers; without `name` it is made of what differs.

    Raises:
        SpecError: naming each field that can't be so, the name too.
    """
    made = study if selection is None or selection == Selection() else study.replace(selection=selection)
    made = apply_changes(made, changes) if changes else made
    made = made if metrics is None else with_metrics(made, metrics)
    parts = () if selection is None else _selected(selection)
    called = name.replace("-", "_") if name else variant_name(study.name, (*parts, *_changed(changes or {})))
    return parse_spec(StudySpec, {**dict(made), "name": called})  # in a cluster names have hyphens


def variant_name(base: str, parts: Iterable[str]) -> str:
    """`unsupervised_study_v1_models_42_training_steps_1000`; it ends in a digest where it is cut, or does not show a
    character: `1-2` and `1,2`, or `a.b` and `a_b`, must not share a name.
    """
    given = [base, *parts]
    if len(given) == 1:
        return base
    whole = "_".join(given)
    text = re.sub(r"[^a-z0-9]+", "_", whole.lower()).strip("_")
    if len(text) <= MAX_NAME and text == whole:
        return text
    digest = hashlib.sha256(canonical_json(given).encode()).hexdigest()[:8]
    return f"{text[: MAX_NAME - 9].rstrip('_')}_{digest}"


def _selected(selection: Selection) -> tuple[str, ...]:
    given = {name: value if isinstance(value, str) else ",".join(value) for name, value in selection}
    return tuple(f"{name}_{text}" for name, text in given.items() if text)


def _changed(changes: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{path}_{canonical_json(value)}" for path, value in sorted(changes.items()))
