"""Arrays and scores recorded from disentanglement_lib (`tests/golden/metrics/README.md`), as tests take them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from disentanglement.metrics import Points, score_arrays
from disentanglement.metrics.arrays import Codes, Factors, FixedFactorVariances
from disentanglement.metrics.sampling.points import FactorGrid
from disentanglement.specs.metrics import MetricSpec

FOLDER = Path(__file__).parents[1] / "golden" / "metrics"
CASES = sorted(path.stem for path in FOLDER.glob("*.json"))
SMALL = [case for case in CASES if case.startswith("small")]
WITH_FUNCTION = [case for case in CASES if case != "small_wide_iid"]  # its noise is drawn anew for each point
WITH_TRACE = ["dsprites_noisy", "shapes3d_collapsed", "small_entangled", "small_perfect"]

SLOW = (pytest.mark.slow, pytest.mark.timeout(900))


@dataclass(frozen=True)
class Case:
    """One recorded case; arrays are turned to (point, dimension) as the metrics take them."""

    name: str

    @cached_property
    def recorded(self) -> dict[str, Any]:
        recorded: dict[str, Any] = json.loads((FOLDER / f"{self.name}.json").read_text())
        return recorded

    @cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        with np.load(FOLDER / f"{self.name}.npz") as arrays:
            return dict(arrays)

    def points(self, split: str) -> Points:
        return Points(self.arrays[f"mus_{split}"].T, self.arrays[f"ys_{split}"].T.astype(np.int64))

    def variances(self, split: str) -> FixedFactorVariances:
        prefix = f"factor_vae_{split}"
        factor = self.arrays[f"{prefix}_factor_index"].astype(np.int64)
        return FixedFactorVariances(factor, self.arrays[f"{prefix}_local_variances"])

    def scores(self, spec: str | MetricSpec, word: str) -> Any:
        """Scored as a user would score arrays, with test points of their own."""
        train, test = self.points("train"), self.points("test")
        outcomes = score_arrays(
            train.codes_ND,
            train.factors_NK,
            test_codes=test.codes_ND,
            test_factors=test.factors_NK,
            metrics=[spec],
            seed=0,
        )
        return outcomes[word]


def each(names: Sequence[str], always: Sequence[str] | None = None) -> pytest.MarkDecorator:
    """Run for these cases; those not among `always` only with `-m slow`."""
    marked = [
        pytest.param(Case(name), id=name, marks=() if always is None or name in always else SLOW) for name in names
    ]
    return pytest.mark.parametrize("case", marked)


class TableRepresentation:
    """The representation of a case as a function of the factors, from its tables (`rep_*`)."""

    def __init__(self, case: Case) -> None:
        self.tables = case.arrays
        self.dtype = np.dtype(case.recorded["_meta"]["dtype"])
        self.factor_sizes = tuple(int(size) for size in self.tables["factor_sizes"])
        self.num_codes = len(self.tables["rep_b"])
        grid = FactorGrid(self.factor_sizes)
        self.sample_factors, self.rows = grid.sample_factors, grid.rows

    def codes_of(self, rows_N: NDArray[np.int64]) -> Codes:
        return self.code(np.stack(np.unravel_index(rows_N, self.factor_sizes), axis=1))

    def code(self, factors_NK: Factors) -> Codes:
        before = self.tables["rep_b"] + sum(self.entries("T", factors_NK))
        if "rep_U0" in self.tables:
            before = before + self.tables["rep_w"] * np.prod(self.entries("U", factors_NK), axis=0)
        functions = [before, np.tanh(before), before**2, np.sin(before)]
        out = np.select([self.tables["rep_g"] == index for index in range(4)], functions)
        if "rep_N" in self.tables:
            rows = (factors_NK @ self.tables["rep_m"]) % len(self.tables["rep_N"])
            out = out + self.tables["rep_s"] * self.tables["rep_N"][rows, np.arange(self.num_codes)]
        codes: Codes = out.astype(self.dtype)
        return codes

    def entries(self, letter: str, factors_NK: Factors) -> list[NDArray[np.float64]]:
        tables = (self.tables[f"rep_{letter}{index}"] for index in range(len(self.factor_sizes)))
        return [table.T[values] for table, values in zip(tables, factors_NK.T, strict=True)]
