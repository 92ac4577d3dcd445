"""Tables for people, and the same rows as strict JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from disentanglement.cli.console import print_json, results, say
from disentanglement.cli.headings import PARAMETERS, headings, value_text, with_merged_parameters

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

TEXTS = ("dataset", "method", PARAMETERS)
"""Columns in front of the scores that are texts."""

NOTHING = (math.nan, False)
"""Of a score without standard error that is not outdated."""

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

    from disentanglement.results.tables import beside, wide

    pivoted = with_merged_parameters(wide(table))
    said = _said_once(pivoted)
    leading, shown = _columns([str(name) for name in pivoted.columns if name not in said], all_keys)
    rich = _scores_table(leading, shown)
    known, previous = beside(table), None
    for _, row in pivoted.iterrows():
        if previous is not None and row["number"] != previous:
            rich.add_section() if len(pivoted) > 2 * pivoted["number"].nunique() else None
        previous = row["number"]
        places = [(row["number"], row["representation"], name) for name in shown]
        scores = (_score(row[place[2]], *known.get(place, NOTHING)) for place in places)
        rich.add_row(*(escape(_cell(row[name])) for name in leading), *scores)
    _print(rich)
    for name, value in said.items():
        say(f"{name}: {value}")
    note_age(table)
    note_origin(table)


def note_age(table: pd.DataFrame) -> None:
    """Say it where this release would compute other numbers."""
    if "outdated" not in table or not table["outdated"].any():
        return
    old = table[table["outdated"]]
    versions = sorted({f"{metric} {contract}" for metric, contract in zip(old["metric"], old["contract"], strict=True)})
    again = f"disentangle study rescore {old['study'].iloc[0]}"
    say(f"note: * marks scores of an earlier contract version ({', '.join(versions)}): {again}", style="yellow")


def _columns(names: Sequence[str], all_keys: bool) -> tuple[list[str], list[str]]:
    """What stands in front, in its order, and the scores that are shown."""
    scores = [name for name in names if "." in name and not name.startswith("train.")]
    shown = scores if all_keys or not any(name in SHORT for name in scores) else [n for n in SHORT if n in scores]
    shown += [] if all_keys else [name for name in scores if name.partition(".")[0] not in _metrics_of(shown)]
    return sorted((name for name in names if name not in scores), key=_place_of), shown


def _said_once(pivoted: pd.DataFrame) -> dict[str, str]:
    """What needs no column of its own where columns are many."""
    several = PARAMETERS not in pivoted.columns or pivoted["representation"].nunique() > 1
    return {} if several else {"representation": str(pivoted["representation"].iloc[0])}


def _scores_table(leading: Sequence[str], shown: Sequence[str]) -> Table:
    """Its columns; where there is no room for all, texts are folded, and no number is cut."""
    from rich.markup import escape

    table, called = _table(padding=(0, 1, 0, 0)), headings(leading)
    for name in leading:
        justify: Literal["left", "right"] = "left" if name in TEXTS else "right"
        table.add_column(escape(called[name]), justify=justify, overflow="fold")
    for name in shown:
        style = "bold" if name in SHORT else None
        table.add_column(escape(SHORT.get(name, name)), justify="right", style=style, overflow="fold", min_width=6)
    return table


def _place_of(name: str) -> int:
    """Model, data set and method, parameters, seed, representation."""
    places = {"number": 0, "dataset": 1, "method": 2, "random_seed": 4, "representation": 5}
    return places.get(name, 3)


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


def _table(padding: tuple[int, int, int, int] = (0, 1, 0, 1)) -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=padding)


def _print(table: Table) -> None:
    console = results()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(table)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _score(value: float, error: float, is_outdated: bool) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4f}{'' if math.isnan(error) else f' ± {error:.4f}'}{'*' if is_outdated else ''}"


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case float() if math.isnan(value):
            return "-"
        case float():
            return value_text(value)
        case list() | tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)
