"""Unfairness against what was recorded from disentanglement_lib on fixed arrays (`metrics/README.md`).

The recorded factor rows are used, so only the classifiers can differ. Tolerances: as for downstream accuracies; an
entry is a total variation over 100 points for each value, so a point moves it by 0.01 at most: logistic regression 0.03
for entries, 0.01 for means. Boosted trees: among three seeds of ours, or outside by no more than these are apart, or
0.03.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from golden_metrics import WITH_FUNCTION, Case, TableRepresentation, each
from numpy.random import RandomState

from disentanglement.metrics.scores.fairness import FairnessResult, Intervention, fairness
from disentanglement.specs.metrics import PredictorSpec

ALWAYS = [case for case in WITH_FUNCTION if case.startswith("small")]
HEADLINES = ("mean_fairness:mean_pred:mean_sens", "max_fairness:mean_pred:mean_sens")


def recorded_interventions(case: Case) -> Iterator[Intervention]:
    representation = TableRepresentation(case)
    num_factors = len(representation.factor_sizes)
    for target, sensitive in np.ndindex(num_factors, num_factors):
        if target != sensitive:
            codes = []
            for value in range(representation.factor_sizes[sensitive]):
                factors_MK = case.arrays["fairness_factors"][target, sensitive].astype(np.int64)
                factors_MK[:, sensitive] = value
                codes.append(representation.code(factors_MK))
            yield Intervention(target, sensitive, np.stack(codes))


def unfairness(case: Case, predictor: str, seed: int) -> FairnessResult:
    return fairness(
        case.points("train"),
        recorded_interventions(case),
        factor_sizes=TableRepresentation(case).factor_sizes,
        random_state=RandomState(seed),
        predictor=PredictorSpec.model_validate(predictor),
    )


@each(WITH_FUNCTION, ALWAYS)
def test_unfairness_of_boosted_trees_is_the_references_within_the_spread_over_seeds(case: Case) -> None:
    recorded = case.recorded["fairness_gradient_boosting"]
    ours = [unfairness(case, "gradient_boosting_classifier", seed).scores() for seed in range(3)]
    assert ours[0].keys() == recorded.keys()
    for key, value in recorded.items():
        values = [scores[key] for scores in ours]
        slack = max(max(values) - min(values), 0.01 if key in HEADLINES else 0.03)
        assert min(values) - slack <= value <= max(values) + slack, key


@each([case for case in WITH_FUNCTION if "fairness_logistic_regression_cv" in Case(case).recorded], ["small_dead"])
def test_unfairness_of_logistic_regression_is_the_references(case: Case) -> None:
    recorded = case.recorded["fairness_logistic_regression_cv"]
    ours = unfairness(case, "logistic_regression_cv", 0).scores()
    assert ours.keys() == recorded.keys()
    for key, value in recorded.items():
        assert ours[key] == pytest.approx(value, abs=0.01 if key in HEADLINES else 0.03), key
