"""Tables for people, and the same rows as strict JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from disentanglement.cli.console import print_json, results, say

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

RENDERED_NOTE = "rendered or generated data: these scores are not comparable with published ones"
SHORT = {
    "mig.discrete_mig": "MIG",
    "sap_score.SAP_score": "SAP",
    "factor_vae_score.eval_accuracy": "FactorVAE",
    "dci.disentanglement": "DCI D",
    "dci.completeness": "DCI C",
    "dci.informativeness_test": "DCI I",
}
"""The columns that are shown first, by `metric.key`, with the names that papers use."""

PLAIN_WIDTH = 200
"""Columns of a table that goes into a file or a pipe."""


def print_records(rows: Sequence[Mapping[str, Any]], *, as_json: bool, nothing: str) -> None:
    """Rows of equal names; `nothing` is said where there are none."""
    if as_json:
        print_json(list(rows))
        return
    if not rows:
        say(nothing)
        return
    table = _table()
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="right" if _is_number(rows[0][name]) else "left")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    _print(table)


def print_scores(table: pd.DataFrame, *, all_keys: bool = False) -> None:
    """One row per model and representation; what varies between the models in front, then the scores.

    Args:
        table: long, as `results.tables.study_table` makes it.
        all_keys: show every key of every metric, not only those that papers report.
    """
    from rich.markup import escape

    from disentanglement.results.tables import wide

    pivoted = wide(table)
    scores = [str(name) for name in pivoted.columns if "." in str(name) and not str(name).startswith("train.")]
    shown = scores if all_keys or not any(name in SHORT for name in scores) else [n for n in SHORT if n in scores]
    shown += [] if all_keys else [name for name in scores if name.partition(".")[0] not in _metrics_of(shown)]
    leading = sorted((str(name) for name in pivoted.columns if str(name) not in scores), key=_place_of)
    rich, headers = _table(), leading_names(leading)
    for name in leading:
        rich.add_column(escape(headers[name]), justify="left" if name in ("dataset", "method") else "right")
    for name in shown:
        rich.add_column(escape(SHORT.get(name, name)), justify="right", style="bold" if name in SHORT else None)
    previous: Any = None
    for _, row in pivoted.iterrows():
        if previous is not None and row["number"] != previous:
            rich.add_section() if len(pivoted) > 2 * pivoted["number"].nunique() else None
        previous = row["number"]
        rich.add_row(*(escape(_cell(row[name])) for name in leading), *(_score(row[name]) for name in shown))
    _print(rich)
    note_origin(table)


def _place_of(name: str) -> int:
    """Model, data set and method, parameters, seed, representation."""
    places = {"number": 0, "dataset": 1, "method": 2, "random_seed": 4, "representation": 5}
    return places.get(name, 3)


def leading_name(name: str) -> str:
    """`train.objective.beta_vae.beta` is `beta`, `random_seed` is `seed`."""
    short = name.rpartition(".")[2]
    return {"number": "model", "random_seed": "seed"}.get(short, short.replace("_", " "))


def leading_names(names: Sequence[str]) -> dict[str, str]:
    """Headers of columns: the last word, with more of the path where two would read the same."""
    short = {name: leading_name(name) for name in names}
    taken = list(short.values())
    return {name: header if taken.count(header) == 1 else name.removeprefix("train.") for name, header in short.items()}


def note_origin(table: pd.DataFrame) -> None:
    """Say it where scores must not be compared with published ones."""
    if not table.empty and not bool(table["comparable"].all()):
        say(f"note: {RENDERED_NOTE}", style="yellow")


def strict_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The table's rows as plain JSON: what is missing or not finite is null (`reason` says why)."""
    return [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict(orient="records")]


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _metrics_of(names: Sequence[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def _table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")


def _print(table: Table) -> None:
    console = results()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(table)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _score(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case float() if math.isnan(value):
            return "-"
        case float():
            return f"{value:g}"
        case list() | tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)
