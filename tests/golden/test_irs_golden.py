"""IRS against scores recorded from disentanglement_lib on fixed arrays (`metrics/README.md`).

Tolerances, and why:

- float64: 1e-12 relative, the same sums in another order; parents and active codes are equal.
- float32: 1e-7, the precision in which the reference interpolates quantiles. The sum of all entries of active codes,
  which is `num_active_dims`, hangs in float32 on the order of summation: 1e-6 (ours is summed in float64).
- over 20 seeds likewise, for all four statistics; the sum, which can come out near 0, relative to the largest.
"""

from __future__ import annotations

from statistics import mean, stdev

import numpy as np
import pytest
from golden_metrics import CASES, WITH_FUNCTION, Case, TableRepresentation, each

from disentanglement.metrics import evaluate_metric
from disentanglement.metrics.scores.irs import irs
from disentanglement.specs.metrics import Irs, MetricSpec


def precision(case: Case, *, single: float) -> float:
    return single if case.recorded["_meta"]["dtype"] == "float32" else 1e-12


@each(CASES)
def test_robustness_parents_and_deviations_are_the_references(case: Case) -> None:
    points = case.points("train")
    result = irs(points.codes_ND, points.factors_NK, diff_quantile=0.99)
    recorded = case.arrays
    assert np.flatnonzero(result.active_D).tolist() == recorded["ref_irs_active_codes"].tolist()
    assert result.max_deviation_A == pytest.approx(recorded["ref_irs_max_deviations"], rel=1e-12)
    assert result.robustness_AK == pytest.approx(recorded["ref_irs_matrix"], abs=precision(case, single=1e-7))
    assert (result.parents == recorded["ref_irs_parents"]).all()


@each(CASES)
@pytest.mark.parametrize(("name", "quantile"), [("irs", 0.99), ("irs_q1", 1.0)])
def test_irs_is_the_references(case: Case, name: str, quantile: float) -> None:
    scores = case.scores(MetricSpec(irs=Irs(diff_quantile=quantile)), "irs")
    recorded = case.recorded[name]
    assert scores["IRS"] == pytest.approx(recorded["IRS"], rel=precision(case, single=1e-7))
    assert scores["num_active_dims"] == pytest.approx(recorded["num_active_dims"], rel=precision(case, single=1e-6))
    assert scores["num_active_codes"] == len(case.arrays["ref_irs_active_codes"])


@each(WITH_FUNCTION)
def test_irs_over_twenty_seeds_is_the_references(case: Case) -> None:
    recorded = case.recorded["_over_seeds"]["irs"]
    spec = MetricSpec(irs=Irs(num_train=recorded["settings"]["num_train"]))
    seeds = range(recorded["settings"]["seeds"])
    runs = [evaluate_metric(spec, TableRepresentation(case), seed).scores() for seed in seeds]
    for key in ("IRS", "num_active_dims"):
        values = [run[key] for run in runs]
        spread = {"mean": mean(values), "std": stdev(values), "min": min(values), "max": max(values)}
        slack = precision(case, single=1e-6) * max(abs(value) for value in values)
        assert spread == pytest.approx(recorded[key], abs=slack)
