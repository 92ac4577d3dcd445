"""Unsupervised metrics against scores recorded from disentanglement_lib on fixed arrays (`metrics/README.md`).

Tolerances, and why:

- mutual information: 1e-12, sums of logarithms in another order.
- total correlation: 1e-12. Where codes are linear functions of others the determinant is rounding (35, 90 and
  infinite are recorded): only "over 30" is asked for. NaN where a code never changes, as recorded.
- Wasserstein correlation, and normalized: 1e-6 of the codes' variance in all. Ours is the trace by eigenvalues of a
  symmetric matrix, the reference's that of a matrix root, whose real part counts: with singular covariances the root of
  a rounding error, 1e-16, is 1e-8.
- over 20 seeds: likewise, for mean, deviation, smallest and largest.
"""

from __future__ import annotations

from math import isnan
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest
from golden_metrics import CASES, WITH_FUNCTION, Case, TableRepresentation, each

from disentanglement.metrics import evaluate_metric
from disentanglement.specs.metrics import MetricSpec, UnsupervisedMetrics

WORD = "unsupervised_metrics"
SINGULAR = ["dsprites_entangled", "dsprites_redundant", "small_entangled"]
DEAD = ["shapes3d_dead", "small_dead"]


def real(recorded: Any) -> float:
    return float(recorded["re"] if isinstance(recorded, dict) else recorded)


@each(CASES)
def test_unsupervised_metrics_are_the_references(case: Case) -> None:
    ours, recorded = case.scores(WORD, WORD), case.recorded[WORD]
    check_total_correlation(case, ours["gaussian_total_correlation"], recorded["gaussian_total_correlation"])
    assert ours["mutual_info_score"] == pytest.approx(recorded["mutual_info_score"], abs=1e-12)
    total = np.trace(np.cov(case.points("train").codes_ND, rowvar=False))
    key = "gaussian_wasserstein_correlation"
    assert ours[key] == pytest.approx(real(recorded[key]), rel=1e-6, abs=1e-7 * total)
    assert ours[f"{key}_norm"] == pytest.approx(real(recorded[f"{key}_norm"]), rel=1e-6, abs=1e-7)


def check_total_correlation(case: Case, ours: float, recorded: float) -> None:
    if case.name in DEAD:
        assert isnan(ours)
        assert isnan(recorded)
    elif case.name in SINGULAR:
        assert min(ours, recorded) > 30
    else:
        assert ours == pytest.approx(recorded, abs=1e-12)


@each(WITH_FUNCTION)
def test_unsupervised_metrics_over_twenty_seeds_are_the_references(case: Case) -> None:
    recorded = case.recorded["_over_seeds"][WORD]
    spec = MetricSpec(unsupervised_metrics=UnsupervisedMetrics(num_train=recorded["settings"]["num_train"]))
    seeds = range(recorded["settings"]["seeds"])
    runs = [evaluate_metric(spec, TableRepresentation(case), seed).scores() for seed in seeds]
    keys = {"mutual_info_score": 1e-12, "gaussian_wasserstein_correlation_norm": 1e-7}
    if case.name not in [*SINGULAR, *DEAD]:
        keys["gaussian_total_correlation"] = 1e-11
    for key, slack in keys.items():
        values = [run[key] for run in runs]
        spread = {"mean": mean(values), "std": stdev(values), "min": min(values), "max": max(values)}
        assert spread == pytest.approx(recorded[key], abs=slack)
