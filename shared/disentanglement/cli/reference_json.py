"""The reference's aggregated JSON of a study, read from its manifests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from disentanglement.storage.manifests import Manifest
    from disentanglement.storage.store import Store
    from disentanglement.studies.plan import Plan, PlannedModel


def aggregated(store: Store, plan: Plan, *, report: Callable[[float], None]) -> bytes:
    """One row per committed score, under the reference's keys."""
    from disentanglement.results.encoding import column_json

    rows: list[dict[str, Any]] = []
    for position, model in enumerate(plan.models):
        rows += _rows(store, plan.study, model)
        report((position + 1) / len(plan.models))
    return column_json(rows).encode()


def _rows(store: Store, study: str, model: PlannedModel) -> Iterator[dict[str, Any]]:
    from disentanglement.results.encoding import aggregated_row

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


def _manifest(store: Store, step: Any, key: Any) -> Manifest | None:
    from disentanglement.storage.commit import committed

    return committed(store, step, key)
