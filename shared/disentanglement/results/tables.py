"""The table of a study: one row per model x representation x metric x key, kept as one Parquet file per cell.

A refresh lists what is committed and reads only the manifests that the table does not hold yet.
"""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from disentanglement.errors import ArtifactNotFound, StoreRefused
from disentanglement.specs import OneOf, StepKey, canonical, canonical_json
from disentanglement.specs.canonical import StepIdentity, earlier_versions, step_key
from disentanglement.specs.steps import STANDARD_ERROR, EvaluateSpec
from disentanglement.storage.commit import list_committed
from disentanglement.storage.keys import ManifestKey, TableKey
from disentanglement.storage.manifests import Manifest
from disentanglement.storage.store import Store
from disentanglement.studies.plan import Plan, PlanCell, PlannedModel, PlannedRepresentation

logger = logging.getLogger(__name__)

ORDER = ["number", "representation", "representation_parameters", "metric", "metric_parameters", "key"]
READERS = 16


@dataclass(frozen=True, slots=True)
class PlannedScore:
    """One metric of one representation of one model."""

    model: PlannedModel
    representation: PlannedRepresentation
    spec: EvaluateSpec
    key: StepKey
    is_outdated: bool = False
    """Whether it is of an earlier contract version of the metric than this release's."""


def study_table(store: Store, project: str, plan: Plan) -> pd.DataFrame:
    """All scores of a study that are committed by now.

    Columns: `study number dataset method random_seed train.<path> ... representation representation_parameters metric
    metric_parameters key value standard_error reason` (parameters as JSON, where they are not the defaults), then
    provenance: `comparable` (with published scores), `data_origin`, `contract`, `outdated`, the three step keys,
    `evaluation_seed`, `device`, `versions`, `wall_time_s`.

    A score of an earlier contract version of its metric stands in for one that is not computed yet: it is `outdated`.
    """
    paths = changed_parameters(plan.cells.values())
    tables = [cell_table(store, project, cell, paths) for cell in plan.cells.values()]
    filled = [table for table in tables if not table.empty]
    if not filled:
        return pd.DataFrame(columns=[*ORDER, "value"])
    return pd.concat(filled, ignore_index=True).sort_values(ORDER, ignore_index=True)


def cell_table(store: Store, project: str, cell: PlanCell, paths: Sequence[str]) -> pd.DataFrame:
    """The scores of one cell, brought up to date in the store.

    What a row says of the plan (number, parameters) is the present plan's, also where the score is an old one.
    """
    wanted = {str(score.key): score for score in planned_scores(cell)}
    key = TableKey(project, cell.study, cell.cell)
    stored = _read(store, key)
    if not set(SCORED) <= set(stored.columns):  # another release's layout, or no table yet
        stored = pd.DataFrame()
    committed = {str(step_key) for step_key in list_committed(store, "evaluate", cell.cell)}
    wanted = {str(score.key): score for score in _newest(wanted.values(), committed)}
    present = set() if stored.empty else set(stored["evaluate_key"])
    missing = [score for text, score in wanted.items() if text in committed and text not in present]
    fresh = pd.DataFrame([row for score, manifest in _manifests(store, missing) for row in scored(score, manifest)])
    known = [table[SCORED] for table in (stored, fresh) if not table.empty]
    if not known:
        return pd.DataFrame()
    own = {path for model in cell.models for path, _ in _parameters(model.model_dump(mode="json"))}
    shown = [path for path in paths if path in own]
    of_plan = pd.DataFrame([planned(cell.study, score, shown) for score in wanted.values()])
    table = of_plan.merge(pd.concat(known, ignore_index=True), on="evaluate_key", how="inner")
    table = table.sort_values(ORDER, ignore_index=True)
    if not table.equals(stored):
        _keep(store, key, table)
    return table


def _newest(wanted: Iterable[PlannedScore], committed: Collection[str]) -> Iterator[PlannedScore]:
    """Each score, or where it is not committed, the latest of an earlier contract version that is."""
    identities: dict[int, list[StepIdentity]] = {}
    for score in wanted:
        if str(score.key) in committed:
            yield score
            continue
        if id(score.spec) not in identities:
            versions = earlier_versions("evaluate", score.spec.metric.word)
            identities[id(score.spec)] = [StepIdentity.of(score.spec, version) for version in versions]
        keys = (step_key(score.spec, [score.representation.key], identity=each) for each in identities[id(score.spec)])
        found = next((key for key in keys if str(key) in committed), None)
        yield score if found is None else replace(score, key=found, is_outdated=True)


def changed_parameters(cells: Iterable[PlanCell]) -> list[str]:
    """Paths of the training parameters that some model of the cells has not at its default."""
    models = (model for cell in cells for model in cell.models)
    return sorted({path for model in models for path, _ in _parameters(canonical(model))})


def planned_scores(cell: PlanCell) -> Iterator[PlannedScore]:
    """Every score that a cell asks for."""
    for model in cell.planned:
        for representation in model.representations:
            for spec, key in zip(representation.evaluations, representation.evaluation_keys, strict=True):
                yield PlannedScore(model, representation, spec, key)


def planned(study: str, score: PlannedScore, paths: Sequence[str]) -> dict[str, Any]:
    """What the plan says of a score; `paths` are the training parameters to show."""
    train = score.model.train
    values = dict(_parameters(train.model_dump(mode="json")))
    return {
        "study": study,
        "number": score.model.number,
        "dataset": train.dataset.name,
        "method": train.objective.method,
        "random_seed": train.random_seed,
        **{f"train.{path}": values.get(path) for path in paths},
        "representation": score.representation.word,
        "representation_parameters": _own_parameters(score.representation.spec.representation),
        "metric": score.spec.metric.label,
        "metric_parameters": _own_parameters(score.spec.metric),
        "train_key": str(score.model.key),
        "postprocess_key": str(score.representation.key),
        "evaluate_key": str(score.key),
        "evaluation_seed": score.spec.random_seed,
        "outdated": score.is_outdated,
    }


SCORED = [
    *("evaluate_key", "key", "value", "standard_error", "reason", "comparable", "data_origin"),
    *("contract", "device", "versions", "wall_time_s"),
]
"""The columns that come from a manifest."""


def scored(score: PlannedScore, manifest: Manifest) -> Iterator[dict[str, Any]]:
    """What a manifest says of a score, one row per key of the metric."""
    data = manifest.provenance.get("data")
    origin = str(data.get("origin", "")) if isinstance(data, dict) else ""
    scores = manifest.scores()
    for key, value in scores.items():
        if key.endswith(STANDARD_ERROR):
            continue
        finite = math.isfinite(value)
        reason = "" if finite else manifest.non_finite.get(f"/{key}", "not finite")
        versions = " ".join(f"{name}={version}" for name, version in _versions(manifest).items())
        yield dict(
            zip(
                SCORED,
                (
                    *(str(score.key), key, float(value), float(scores.get(f"{key}{STANDARD_ERROR}", math.nan))),
                    *(reason, origin == "released", origin),
                    *(manifest.contract, str(manifest.provenance.get("device", "")), versions),
                    manifest.provenance.get("wall_time_s"),
                ),
                strict=True,
            )
        )


def labelled(table: pd.DataFrame, word: str) -> pd.Series[str]:
    """`mig`, or `mig[num_bins=5]` where the table has several of the same word: no score hides another."""

    def label(words: pd.DataFrame) -> pd.Series[str]:
        several = words[f"{word}_parameters"].nunique() > 1
        return words[word] + (words[f"{word}_parameters"].map(_brackets) if several else "")

    parts = [label(group) for _, group in table.groupby(word, sort=False)]
    return pd.concat(parts).reindex(table.index)


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
    representation = labelled(table, "representation")
    scores = table.assign(representation=representation, score=labelled(table, "metric") + "." + table["key"])
    order = list(dict.fromkeys(scores["score"]))
    pivoted = scores.pivot_table(
        index=index, columns="score", values="value", sort=False, dropna=False, aggfunc="first"
    )
    return pivoted.reindex(columns=order).dropna(how="all").reset_index()


def beside(table: pd.DataFrame) -> dict[tuple[int, str, str], tuple[float, bool]]:
    """Standard error (NaN: none), and whether it is outdated, of each score of `wide` by (number, representation, its
    column). An aggregator's table may lack both."""
    rows = table.assign(representation=labelled(table, "representation"), metric=labelled(table, "metric"))
    errors = rows.get("standard_error", pd.Series(math.nan, index=rows.index))
    outdated = rows.get("outdated", pd.Series(False, index=rows.index))
    places = zip(rows["number"], rows["representation"], rows["metric"] + "." + rows["key"], strict=True)
    return dict(zip(places, zip(errors.astype(float), outdated.astype(bool), strict=True), strict=True))


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


def _parameters(train: Any) -> Iterator[tuple[str, Any]]:
    """Training parameters by path: those of the members that are chosen, without the data set; a plugin's digest is in
    the keys."""
    return (
        (path, value)
        for path, value in flat(train)
        if not path.startswith("dataset.") and not path.endswith(".source_digest") and value is not None
    )


def _own_parameters(chosen: OneOf) -> str:
    """JSON of the parameters that are not at their defaults; empty where all are."""
    parameters = canonical(chosen.selected[1])
    return canonical_json(parameters) if parameters else ""


def _brackets(parameters: str) -> str:
    """`[num_bins=5]`; empty for defaults."""
    return f"[{','.join(f'{path}={value}' for path, value in json.loads(parameters).items())}]" if parameters else ""


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
