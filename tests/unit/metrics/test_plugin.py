"""Metrics that a user brings: scored on the same points as the built-in ones, in data sets and on own arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState
from plugin_files import plugin_files

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.catalog import evaluate_metric
from disentanglement.metrics.sampling.points import FactorGrid, GridRepresentation, generate_batch_factor_code
from disentanglement.metrics.scoring import score_arrays
from disentanglement.specs import MetricSpec

MODULE = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Seen:
    num_train: int = 50
    batch_size: int = 7

    def score(self, codes_ND, factors_NK, random_state):
        return {"points": len(codes_ND), "codes": codes_ND.sum(), "factors": factors_NK.sum(),
                "drawn": random_state.random_sample()}

class Plain:
    def score(self, codes_ND, factors_NK, random_state):
        return {"points": len(codes_ND)}

@dataclass(frozen=True)
class Returns:
    what: object

    def score(self, codes_ND, factors_NK, random_state):
        return self.what

class NotAMetric:
    pass
"""
GRID = FactorGrid((3, 4))
CODES = np.random.default_rng(0).normal(size=(12, 2))
REPRESENTATION = GridRepresentation(GRID, CODES)


@pytest.fixture(autouse=True)
def _module(tmp_path: Path) -> Iterator[None]:
    with plugin_files(tmp_path) as files:
        files.write("own_metrics_of_a_test.py", MODULE)
        yield


def own(name: str, **parameters: Any) -> MetricSpec:
    plugin = {"name": f"own_metrics_of_a_test:{name}", "parameters": parameters}
    return MetricSpec.model_validate({"plugin": plugin})


def test_its_points_are_those_that_a_built_in_metric_would_be_given() -> None:
    codes_ND, factors_NK = generate_batch_factor_code(REPRESENTATION, 30, RandomState(5), 7)
    scores = evaluate_metric(own("Seen", num_train=30), REPRESENTATION, 5).scores()
    assert (scores["points"], scores["factors"]) == (30, factors_NK.sum())
    assert scores["codes"] == pytest.approx(codes_ND.sum())


def test_the_batch_size_decides_the_sample_and_the_seed_decides_the_noise() -> None:
    one, other = (evaluate_metric(own("Seen", batch_size=size), REPRESENTATION, 0).scores() for size in (7, 50))
    assert one["factors"] != other["factors"]
    assert one["drawn"] == other["drawn"]
    assert one["drawn"] != evaluate_metric(own("Seen"), REPRESENTATION, 1).scores()["drawn"]


def test_a_metric_that_says_nothing_of_points_gets_as_many_as_the_published_ones() -> None:
    assert evaluate_metric(own("Plain"), REPRESENTATION, 0).scores() == {"points": 10_000}


def test_own_arrays_are_scored_whole_beside_built_in_metrics() -> None:
    factors_NK = GRID.all_factors()
    outcomes = score_arrays(CODES, factors_NK, metrics=["mig", own("Seen"), own("Plain")])
    assert list(outcomes) == ["mig", "plugin_seen", "plugin_plain"]
    seen: Any = outcomes["plugin_seen"]
    assert (seen["points"], seen["factors"]) == (12, factors_NK.sum())
    with pytest.raises(SpecError, match="each metric once"):
        score_arrays(CODES, factors_NK, metrics=[own("Seen"), own("Seen")])
    assert len(score_arrays(CODES, factors_NK, metrics=[own("Seen"), own("Seen", num_train=3)])) == 2


@pytest.mark.parametrize("what", [3, {}, [["a", 1]], {"a": "high"}, {"a": None}])
def test_what_is_no_score_by_name_is_refused(what: object) -> None:
    with pytest.raises(MetricUndefined, match=r"own_metrics_of_a_test:Returns returned .*wanted"):
        evaluate_metric(own("Returns", what=what), REPRESENTATION, 0)


def test_numbers_of_any_kind_become_plain_ones() -> None:
    scores = evaluate_metric(own("Returns", what={"yes": True, "three": 3, "half": 0.5}), REPRESENTATION, 0).scores()
    assert scores == {"yes": 1.0, "three": 3.0, "half": 0.5}
    assert {type(value) for value in scores.values()} == {float}


def test_codes_that_are_not_finite_never_reach_it() -> None:
    broken = CODES.copy()
    broken[3, 1] = np.nan
    with pytest.raises(MetricUndefined, match="finite"):
        evaluate_metric(own("Plain"), GridRepresentation(GRID, broken), 0)


def test_what_has_no_score_is_no_metric() -> None:
    with pytest.raises(SpecError, match=r"metric\.plugin\.name: .*OwnMetric \(score\)"):
        evaluate_metric(own("NotAMetric"), REPRESENTATION, 0)
