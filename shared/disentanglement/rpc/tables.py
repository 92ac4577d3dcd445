"""A study's table as rows of messages, or as one file."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from disentanglement.errors import SpecError
from disentanglement.results.aggregated import aggregated
from disentanglement.results.tables import study_table, to_parquet
from disentanglement.rpc.convert import enum_word, enum_words
from disentanglement.rpc.names import ModelName
from disentanglement.rpc.resources import data_origin
from disentanglement.storage.store import Store
from disentanglement.studies.grid import expand
from disentanglement.studies.plan import Plan
from disentanglement.studies.records import StudyRecord
from disentanglement.v1 import aggregator_service_pb2 as pb
from disentanglement.v1 import job_pb2, metric_pb2, study_pb2

COLUMNS: Mapping[str, str] = {
    "datasets": "dataset",
    "methods": "method",
    "models": "number",
    "representations": "representation",
    "metrics": "metric",
    "keys": "key",
}
"""Columns of the table by the field of the filter."""


def filtered(store: Store, record: StudyRecord, plan: Plan, wanted: study_pb2.ResultFilter) -> pd.DataFrame:
    """The rows that are committed by now and that a filter lets pass."""
    table = study_table(store, record.project, plan)
    for field, column in COLUMNS.items():
        if values := list(getattr(wanted, field)):
            table = table[table[column].isin(values)] if column in table.columns else table
    return table.reset_index(drop=True)


def export_format(number: int) -> str:
    """The word of a format; SpecError for none."""
    formats = pb.ExportFormat.DESCRIPTOR
    word = enum_word(formats, number)
    if word is None:
        raise SpecError.of("format", f"one of {', '.join(enum_words(formats))}", f"enum value {number}")
    return word


def exported(store: Store, record: StudyRecord, plan: Plan, format: str, wanted: study_pb2.ResultFilter) -> bytes:
    """The table as one file.

    Raises:
        SpecError: a filter on the reference's JSON, which is that of the whole study.
    """
    if format == "reference_json":
        if wanted.ListFields():
            raise SpecError.of("filter", "none with reference_json", "one")
        return aggregated(store, plan).encode()
    table = filtered(store, record, plan, wanted)
    match format:
        case "csv":
            return table.to_csv(index=False).encode()
        case "json":
            return "".join(f"{line}\n" for line in json_lines(table)).encode()
        case _:
            return to_parquet(table)


def json_lines(table: pd.DataFrame) -> Iterator[str]:
    """Strict JSON, one row a line: a number that is not finite is null, its reason stands beside it."""
    for row in table.to_dict("records"):
        yield json.dumps({str(name): _strict(value) for name, value in row.items()}, allow_nan=False)


def grid_changes(record: StudyRecord) -> list[dict[str, Any]]:
    """What the grid set, by the number of the model."""
    grid = record.study_spec().grid
    return [dict(changes) for changes in expand(grid)] if grid is not None else [{}]


def row_message(record: StudyRecord, changes: list[dict[str, Any]], row: Mapping[Hashable, Any]) -> study_pb2.ResultRow:
    """One row of the table."""
    number = int(row["number"])
    message = study_pb2.ResultRow(
        model=str(ModelName(record.project, record.study, number)),
        number=number,
        dataset=row["dataset"],
        method=row["method"],
        random_seed=int(row["random_seed"]),
        representation=row["representation"],
        metric=row["metric"],
        score=_score(row),
        provenance=_provenance(row),
    )
    message.changes.update(changes[number] if number < len(changes) else {})
    return message


def _score(row: Mapping[Hashable, Any]) -> metric_pb2.Score:
    value = float(row["value"])
    if math.isfinite(value):
        return metric_pb2.Score(key=row["key"], value=value)
    return metric_pb2.Score(key=row["key"], reason=f"{row['reason'] or value} is not finite")


def _provenance(row: Mapping[Hashable, Any]) -> job_pb2.Provenance:
    keys = job_pb2.StepKeys(train=row["train_key"], postprocess=row["postprocess_key"], evaluate=row["evaluate_key"])
    versions = dict(pair.split("=", 1) for pair in str(row["versions"]).split() if "=" in pair)
    message = job_pb2.Provenance(
        step_keys=keys, data_origin=data_origin(row["data_origin"]), device=row["device"], versions=versions
    )
    seconds = row["wall_time_s"]
    if isinstance(seconds, int | float) and math.isfinite(seconds):
        message.wall_time.FromNanoseconds(round(seconds * 1e9))
    return message


def _strict(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
