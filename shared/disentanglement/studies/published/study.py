"""What the published studies have in common: their seeds, and the sweep over methods and strengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from disentanglement.specs import StudySpec, parse_spec

PIPELINE_SEED = 0
Metrics = Mapping[str, Any]
"""Metrics by the name of their configuration in the reference, which decides their order."""


@dataclass(frozen=True, slots=True)
class PublishedStudy:
    """A study and where it was published."""

    spec: StudySpec
    about: str


def published_study(
    name: str, about: str, *, model: Mapping[str, Any], metrics: Metrics, grid: Mapping[str, Any] | None = None
) -> PublishedStudy:
    """A study with both representations, and with the seeds that the reference's pipeline draws.

    One draw for each representation, then one for each metric on each representation, in the order of their names:
    `numpy.random.RandomState(0).randint(2**32)`. The mean has no noise, so its seed is drawn and not used.
    """
    random = np.random.RandomState(PIPELINE_SEED)
    postprocess_seeds = {word: _draw(random) for word in ("mean", "sampled")}
    seeds = [
        {"representation": word, "metric": metrics[metric], "random_seed": _draw(random)}
        for word in postprocess_seeds
        for metric in sorted(metrics)
    ]
    plain = {
        "name": name,
        "model": model,
        "representations": ["mean", {"sampled": {"random_seed": postprocess_seeds["sampled"]}}],
        "metrics": [metrics[metric] for metric in sorted(metrics)],
        "evaluation_seeds": seeds,
        **({} if grid is None else {"grid": grid}),
    }
    return PublishedStudy(parse_spec(StudySpec, plain), about)


def methods_and_strengths() -> dict[str, Any]:
    """The six methods with six strengths each, in the order of the studies."""
    betas, tc_betas = [1, 2, 4, 6, 8, 16], [1, 2, 4, 6, 8, 10]
    gammas, lambdas, capacities = [10, 20, 30, 40, 50, 100], [1, 2, 5, 10, 20, 50], [5, 10, 25, 50, 75, 100]
    annealing = {"iteration_threshold": 100_000, "gamma": 1000}
    objectives: list[dict[str, Any]] = [
        *({"beta_vae": {"beta": beta}} for beta in betas),
        *({"factor_vae": {"gamma": gamma}} for gamma in gammas),
        *({"dip_vae": {"lambda_od": od, "lambda_d_factor": 10, "dip_type": "i"}} for od in lambdas),
        *({"dip_vae": {"lambda_od": od, "lambda_d_factor": 1, "dip_type": "ii"}} for od in lambdas),
        *({"beta_tc_vae": {"beta": beta}} for beta in tc_betas),
        *({"annealed_vae": {"c_max": c_max, **annealing}} for c_max in capacities),
    ]
    return {"sweep": {"objective": objectives}}


def sweep_of(datasets: list[str], seeds: int) -> dict[str, Any]:
    """Data sets (slowest), methods with strengths, and seeds (fastest)."""
    return {
        "product": [
            {"sweep": {"dataset": datasets}},
            methods_and_strengths(),
            {"sweep": {"random_seed": list(range(seeds))}},
        ]
    }


BASE: Mapping[str, Any] = {"dataset": "dsprites_full", "objective": {"beta_vae": {"beta": 1}}}
"""The configuration that the three sweeps share: everything else is at its default."""

METRICS: Metrics = {
    "beta_vae_sklearn": "beta_vae_sklearn",
    "dci": "dci",
    "downstream_task_boosted_trees": {"downstream_task": {"predictor": "gradient_boosting_classifier"}},
    "downstream_task_logistic_regression": {"downstream_task": {"predictor": "logistic_regression_cv"}},
    "factor_vae_metric": "factor_vae_score",
    "mig": "mig",
    "modularity_explicitness": "modularity_explicitness",
    "sap_score": "sap_score",
    "unsupervised": "unsupervised_metrics",
}
"""The nine metrics of the three sweeps."""


def _draw(random: np.random.RandomState) -> int:
    return int(random.randint(2**32, dtype=np.int64))
