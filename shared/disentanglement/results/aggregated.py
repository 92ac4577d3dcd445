"""The reference's aggregated JSON of a study, read from its manifests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from disentanglement.results.encoding import aggregated_row, column_json
from disentanglement.specs import Step, StepKey
from disentanglement.storage.commit import committed
from disentanglement.storage.manifests import Manifest
from disentanglement.storage.store import Store
from disentanglement.studies.plan import Plan, PlannedModel


def aggregated(store: Store, plan: Plan) -> str:
    """One row per committed score, under the reference's keys."""
    return column_json([row for model in plan.models for row in _rows(store, plan.study, model)])


def _rows(store: Store, study: str, model: PlannedModel) -> Iterator[dict[str, Any]]:
    train = _manifest(store, "train", model.key)
    for representation in model.representations:
        extracted = _manifest(store, "postprocess", representation.key)
        if train is None or extracted is None:
            continue
        for spec, key in zip(representation.evaluations, representation.evaluation_keys, strict=True):
            scored = _manifest(store, "evaluate", key)
            if scored is not None:
                path = f"{study}/{model.number}/metrics/{representation.word}/{spec.metric.word}"
                yield aggregated_row(spec, model.number, path, train, extracted, scored)


def _manifest(store: Store, step: Step, key: StepKey) -> Manifest | None:
    return committed(store, step, key)
