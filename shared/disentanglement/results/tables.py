"""The table of a study: one row per model x representation x metric x key, kept as one Parquet file per cell.

A refresh lists what is committed and reads only the manifests that the table does not hold yet.
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pandas as pd

from disentanglement.errors import ArtifactNotFound, StoreRefused
from disentanglement.specs import StepKey, canonical
from disentanglement.specs.steps import EvaluateSpec
from disentanglement.storage.commit import list_committed
from disentanglement.storage.keys import ManifestKey, TableKey
from disentanglement.storage.manifests import Manifest
from disentanglement.storage.store import Store
from disentanglement.studies.plan import Plan, PlanCell, PlannedModel, PlannedRepresentation

logger = logging.getLogger(__name__)

ORDER = ["number", "representation", "metric", "key"]
READERS = 16


@dataclass(frozen=True, slots=True)
class PlannedScore:
    """One metric of one representation of one model."""

    model: PlannedModel
    representation: PlannedRepresentation
    spec: EvaluateSpec
    key: StepKey


def study_table(store: Store, project: str, plan: Plan) -> pd.DataFrame:
    """All scores of a study that are committed by now.

    Columns: `study number dataset method random_seed train.<path> ... representation metric key value reason`, then
    provenance: `comparable` (with published scores), `data_origin`, the three step keys, `evaluation_seed`, `device`,
    `versions`, `wall_time_s`.
    """
    tables = [cell_table(store, project, cell) for cell in plan.cells.values()]
    filled = [table for table in tables if not table.empty]
    if not filled:
        return pd.DataFrame(columns=[*ORDER, "value"])
    return pd.concat(filled, ignore_index=True).sort_values(ORDER, ignore_index=True)


def cell_table(store: Store, project: str, cell: PlanCell) -> pd.DataFrame:
    """The scores of one cell, brought up to date in the store."""
    wanted = {str(score.key): score for score in planned_scores(cell)}
    key = TableKey(project, cell.study, cell.cell)
    known = _read(store, key)
    if not known.empty:
        known = known[known["evaluate_key"].isin(wanted)]
    present = set(known["evaluate_key"]) if not known.empty else set()
    committed = {str(step_key) for step_key in list_committed(store, "evaluate", cell.cell)}
    missing = [score for text, score in wanted.items() if text in committed and text not in present]
    if not missing:
        return known
    fresh = pd.DataFrame(
        [row for score, manifest in _manifests(store, missing) for row in rows(cell.study, score, manifest)]
    )
    table = fresh if known.empty else pd.concat([known, fresh], ignore_index=True)
    table = table.sort_values(ORDER, ignore_index=True)
    _keep(store, key, table)
    return table


def planned_scores(cell: PlanCell) -> Iterator[PlannedScore]:
    """Every score that a cell asks for."""
    for model in cell.planned:
        for representation in model.representations:
            for spec, key in zip(representation.evaluations, representation.evaluation_keys, strict=True):
                yield PlannedScore(model, representation, spec, key)


def rows(study: str, score: PlannedScore, manifest: Manifest) -> Iterator[dict[str, Any]]:
    """The rows of one committed score, one per key of the metric."""
    train = score.model.train
    data = manifest.provenance.get("data")
    origin = str(data.get("origin", "")) if isinstance(data, dict) else ""
    parameters = {f"train.{path}": value for path, value in flat(canonical(train)) if not path.startswith("dataset.")}
    for key, value in manifest.scores().items():
        finite = math.isfinite(value)
        yield {
            "study": study,
            "number": score.model.number,
            "dataset": train.dataset.name,
            "method": train.objective.method,
            "random_seed": train.random_seed,
            **parameters,
            "representation": score.representation.word,
            "metric": score.spec.metric.word,
            "key": key,
            "value": float(value),
            "reason": "" if finite else manifest.non_finite.get(f"/{key}", "not finite"),
            "comparable": origin == "released",
            "data_origin": origin,
            "train_key": str(score.model.key),
            "postprocess_key": str(score.representation.key),
            "evaluate_key": str(score.key),
            "evaluation_seed": score.spec.random_seed,
            "device": str(manifest.provenance.get("device", "")),
            "versions": " ".join(f"{k}={v}" for k, v in _versions(manifest).items()),
            "wall_time_s": manifest.provenance.get("wall_time_s"),
        }


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """One row per model and representation, one column per metric key; what varies between models in front."""
    if table.empty:
        return table
    varying = [
        name
        for name in table.columns
        if (name.startswith("train.") or name in ("dataset", "method", "random_seed"))
        and table[name].nunique(dropna=False) > 1
    ]
    varying = [name for name in varying if name != "train.random_seed"]
    index = ["number", *varying, "representation"]
    scores = table.assign(score=table["metric"] + "." + table["key"])
    order = list(dict.fromkeys(scores["score"]))
    pivoted = scores.pivot_table(
        index=index, columns="score", values="value", sort=False, dropna=False, aggfunc="first"
    )
    return pivoted.reindex(columns=order).dropna(how="all").reset_index()


def to_parquet(table: pd.DataFrame) -> bytes:
    """The table as a Parquet file."""
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    return stream.getvalue()


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested JSON with dotted paths."""
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from flat(member, f"{path}.{name}" if path else name)
    elif not isinstance(value, (dict, list)):
        yield path, value


def _manifests(store: Store, scores: list[PlannedScore]) -> Iterator[tuple[PlannedScore, Manifest]]:
    def read(score: PlannedScore) -> Manifest:
        key = ManifestKey("evaluate", score.key)
        return Manifest.from_bytes(key, store.get(key))

    with ThreadPoolExecutor(READERS) as pool:
        yield from zip(scores, pool.map(read, scores), strict=True)


def _versions(manifest: Manifest) -> dict[str, Any]:
    versions = manifest.provenance.get("versions")
    return versions if isinstance(versions, dict) else {}


def _keep(store: Store, key: TableKey, table: pd.DataFrame) -> None:
    """For the next reader; who may only read reads all the same."""
    try:
        store.put(key, to_parquet(table))
    except StoreRefused:
        logger.info("table_not_kept", extra={"key": str(key)}, exc_info=True)


def _read(store: Store, key: TableKey) -> pd.DataFrame:
    try:
        return pd.read_parquet(io.BytesIO(store.get(key)))
    except ArtifactNotFound:
        return pd.DataFrame()
