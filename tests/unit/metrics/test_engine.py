from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import DisentanglementError, Interrupted, MetricUndefined, SpecError
from disentanglement.metrics import evaluate_metric, evaluate_metrics
from disentanglement.metrics.arrays import Codes
from disentanglement.metrics.catalog import METRICS
from disentanglement.metrics.sampling.points import (
    FactorGrid,
    GridRepresentation,
    Samples,
    SharedRepresentation,
    draw_points,
    sample_points,
)
from disentanglement.specs.metrics import Dci, MetricSpec, Mig, SapScore

GRID = FactorGrid((2, 3, 4))
RNG = np.random.default_rng(0)
MEAN = (GRID.all_factors() @ RNG.normal(size=(3, 5)) + RNG.normal(size=(24, 5))).astype(np.float32)


def mean() -> GridRepresentation:
    return GridRepresentation(GRID, MEAN)


def sampled() -> GridRepresentation:
    return GridRepresentation(GRID, MEAN, np.zeros_like(MEAN), np.random.default_rng([1, 2]))


SIZES = {
    "num_train": 90,
    "num_test": 45,
    "num_eval": 45,
    "batch_size": 16,
    "num_variance_estimate": 90,
    "num_test_points_per_class": 20,
    "num_factors_to_remove": 1,
    "n_experiment": 2,
    "num_labelled_samples": 90,
    "train_percentage": 0.7,
}
"""Small, and alike, so that all metrics share what they can."""


def small_spec(word: str) -> MetricSpec:
    """A metric with few points, whatever its parameters are."""
    field = MetricSpec.model_fields[word]
    (kind,) = (kind for kind in field.annotation.__args__ if kind is not type(None))  # type: ignore[union-attr]
    sizes: dict[str, object] = {name: value for name, value in SIZES.items() if name in kind.model_fields}
    if "tuple" in str(kind.model_fields.get("num_train")):
        sizes["num_train"] = [10, 90]
    return MetricSpec.model_validate({word: sizes})


BUILT = [word for word in METRICS if word in MetricSpec.model_fields]


def outcome(spec: MetricSpec, representation: GridRepresentation, seed: int) -> object:
    try:
        return evaluate_metric(spec, representation, seed).scores()
    except DisentanglementError as error:
        return str(error)


QUICK = ("mig", "sap_score", "factor_vae_score", "dci", "irs", "jemmig", "migsup")


@pytest.mark.parametrize("representation", [mean, sampled])
@pytest.mark.parametrize(
    "words", [QUICK, pytest.param(BUILT, marks=(pytest.mark.slow, pytest.mark.timeout(900)))], ids=["quick", "all"]
)
def test_scores_of_metrics_together_are_bit_for_bit_those_of_each_alone(
    words: Sequence[str], representation: Callable[[], GridRepresentation]
) -> None:
    specs = [small_spec(word) for word in words]
    expected = {spec.label: outcome(spec, representation(), 3) for spec in specs}
    for order in (specs, specs[::-1]):
        found = evaluate_metrics(order, representation(), 3)
        scores = {
            label: str(result) if isinstance(result, DisentanglementError) else result.scores()
            for label, result in found.items()
        }
        assert list(scores) == [spec.label for spec in order]
        assert scores == expected
    assert sum(isinstance(result, dict) for result in expected.values()) >= len(words) - 2


def test_points_are_gathered_once_where_seed_batch_size_and_number_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    codes_of = GridRepresentation.codes_of

    def counted(self: GridRepresentation, rows: NDArray[np.int64]) -> Codes:
        asked.append(len(rows))
        return codes_of(self, rows)

    monkeypatch.setattr(GridRepresentation, "codes_of", counted)
    dci, sap = Dci(num_train=90, num_test=45), SapScore(num_train=90, num_test=45)
    metrics = [MetricSpec(dci=dci), MetricSpec(sap_score=sap), MetricSpec(mig=Mig(num_train=90))]
    evaluate_metrics(metrics, sampled(), 3)
    assert asked == [90, 45]
    evaluate_metrics(metrics, sampled(), [3, 4, 5])
    assert asked[2:] == [90, 45, 90, 45, 90]


def test_who_finds_a_sample_finds_both_generators_as_drawing_it_leaves_them() -> None:
    samples = Samples()
    alone, rs = sampled(), RandomState(4)
    expected = [draw_points(alone, num, rs, 16) for num in (20, 20, 33)]
    for _ in range(2):
        shared, rs = SharedRepresentation(sampled(), samples), RandomState(4)
        found = [sample_points(shared, num, rs, 16) for num in (20, 20, 33)]
        for points, wanted in zip(found, expected, strict=True):
            assert (points.codes_ND == wanted.codes_ND).all()
            assert (points.factors_NK == wanted.factors_NK).all()
    assert (found[0].codes_ND != found[1].codes_ND).any()


def test_samples_are_bounded_in_memory() -> None:
    samples, rs = Samples(max_bytes=3000), RandomState(0)
    for _ in range(5):
        samples.drawn(mean(), 24, rs, 16)  # 24 x (5 x 4 + 3 x 8) = 1056 bytes each
    assert len(samples._drawn) == 2
    samples.drawn(mean(), 1000, rs, 16)
    assert len(samples._drawn) == 1


def test_shared_points_cannot_be_written_to() -> None:
    points = Samples().drawn(mean(), 24, RandomState(0), 16)
    with pytest.raises(ValueError, match="read-only"):
        points.codes_ND[0, 0] = 1.0


def test_one_metric_that_has_no_value_does_not_take_the_others_down() -> None:
    constant = GridRepresentation(FactorGrid((1, 3)), MEAN[:3])
    results = evaluate_metrics(["mig", "factor_vae_score"], constant)
    assert isinstance(results["mig"], MetricUndefined)
    assert not isinstance(results["factor_vae_score"], DisentanglementError)


def test_what_progress_raises_ends_all_of_it_and_shares_rise_to_one() -> None:
    shares: list[float] = []
    metrics = [MetricSpec(sap_score=SapScore(num_train=30, num_test=10)), MetricSpec(dci=Dci(num_train=30, num_test=9))]
    evaluate_metrics(metrics, mean(), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)

    def stop(share: float) -> None:
        raise Interrupted("stop")

    with pytest.raises(Interrupted):
        evaluate_metrics(metrics, mean(), progress=stop)


def test_seeds_too_few_are_a_spec_error() -> None:
    with pytest.raises(SpecError, match="one for each metric"):
        evaluate_metrics(["mig", "dci"], mean(), [1])
