"""A published study's name in a list of metrics stands for all of its metrics: `[unsupervised_study_v1, jemmig]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from disentanglement.errors import SpecError, Violation
from disentanglement.specs import StudySpec, canonical, parse_spec
from disentanglement.specs.parsing import load_yaml
from disentanglement.studies.published import STUDIES

LISTS: Mapping[str, StudySpec] = {
    name: published.spec for name, published in STUDIES.items() if published.spec.metrics and name.endswith("_v1")
}
"""The published studies; the one that the reference tests itself with has metrics of a few points."""


def parse_study(plain: Any) -> StudySpec:
    """A study from plain data, whose metrics may be those of published studies and others.

    A metric that is in several lists, or written beside one that has it, is computed once. The metrics of a published
    study keep its seeds, so that their scores are those of the study, but where `evaluation_seed` is given.

    Raises:
        SpecError: naming each wrong field, metrics by their place in the list as it is written.
    """
    if not isinstance(plain, Mapping) or not isinstance(plain.get("metrics"), Sequence):
        return parse_spec(StudySpec, plain)
    names = [entry for entry in plain["metrics"] if _listed(entry)]
    if not names:
        return parse_spec(StudySpec, plain)
    metrics, places = _expanded(plain["metrics"])
    seeds = [] if "evaluation_seed" in plain else _seeds(names, plain.get("representations"))
    whole = {**plain, "metrics": metrics, "evaluation_seeds": [*seeds, *(plain.get("evaluation_seeds") or ())]}
    try:
        return parse_spec(StudySpec, whole)
    except SpecError as error:
        raise SpecError([_as_written(violation, places, len(seeds)) for violation in error.violations]) from None


def parse_study_yaml(text: str) -> StudySpec:
    """A study from YAML text, as `parse_study` reads it."""
    return parse_study(load_yaml(text))


def _expanded(entries: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Every metric, and which entry each comes from. One's own that repeat each other stay, for an error to name."""
    known = {_text(metric) for entry in entries for metric in _listed(entry)}
    metrics: list[Any] = []
    places: list[int] = []
    for place, entry in enumerate(entries):
        own = [] if _listed(entry) or _text(entry) in known else [entry]
        for metric in own or [metric for metric in _listed(entry) if metric not in metrics]:
            metrics.append(metric)
            places.append(place)
    return metrics, places


def _listed(entry: Any) -> list[dict[str, Any]]:
    """The metrics that a name stands for; none for anything else."""
    return [canonical(metric) for metric in LISTS[entry].metrics] if isinstance(entry, str) and entry in LISTS else []


def _text(entry: Any) -> str:
    """One text for a metric as it is written: a bare word is the metric with its defaults."""
    return repr({entry: {}} if isinstance(entry, str) else entry)


def _seeds(names: Sequence[str], representations: Any) -> list[dict[str, Any]]:
    """Of the published studies, for the representations that this one has, too."""
    given = representations if isinstance(representations, Sequence) else ()
    words = {word for each in given for word in ([each] if isinstance(each, str) else each)}
    return [
        {**canonical(seed), "metric": canonical(seed.metric)}
        for name in names
        for seed in LISTS[name].evaluation_seeds
        if seed.representation in words
    ]


def _as_written(violation: Violation, places: Sequence[int], num_added: int) -> Violation:
    first, *rest = violation.field.split(".")
    if rest and rest[0].isdigit() and first == "metrics":
        rest[0] = str(places[int(rest[0])])
    if rest and rest[0].isdigit() and first == "evaluation_seeds":
        rest[0] = str(int(rest[0]) - num_added)
    return Violation(".".join([first, *rest]), violation.wanted, violation.given)
