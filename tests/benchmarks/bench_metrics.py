"""Every metric of a study on a representation of dSprites' factors, beside scikit-learn and NumPy used plainly.

Run: `python tests/benchmarks/bench_metrics.py [--metrics mig ...] [--rounds 3] [--whole]`. Codes are a table look-up,
ten noisy mixtures of the factors of all 737,280 points; both sides draw their points from it, with the published
studies' numbers of points. Metrics by boosted trees take minutes on the other side, so they run there once; the rest
`--rounds` times, interleaved, and the ratio is the median of ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import straightforward_metrics as plain
from numpy.random import RandomState
from sklearn.ensemble import GradientBoostingClassifier

from disentanglement.metrics import evaluate_metrics
from disentanglement.metrics.catalog import METRICS, evaluate_metric
from disentanglement.metrics.sampling.points import FactorGrid, GridRepresentation
from disentanglement.specs.metrics import MetricSpec
from disentanglement.studies.published import STUDIES

FACTOR_SIZES = (3, 6, 40, 32, 32)
NUM_CODES = 10
LOGISTIC: dict[str, Any] = {"logistic_regression_cv": {}}


@dataclass(frozen=True)
class Rivals:
    """One metric on both sides."""

    spec: Any
    plainly: Callable[[GridRepresentation, RandomState], float]
    grows_trees: bool = False


RIVALS = {
    "dci": Rivals("dci", plain.dci, grows_trees=True),
    "downstream_task, trees": Rivals(
        "downstream_task", partial(plain.downstream_task, predictor=GradientBoostingClassifier), grows_trees=True
    ),
    "fairness": Rivals("fairness", plain.fairness, grows_trees=True),
    "unified_scores": Rivals(
        {"unified_scores": {"num_train": plain.TRAIN, "num_test": plain.TEST}}, plain.unified_scores, grows_trees=True
    ),
    "downstream_task, logistic": Rivals(
        {"downstream_task": {"predictor": LOGISTIC}},
        partial(plain.downstream_task, predictor=plain.logistic_regression_cv),
    ),
    "modularity_explicitness": Rivals("modularity_explicitness", plain.modularity_explicitness),
    "beta_vae_sklearn": Rivals("beta_vae_sklearn", plain.beta_vae_sklearn),
    "factor_vae_score": Rivals("factor_vae_score", plain.factor_vae_score),
    "sap_score": Rivals("sap_score", plain.sap_score),
    "irs": Rivals("irs", plain.irs),
    "unsupervised_metrics": Rivals("unsupervised_metrics", plain.unsupervised_metrics),
    "mig": Rivals("mig", plain.mig),
}


def representation(num_codes: int = NUM_CODES, seed: int = 0) -> GridRepresentation:
    """Codes of every point: bent mixtures of the factors, with noise, as a trained model gives them."""
    grid, rng = FactorGrid(FACTOR_SIZES), np.random.default_rng(seed)
    factors_PK = 2 * grid.all_factors() / np.array(FACTOR_SIZES) - 1
    mean_PD = np.tanh(factors_PK @ rng.normal(size=(len(FACTOR_SIZES), num_codes)))
    return GridRepresentation(grid, (mean_PD + 0.1 * rng.normal(size=mean_PD.shape)).astype(np.float32))


def seconds(compute: Callable[[], object]) -> float:
    """Wall time."""
    start = time.perf_counter()
    compute()
    return time.perf_counter() - start


def compare(name: str, data: GridRepresentation, rounds: int, *, is_plain_run: bool) -> None:
    """Prints one line."""
    rivals = RIVALS[name]
    spec = MetricSpec.model_validate(rivals.spec)
    if spec.word not in METRICS:
        print(f"{name:<26} not built")
        return
    pairs = []
    for seed in range(1 if rivals.grows_trees else rounds):
        ours = seconds(partial(evaluate_metric, spec, data, seed))
        theirs = seconds(partial(rivals.plainly, data, RandomState(seed))) if is_plain_run else float("nan")
        pairs.append((ours, theirs))
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(theirs / ours for ours, theirs in pairs)
    print(f"{name:<26} {ours:>9.3f} s {theirs:>9.3f} s {ratio:>6.1f}x", flush=True)


def whole_study() -> None:
    """Prints the seconds of all metrics of the unsupervised study, on the mean and on a sampled representation."""
    mean = representation()
    sampled = replace(mean, logvar_PD=np.full_like(mean.mean_PD, -2.0), noise=np.random.default_rng(0))
    metrics = STUDIES["unsupervised_study_v1"].spec.metrics
    spent = [seconds(partial(evaluate_metrics, metrics, data, 0)) for data in (mean, sampled)]
    print(f"{len(metrics)} metrics of the study: mean {spent[0]:.1f} s, sampled {spent[1]:.1f} s, {sum(spent):.1f} s")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics", nargs="+", choices=list(RIVALS), default=list(RIVALS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", action=argparse.BooleanOptionalAction, default=True, help="run the other side too")
    parser.add_argument("--whole", action="store_true", help="time the study's metrics together, ours alone")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # scikit-learn tells of solvers that stopped early, and of what will change
    data = representation()
    print(f"compiled, or loaded, in {seconds(partial(warm_up, data)):.1f} s")
    if arguments.whole:
        whole_study()
        return
    print(f"{'metric':<26} {'ours':>11} {'plain':>11} {'ratio':>7}")
    for name in arguments.metrics:
        compare(name, data, arguments.rounds, is_plain_run=arguments.plain)


def warm_up(data: GridRepresentation) -> None:
    """Compiles what is compiled once."""
    small = {"num_train": 200, "num_test": 100}
    for name in ("dci", "sap_score", "modularity_explicitness"):
        if name in METRICS:
            evaluate_metric(MetricSpec.model_validate({name: small}), data, 0)


if __name__ == "__main__":
    main()
