"""MCC, MED, DCI-ES, Z-min and Z-max variance and OMES against scores recorded from their authors' code
(`modern_metrics/README.md`).

Tolerances, and why:

- MCC with the same noise, MED's disentanglement and completeness, explicitness from recorded losses: 1e-12, the same
  sums in another order. MCC without noise rows and with constant codes is not the authors' own computation: their
  solver does not return where a correlation is NaN.
- MED's informativeness: 0.001, accuracies at the optimum of a regression that the authors' solver stops short of.
- DCI-ES, forests grown anew at each depth: 1e-9 for classes. For factors that are numbers 1e-4, and 1e-3 for scores:
  rounding, in sums of single precision, decides between splits that are as good. Scikit-learn 1.9.1 draws what 1.3.2
  drew, so losses and importances are those recorded; should a later version draw otherwise, `_seed_spread` is what is
  left to ask for. Forests that are cut draw otherwise: within 4 standard deviations of the recorded seeds (0.01 where
  these hardly differ).
- Z-min variance: 1e-12 over five seeds, the draws are the authors' one by one, and scores are ratios of counts. Z-max
  variance: they draw from Python's generator, too; so our mean over five seeds lies within 2 standard deviations of
  theirs (their own mean of five moves by 0.45 of one).
- OMES of drawn pairs: none but that of the recorded four decimals, over five seeds. Of pairs among given points: our
  mean over ten seeds within 2 standard deviations of theirs.

The forests of dSprites and shapes3d take minutes, and are marked `slow`, as are those of most small cases:
`pytest -m slow tests/golden/test_modern_others_golden.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any, get_args

import numpy as np
import pytest
from golden_metrics import SLOW, Case, TableRepresentation, each
from numpy.random import RandomState

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.classifiers.forest_probe import Forests
from disentanglement.metrics.sampling.pairs import pairs_drawn
from disentanglement.metrics.scores.dci_es import DEPTHS, DciEsResult, dci_es, explicitness
from disentanglement.metrics.scores.mcc import Correlation, mcc, mcc_with_noise_rows
from disentanglement.metrics.scores.med import med
from disentanglement.metrics.scores.omes import Pooling, omes
from disentanglement.metrics.scores.z_variance import Vote, z_variance
from disentanglement.metrics.scoring import score_arrays

FOLDER = Path(__file__).parent / "modern_metrics"
CASES = sorted(path.stem for path in FOLDER.glob("*.json"))
CLASS_OF = {"dsprites": 0, "shapes3d": 4}
"""The one factor that is a class in the authors' study, of each data set; the others are numbers."""

correlations = pytest.mark.parametrize("correlation", get_args(Correlation))


@cache
def recorded(case: Case) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((FOLDER / f"{case.name}.json").read_text())
    return values


def having(metric: str) -> list[str]:
    return [name for name in CASES if metric in recorded(Case(name))]


def spread(case: Case, metric: str, key: str) -> list[float]:
    values: list[float] = recorded(case)["_seed_spread"][metric][key]["values"]
    return values


def assert_mean_within(ours: list[float], theirs: list[float], deviations: float) -> None:
    assert mean(ours) == pytest.approx(mean(theirs), abs=deviations * stdev(theirs) + 1e-12)


@correlations
@each(CASES)
def test_mcc_without_noise_rows_is_the_recorded(case: Case, correlation: Correlation) -> None:
    expected = recorded(case)["_own_computation"][f"mcc_{correlation}_without_noise_rows"]
    points = case.points("train")
    assert mcc(points.codes_ND, points.factors_NK, correlation=correlation).code_K.tolist() == expected["assignment"]
    word = f"mcc_{correlation}_plain"
    assert case.scores(word, word)["meanabscorr"] == pytest.approx(expected["mean"], abs=1e-12)


@correlations
@each(having("mcc_pearson"))
def test_mcc_with_noise_rows_is_the_authors(case: Case, correlation: Correlation) -> None:
    points, metric = case.points("train"), f"mcc_{correlation}"
    for seed, expected in enumerate(spread(case, metric, "meanabscorr")):
        result = mcc_with_noise_rows(
            points.codes_ND, points.factors_NK, correlation=correlation, random_state=RandomState(seed)
        )
        assert result.scores()["meanabscorr"] == pytest.approx(expected, abs=1e-12)
        if seed == 0:  # of equal copies of a code either may be chosen
            chosen_K = recorded(case)[metric]["sort_idx"]
            expected_K = result.correlation_DK[chosen_K, range(len(chosen_K))]
            assert result.correlations == pytest.approx(expected_K, abs=1e-12)
    word = f"{metric}_noise_rows"
    assert case.scores(word, word)["meanabscorr"] == pytest.approx(spread(case, metric, "meanabscorr")[0], abs=1e-12)


@correlations
def test_mcc_of_dead_codes_has_a_value_where_the_authors_solver_does_not_return(correlation: Correlation) -> None:
    case = Case("small_dead")
    assert "does not return" in recorded(case)["_errors"][f"mcc_{correlation}"]
    plain, noisy = (case.scores(word, word) for word in (f"mcc_{correlation}_plain", f"mcc_{correlation}_noise_rows"))
    assert plain["num_constant_codes"] == 3.0
    assert noisy == plain  # as many varying codes as factors leave no room for noise


@each(CASES)
def test_med_is_the_authors(case: Case) -> None:
    expected, points = recorded(case)["med"], case.points("train")
    result = med(points.codes_ND, points.factors_NK)
    assert result.importance_DK == pytest.approx(np.array(expected["importance"]), abs=1e-12)
    scores = case.scores("med", "med") | med(points.codes_ND, points.factors_NK, top_k=2).scores()
    solved = {key for key in scores if key.startswith("informativeness")}
    assert set(scores) == set(expected) - {"importance"}
    assert {key: scores[key] for key in set(scores) - solved} == pytest.approx(
        {key: expected[key] for key in set(scores) - solved}, abs=1e-12
    )
    assert {key: scores[key] for key in solved} == pytest.approx({key: expected[key] for key in solved}, abs=1e-3)


def numeric_factors(case: Case, variant: str) -> list[int]:
    if variant == "dcies_rf_classification":
        return []
    own_class = CLASS_OF[case.name.split("_")[0]]
    return [factor for factor in range(case.points("train").factors_NK.shape[1]) if factor != own_class]


def forests(case: Case, variant: str, seed: int, way: Forests) -> DciEsResult:
    numeric = numeric_factors(case, variant)
    return dci_es(case.points("train"), case.points("test"), seed=seed, numeric_factors=numeric, forests=way)


RECORDED = [(name, word) for word in ("dcies_rf_classification", "dcies_rf_repo_types") for name in having(word)]


@pytest.mark.parametrize(
    ("case", "variant"), [pytest.param(Case(name), variant, id=f"{name}-{variant}") for name, variant in RECORDED]
)
def test_explicitness_of_the_recorded_losses_is_the_authors(case: Case, variant: str) -> None:
    expected, numeric = recorded(case)[variant], numeric_factors(case, variant)
    sizes = [len(np.unique(factor_N)) for factor_N in case.points("train").factors_NK.T]
    baseline = np.array([1.0 if factor in numeric else 1 - 1 / size for factor, size in enumerate(sizes)])
    found = explicitness(np.array(expected["test_loss"]), np.array(DEPTHS, dtype=float), baseline)
    assert found == pytest.approx(np.array(expected["explicitness_per_factor"]), abs=1e-12)


def forest_cases(pairs: Sequence[tuple[str, str]], always: str) -> pytest.MarkDecorator:
    marked = [
        pytest.param(Case(name), variant, id=f"{name}-{variant}", marks=() if name == always else SLOW)
        for name, variant in pairs
    ]
    return pytest.mark.parametrize(("case", "variant"), marked)


SPREAD = [(name, variant) for name, variant in RECORDED if variant in recorded(Case(name))["_seed_spread"]]


@forest_cases(RECORDED, always="small_perfect")
def test_forests_grown_at_each_depth_are_the_authors(case: Case, variant: str) -> None:
    expected = recorded(case)[variant]
    result = forests(case, variant, 0, "grown")
    precision, of_scores = (1e-9, 1e-9) if variant == "dcies_rf_classification" else (1e-4, 1e-3)
    assert result.loss_KT == pytest.approx(np.array(expected["test_loss"]), abs=precision)
    assert result.scores() == pytest.approx({key: expected[key] for key in result.scores()}, abs=of_scores)


@forest_cases([both for both in SPREAD if both[0].startswith("small")], always="")
def test_forests_of_other_seeds_are_the_authors(case: Case, variant: str) -> None:
    for seed in (1, 2):
        scores = forests(case, variant, seed, "grown").scores()
        for key in recorded(case)["_seed_spread"][variant]:
            assert scores[key] == pytest.approx(spread(case, variant, key)[seed], abs=1e-9)


@forest_cases(SPREAD, always="small_random")
def test_forests_that_are_cut_lie_within_the_authors_seeds(case: Case, variant: str) -> None:
    scores = forests(case, variant, 0, "cut").scores()
    for key in recorded(case)["_seed_spread"][variant]:
        values = spread(case, variant, key)
        assert scores[key] == pytest.approx(mean(values), abs=max(4 * stdev(values), 0.01))


def votes(case: Case, vote: Vote, seed: int) -> float:
    points = case.points("train")
    result = z_variance(points.codes_ND, points.factors_NK, vote=vote, random_state=RandomState(seed))
    return result.scores()["eval_accuracy"]


@each(CASES)
def test_z_min_variance_is_the_authors(case: Case) -> None:
    expected = spread(case, "ubisoft_z_min_var", "eval_accuracy")
    assert [votes(case, "min", seed) for seed in range(5)] == pytest.approx(expected, abs=1e-12)
    scores = case.scores("z_min_variance", "z_min_variance")
    assert scores["eval_accuracy"] == pytest.approx(recorded(case)["ubisoft_z_min_var"]["eval_accuracy"], abs=1e-12)


@each(CASES)
def test_z_max_variance_lies_within_the_authors_seeds(case: Case) -> None:
    ours = [votes(case, "max", seed) for seed in range(5)]
    assert_mean_within(ours, spread(case, "ubisoft_z_max_var", "eval_accuracy"), 2.0)


def drawn(case: Case, pooling: Pooling, alpha: float, seed: int) -> Any:
    """By the recipe of the README: pairs of the representation, activity of the training points."""
    pairs = pairs_drawn(TableRepresentation(case), 2000, RandomState(seed))
    codes = case.points("train").codes_ND
    return omes(codes, pairs, random_state=RandomState(seed), pooling=pooling, alpha=alpha)


@each(having("omes_function"))
def test_omes_of_drawn_pairs_is_the_authors(case: Case) -> None:
    expected = recorded(case)["omes_function"]
    alphas = [key for key in expected if "_alpha" in key and not key.endswith("per_factor")]
    for key in alphas:
        pooling, alpha = key.split("_alpha")
        result = drawn(case, pooling, float(alpha), 0)
        assert result.scores()["omes"] == pytest.approx(expected[key], abs=1e-9)
        if f"{key}_per_factor" in expected:
            assert result.score_of_factors == pytest.approx(np.array(expected[f"{key}_per_factor"]), abs=1e-9)
    assert result.changed_AK == pytest.approx(np.array(expected["one_minus_abs_corr"]), abs=1e-9)
    assert np.flatnonzero(~result.active_D).tolist() == expected["inactive"]


@each(having("omes_function"))
def test_omes_of_drawn_pairs_over_five_seeds_is_the_authors(case: Case) -> None:
    for key, expected in recorded(case)["_seed_spread"].get("omes_function", {}).items():
        pooling, alpha = key.split("_alpha")
        ours = [drawn(case, pooling, float(alpha), seed).scores()["omes"] for seed in range(5)]
        assert ours == pytest.approx(expected["values"], abs=1e-9)


def test_omes_by_averages_is_not_defined_where_a_factor_changes_no_code() -> None:
    case = Case("small_perfect")
    assert "average pooling only: ZeroDivisionError" in recorded(case)["_errors"]["omes_function"]
    with pytest.raises(MetricUndefined, match="factor 0 changes no code"):
        drawn(case, "avg", 0.5, 0)
    assert isinstance(case.scores("omes_avg", "omes_avg"), MetricUndefined)


OF_ARRAYS = [(name, pooling) for name in having("omes_arrays") for pooling in get_args(Pooling)]


@pytest.mark.parametrize(
    ("case", "pooling"),
    [pytest.param(Case(name), word, id=f"{name}-{word}") for name, word in OF_ARRAYS if name != "small_perfect"],
)
def test_omes_of_pairs_among_given_points_lies_within_the_authors_seeds(case: Case, pooling: Pooling) -> None:
    points, word = case.points("train"), f"omes_{pooling}"
    ours = []
    for seed in range(10):
        outcome = score_arrays(points.codes_ND, points.factors_NK, metrics=[word], seed=seed)[word]
        assert isinstance(outcome, dict)
        ours.append(outcome["omes"])
    assert_mean_within(ours, spread(case, "omes_arrays", f"{pooling}_alpha0.5"), 2.0)
