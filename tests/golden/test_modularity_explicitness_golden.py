"""Modularity and explicitness against scores recorded from disentanglement_lib (`metrics/README.md`).

Tolerances, and why:

- modularity: 1e-12, the same sums in another order.
- explicitness: 1e-4. The reference's solver stops at a gradient of 1e-4, ours at 1e-6; the areas of the recorded
  versions move by up to 7e-5 between the two. With the same scikit-learn at a gradient of 1e-9, areas of ours are
  within 1e-5: asked for here in the small cases.
- in the cases with a code that never changes the reference fails: there is a number here, and it is that without
  the code.
"""

from __future__ import annotations

import numpy as np
import pytest
from golden_metrics import CASES, SMALL, Case, each
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from disentanglement.metrics import Points
from disentanglement.metrics.scores.modularity_explicitness import modularity, modularity_explicitness
from disentanglement.specs.metrics import MetricSpec

WORD = "modularity_explicitness"
FAILS = [name for name in CASES if WORD in Case(name).recorded["_errors"]]
ALWAYS = [name for name in CASES if name != "cars3d_quadratic"]


@each(CASES)
def test_modularity_of_the_recorded_information_is_the_references(case: Case) -> None:
    expected = case.recorded["modularity_only"]["modularity_score"]
    assert modularity(case.arrays["ref_mutual_information"]) == pytest.approx(expected, abs=1e-12)


@each(CASES, ALWAYS)
def test_modularity_and_explicitness_are_the_references(case: Case) -> None:
    scores = case.scores(MetricSpec.model_validate(WORD), WORD)
    expected = case.recorded["modularity_only"]["modularity_score"]
    assert scores["modularity_score"] == pytest.approx(expected, abs=1e-12)
    for key in ("explicitness_score_train", "explicitness_score_test"):
        if case.name not in FAILS:
            assert scores[key] == pytest.approx(case.recorded[WORD][key], abs=1e-4)


@each([name for name in SMALL if name not in FAILS])
def test_explicitness_is_that_of_scikit_learn_at_the_optimum(case: Case) -> None:
    train, test = case.points("train"), case.points("test")
    mean, deviation = train.codes_ND.mean(axis=0), train.codes_ND.std(axis=0)
    codes = (train.codes_ND - mean) / deviation
    result = modularity_explicitness(train, test)
    for factor, area in enumerate(result.explicitness_test_K):
        model = LogisticRegression(tol=1e-9, max_iter=10_000).fit(codes, train.factors_NK[:, factor])
        truth = test.factors_NK[:, factor][:, None] == model.classes_
        expected = roc_auc_score(truth, model.predict_proba((test.codes_ND - mean) / deviation))
        assert area == pytest.approx(expected, abs=1e-5)


@each(FAILS)
def test_explicitness_ignores_codes_that_never_change(case: Case) -> None:
    train, test = case.points("train"), case.points("test")
    alive = np.ptp(train.codes_ND, axis=0) > 0
    expected = modularity_explicitness(*(Points(p.codes_ND[:, alive], p.factors_NK) for p in (train, test)))
    assert not alive.all()
    result = modularity_explicitness(train, test)
    assert result.explicitness_test_K == pytest.approx(expected.explicitness_test_K, abs=1e-5)
