"""The reference's aggregated JSON of a study, read from its manifests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from disentanglement.results.encoding import aggregated_row, column_json
from disentanglement.storage.commit import committed
from disentanglement.storage.store import Store
from disentanglement.studies.plan import Plan, PlannedModel


def nobody(share: float) -> None:
    """Nobody watches."""


def aggregated(store: Store, plan: Plan, *, report: Callable[[float], None] = nobody) -> str:
    """One row per committed score, under the reference's keys; `report` is told the share done."""
    rows: list[dict[str, Any]] = []
    for position, model in enumerate(plan.models):
        rows += _rows(store, plan.study, model)
        report((position + 1) / len(plan.models))
    return column_json(rows)


def _rows(store: Store, study: str, model: PlannedModel) -> Iterator[dict[str, Any]]:
    train = committed(store, "train", model.key)
    for representation in model.representations:
        extracted = committed(store, "postprocess", representation.key)
        if train is None or extracted is None:
            continue
        for spec, key in zip(representation.evaluations, representation.evaluation_keys, strict=True):
            scored = committed(store, "evaluate", key)
            if scored is not None:
                path = f"{study}/{model.number}/metrics/{representation.word}/{spec.metric.label}"
                yield aggregated_row(spec, model.number, path, train, extracted, scored)
