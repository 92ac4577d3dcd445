"""What stands in front of scores: short headings, and one column for the parameters of several methods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

PARAMETERS = "parameters"
OBJECTIVE = "train.objective."
FILLERS = ("train", "objective", "plugin", "parameters")
"""Words of a path that tell nothing beside the others."""

IN_THE_METHOD = ("dip_type", "aggregation", "plugin.name")
"""Parameters that the word of a method tells."""

OTHER_WORDS = {"number": "model", "random_seed": "seed"}


def headings(names: Iterable[str]) -> dict[str, str]:
    """The last word of each path, with as many words before it as it takes to tell it from the others.

    `train.objective.beta_vae.beta` is `beta`, or `beta_vae.beta` where another objective has a `beta`, too.
    """
    words = {name: _telling(name) for name in names}
    lengths = dict.fromkeys(words, 1)
    while True:
        short = {name: ".".join(words[name][-lengths[name] :]) for name in words}
        taken = list(short.values())
        alike = [name for name in words if taken.count(short[name]) > 1 and lengths[name] < len(words[name])]
        if not alike:
            return {name: _said(heading) if taken.count(heading) == 1 else name for name, heading in short.items()}
        for name in alike:
            lengths[name] += 1


def with_merged_parameters(table: pd.DataFrame) -> pd.DataFrame:
    """Where methods differ, their parameters in one column: those that differ among the models of a method, or all of
    a method's where none does."""
    names = [str(name) for name in table.columns if str(name).startswith(OBJECTIVE)]
    if "method" not in table.columns or not names:
        return table
    texts: dict[Any, str] = {}
    for _, rows in table.groupby("method", sort=False):
        texts |= dict(zip(rows.index, _texts(rows[names]), strict=True))
    merged = table.drop(columns=names)
    merged[PARAMETERS] = [texts[index] for index in table.index]
    return merged


def value_text(value: Any) -> str:
    """A value as a cell shows it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _texts(rows: pd.DataFrame) -> Sequence[str]:
    own = [name for name in rows.columns if rows[name].notna().any()]
    differing = [name for name in own if rows[name].nunique(dropna=False) > 1]
    shown = differing or [name for name in own if not name.endswith(IN_THE_METHOD)]
    called = {name: heading.replace(" ", "_") for name, heading in headings(shown).items()}
    return [
        " ".join(f"{called[name]}={value_text(row[name])}" for name in shown if row[name] == row[name])  # none is NaN
        for _, row in rows[shown].iterrows()
    ]


def _telling(name: str) -> list[str]:
    words = name.split(".")
    return [word for word in words[:-1] if word not in FILLERS] + words[-1:]


def _said(heading: str) -> str:
    return OTHER_WORDS.get(heading, heading if "." in heading else heading.replace("_", " "))
