from __future__ import annotations

import numpy as np
import pytest

from disentanglement.metrics import GridRepresentation, evaluate_metric
from disentanglement.metrics.modern_catalog import MODERN_METRICS
from disentanglement.metrics.sampling.points import FactorGrid
from disentanglement.rpc.modern_score_keys import MODERN_SCORE_KEYS
from disentanglement.specs.metrics import MetricSpec

GRID = FactorGrid((2, 3))
MIXED = GridRepresentation(GRID, GRID.all_factors() @ np.array([[1.0, 0.5], [0.3, 1.0]]))
FEW_TREES = {word: {"num_test": 50, "num_trees": 3} for word in ("dcies_forest", "dcies_forest_cut")}


def test_every_metric_since_says_its_keys() -> None:
    assert set(MODERN_SCORE_KEYS) == set(MODERN_METRICS)


@pytest.mark.parametrize("word", MODERN_METRICS)
def test_the_keys_are_those_of_the_scores(word: str) -> None:
    spec = MetricSpec.model_validate({word: {"num_train": 100, **FEW_TREES.get(word, {})}})
    assert set(MODERN_SCORE_KEYS[word]) == set(evaluate_metric(spec, MIXED, 0).scores())
