from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState

from disentanglement.errors import MetricUndefined, NotBuiltYet, SpecError
from disentanglement.metrics import (
    Points,
    dci,
    evaluate_metric,
    mig,
    sap_score_continuous,
    sap_score_discrete,
    score_arrays,
)
from disentanglement.metrics.catalog import METRICS
from disentanglement.metrics.sampling.points import FactorGrid, GridRepresentation
from disentanglement.metrics.scoring import read_metrics
from disentanglement.specs.metrics import FactorVaeScore, MetricSpec, Mig, SapScore

GRID = FactorGrid((2, 3)).all_factors()
FACTORS = np.tile(GRID, (10, 1))
CODES = FACTORS + 0.6 * np.random.default_rng(0).normal(size=FACTORS.shape)
FAST_VOTES = MetricSpec(factor_vae_score=FactorVaeScore(num_train=50, num_eval=20, num_variance_estimate=100))


def test_mig_uses_all_points_and_ignores_test_points() -> None:
    expected = mig(CODES, FACTORS).scores()
    assert score_arrays(CODES, FACTORS, metrics=["mig"])["mig"] == expected
    with_test = score_arrays(CODES, FACTORS, test_codes=CODES[:5], test_factors=FACTORS[:5], metrics=["mig"])
    assert with_test["mig"] == expected


def test_given_test_points_are_used_exactly_as_they_are() -> None:
    train, test = Points(CODES[:40], FACTORS[:40]), Points(CODES[40:], FACTORS[40:])
    outcomes = score_arrays(
        train.codes_ND,
        train.factors_NK,
        test_codes=test.codes_ND,
        test_factors=test.factors_NK,
        metrics=["sap_score", "dci"],
        seed=4,
    )
    assert outcomes == {
        "sap_score": sap_score_discrete(train, test).scores(),
        "dci": dci(train, test, random_state=RandomState(4)).scores(),
    }


def test_without_test_points_a_third_is_held_out_by_the_seed() -> None:
    order = np.random.default_rng(7).permutation(60)
    points = Points(CODES, FACTORS)
    expected = sap_score_discrete(points.rows(order[:40]), points.rows(order[40:])).scores()
    first, again = (score_arrays(CODES, FACTORS, metrics=["sap_score"], seed=7)["sap_score"] for _ in range(2))
    assert first == again == expected


def test_a_spec_brings_its_parameters_and_a_word_the_defaults() -> None:
    spec = MetricSpec(mig=Mig(num_bins=2))
    assert score_arrays(CODES, FACTORS, metrics=[spec])["mig"] == mig(CODES, FACTORS, num_bins=2).scores()
    continuous = MetricSpec(sap_score=SapScore(continuous_factors=True))
    expected = sap_score_continuous(CODES, FACTORS).scores()
    assert score_arrays(CODES, FACTORS, metrics=[continuous])["sap_score"] == expected


def test_lists_and_integer_codes_are_taken() -> None:
    expected = mig(GRID.astype(np.float64), GRID).scores()
    assert score_arrays(GRID.tolist(), GRID.tolist(), metrics=["mig"])["mig"] == expected


def test_one_metric_that_has_no_value_does_not_take_the_others_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(METRICS, "irs")
    factors = FACTORS[:, :1]
    outcomes = score_arrays(CODES, factors, metrics=["dci", "mig", "irs"])
    assert isinstance(outcomes["dci"], MetricUndefined)
    assert outcomes["mig"] == mig(CODES, factors).scores()
    assert isinstance(outcomes["irs"], NotBuiltYet)


def test_codes_that_are_not_finite_have_an_outcome_that_names_the_code() -> None:
    codes = CODES.copy()
    codes[3, 1] = np.nan
    outcome = score_arrays(codes, FACTORS, metrics=["mig"])["mig"]
    assert str(outcome) == "codes[:, 1] is nan at row 3; wanted finite float32 values"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": ["mig", "mgi"]}, r"metrics\[1\]: wanted one of mig, sap_score, .*, got mgi"),
        ({"metrics": ["mig", "mig"]}, r"metrics\[1\]: wanted each metric once, got mig"),
        ({"metrics": ["mig_validation"]}, r"metrics\[0\]: wanted a spec of mig_validation"),
        ({"test_codes": CODES}, r"test_factors: wanted test_codes and test_factors together"),
        ({"test_factors": FACTORS}, r"test_codes: wanted test_codes and test_factors together"),
        ({"factors": FACTORS.astype(float)}, r"factors\.dtype: wanted integers"),
        ({"factors": FACTORS[:-1]}, r"factors\.shape: wanted 60 rows"),
        ({"test_codes": CODES[:, :1], "test_factors": FACTORS}, r"test_codes\.shape: wanted 2 columns, got 1"),
    ],
)
def test_a_request_that_cannot_be_right_is_a_spec_error(changes: dict[str, Any], message: str) -> None:
    request: dict[str, Any] = {"codes": CODES, "factors": FACTORS, "metrics": ["mig"]} | changes
    with pytest.raises(SpecError, match=message):
        score_arrays(**request)


def test_a_single_point_cannot_be_split() -> None:
    outcome = score_arrays(CODES[:1], FACTORS[:1], metrics=["dci"])["dci"]
    assert isinstance(outcome, SpecError)
    assert "2 rows or more" in str(outcome)


def test_factor_vae_works_on_the_code_of_every_combination_in_order() -> None:
    codes = CODES[: len(GRID)]
    expected = evaluate_metric(FAST_VOTES, GridRepresentation(FactorGrid((2, 3)), codes), 5).scores()
    assert score_arrays(codes, GRID, metrics=[FAST_VOTES], seed=5)["factor_vae_score"] == expected


@pytest.mark.parametrize(
    ("factors", "reason"),
    [
        (FACTORS, r"60 rows are not the grid of \[2, 3\] values"),
        (GRID[::-1], "in another order, or repeat"),
        (GRID + 1, r"6 rows are not the grid of \[3, 4\] values"),
        (GRID - 1, r"6 rows are not the grid of \[1, 2\] values"),
        (GRID[[0, 0, 2, 3, 4, 5]], "in another order, or repeat"),
    ],
)
def test_factor_vae_says_what_it_needs_when_the_rows_are_no_grid(factors: Any, reason: str) -> None:
    outcome = score_arrays(np.ones((len(factors), 2)), factors, metrics=["factor_vae_score"])["factor_vae_score"]
    assert isinstance(outcome, MetricUndefined)
    with pytest.raises(MetricUndefined, match=rf"needs the code of every combination .*{reason}"):
        raise outcome


def test_progress_covers_all_metrics() -> None:
    shares: list[float] = []
    score_arrays(CODES, FACTORS, metrics=["dci", "sap_score"], progress=shares.append)
    assert shares == sorted(shares)
    assert shares[199] == pytest.approx(0.5)
    assert shares[-1] == pytest.approx(1.0)


def test_a_number_of_points_that_is_asked_for_is_drawn_by_the_seed() -> None:
    order, points = np.random.default_rng(7).permutation(60), Points(CODES, FACTORS)
    sap, mig_30 = MetricSpec(sap_score=SapScore(num_train=30, num_test=10)), MetricSpec(mig=Mig(num_train=30))
    outcomes = score_arrays(CODES, FACTORS, metrics=[sap, mig_30], seed=7)
    train = points.rows(order[:30])
    assert outcomes["sap_score"] == sap_score_discrete(train, points.rows(order[30:40])).scores()
    assert outcomes["mig"] == mig(train.codes_ND, train.factors_NK).scores()
    only_test = MetricSpec(sap_score=SapScore(num_test=10))
    expected = sap_score_discrete(points.rows(order[:50]), points.rows(order[50:])).scores()
    assert score_arrays(CODES, FACTORS, metrics=[only_test], seed=7)["sap_score"] == expected


def test_given_test_points_are_all_used_whatever_numbers_are_asked_for() -> None:
    sap = MetricSpec(sap_score=SapScore(num_train=30, num_test=10))
    outcomes = score_arrays(CODES[:40], FACTORS[:40], test_codes=CODES[40:], test_factors=FACTORS[40:], metrics=[sap])
    expected = sap_score_discrete(Points(CODES[:40], FACTORS[:40]), Points(CODES[40:], FACTORS[40:])).scores()
    assert outcomes["sap_score"] == expected


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (Mig(num_train=61), r"num_train: wanted 1 to 60, as many points as there are, got 61"),
        (SapScore(num_train=60), r"num_train: wanted 1 to 59, as many points as there are beside 1 to test on, got 60"),
        (SapScore(num_train=30, num_test=31), r"num_train: wanted 1 to 29, .* beside 31 to test on, got 30"),
        (SapScore(num_test=60), r"num_train: wanted 1 to 0, .* beside 60 to test on, got 0"),
    ],
)
def test_more_points_than_there_are_is_an_error(metric: Mig | SapScore, message: str) -> None:
    spec = MetricSpec(mig=metric) if isinstance(metric, Mig) else MetricSpec(sap_score=metric)
    outcome = score_arrays(CODES, FACTORS, metrics=[spec])[spec.word]
    assert isinstance(outcome, SpecError)
    with pytest.raises(SpecError, match=message):
        raise outcome


def test_arrays_of_the_caller_stay_writable_and_as_they_are() -> None:
    codes, factors = CODES.copy(), FACTORS.copy()
    score_arrays(codes, factors, metrics=["mig", "dci"])
    codes[0, 0] = factors[0, 0] = 7
    assert (codes[1:] == CODES[1:]).all()


def test_metrics_of_one_word_are_named_by_what_differs() -> None:
    trees, logistic = (
        MetricSpec.model_validate({"downstream_task": {"num_train": [10], "predictor": {word: {}}}})
        for word in ("gradient_boosting_classifier", "logistic_regression_cv")
    )
    assert list(read_metrics([trees, "mig", logistic])) == [
        "downstream_task(predictor=gradient_boosting_classifier)",
        "mig",
        "downstream_task(predictor=logistic_regression_cv)",
    ]
    with pytest.raises(SpecError, match=r"metrics\[1\]: wanted each metric once, got downstream_task"):
        read_metrics([trees, trees])
