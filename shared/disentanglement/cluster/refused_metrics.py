"""Metrics of a Study that can't be computed as they are written: named one by one, so that the others can go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from disentanglement.cluster.conditions import Problem
from disentanglement.cluster.expansion import parse_metrics
from disentanglement.cluster.resource import StudyResource, metric_line
from disentanglement.errors import DisentanglementError, NotBuiltYet, SpecError
from disentanglement.specs import EvaluateSpec
from disentanglement.steps.admission import admit_evaluations

START_AGAIN = (
    "delete the Study and apply it again without {what} (what is computed stays in the store, and nothing is computed "
    "twice)"
)
"""The API server lets nobody take a metric away: what was accepted must not vanish unseen."""


def without_refused(resource: StudyResource) -> tuple[StudyResource, Problem | None]:
    """The Study with those of its metrics that this release computes, and what is wrong with the others."""
    entries = resource.spec.metrics or ()
    refused = _refused(entries)
    if not refused:
        return resource, None
    kept = tuple(entry for entry in entries if metric_line(entry) not in refused)
    return resource.replace(spec=resource.spec.replace(metrics=kept)), _problem(refused)


def _refused(entries: Iterable[str | dict[str, Any]]) -> dict[str, DisentanglementError]:
    """Why a metric can't be computed, by how it is written."""
    refused: dict[str, DisentanglementError] = {}
    for entry in entries:
        try:
            admit_evaluations([EvaluateSpec(metric=metric) for metric in parse_metrics([entry])])
        except (SpecError, NotBuiltYet) as error:
            refused[metric_line(entry)] = error
    return refused


def _problem(refused: Mapping[str, DisentanglementError]) -> Problem:
    is_later = all(isinstance(error, NotBuiltYet) for error in refused.values())
    told = "; ".join(_told(line, error) for line, error in refused.items())
    cure = START_AGAIN.format(what=" and ".join(refused))
    wait = ", or wait for a release that has it" if is_later else ""
    message = f"{told}; all else of the Study goes on. A metric can't be taken out of a Study: {cure}{wait}"
    return Problem("NotBuiltYet" if is_later else "InvalidSpec", message)


def _told(line: str, error: DisentanglementError) -> str:
    if isinstance(error, NotBuiltYet):
        return f"spec.metrics: {line} is not built yet"
    [first, *_] = error.violations if isinstance(error, SpecError) else [error]
    return f"spec.metrics: {line} is refused ({first})"
