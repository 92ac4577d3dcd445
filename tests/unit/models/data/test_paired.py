"""Batches of pairs: functions of the seed and the iteration, showing what the labels say; training on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_grid import grid, numbered_images

from disentanglement.datasets.ground_truth import GridData, GroundTruth
from disentanglement.errors import SpecError
from disentanglement.models.data.images import TrainingData
from disentanglement.models.data.paired import PairedBatches
from disentanglement.models.objectives.protocol import Batch
from disentanglement.models.streams import ITERATIONS_PER_BLOCK
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec
from disentanglement.specs.supervision import PairsSpec

SIZES = (3, 4, 2)


@pytest.fixture(scope="module")
def truth() -> GridData:
    return grid(*SIZES)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return TrainingData(numbered_images(24))


def paired(data: TrainingData, truth: GroundTruth, *, k: int = 1, seed: int = 0, evaluation: bool = False) -> Any:
    return PairedBatches(data, truth, PairsSpec(k=k), batch_size=8, seed=seed, evaluation=evaluation)


def shown(batch: Batch) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Factors that the first and the second images show, and the labels."""
    assert batch.pair is not None
    rows = [(images[:, 0, 0, 0] * 255).round().long().numpy() for images in (batch.images_BHWC, batch.pair.images_BHWC)]
    first, second = (np.stack(np.unravel_index(of, SIZES), axis=1) for of in rows)
    return first, second, batch.pair.changed_B.numpy()


def equal(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(shown(one), shown(other), strict=True))


def test_images_of_a_pair_differ_in_the_factor_of_the_label_alone(data: TrainingData, truth: GridData) -> None:
    batches = paired(data, truth)
    differing = 0
    for iteration in range(2 * ITERATIONS_PER_BLOCK):
        first, second, changed = shown(batches.at(iteration))
        assert first.shape == second.shape == (8, 3)
        differs = first != second
        differing += differs.sum()
        assert not differs[np.arange(3) != changed[:, None]].any()
    expected = np.mean([1 - 1 / size for size in SIZES])  # a new value may be the old one
    assert differing / (16 * ITERATIONS_PER_BLOCK) == pytest.approx(expected, abs=0.05)


def test_pairs_are_a_function_of_the_seed_the_stream_and_the_iteration(data: TrainingData, truth: GridData) -> None:
    batches, again = paired(data, truth), paired(data, truth)
    for iteration in (0, 1, ITERATIONS_PER_BLOCK - 1, ITERATIONS_PER_BLOCK, 5 * ITERATIONS_PER_BLOCK, 3):
        assert equal(again.at(iteration), paired(data, truth).at(iteration))
    first = batches.at(0)
    others = [batches.at(1), batches.at(ITERATIONS_PER_BLOCK)]
    others += [paired(data, truth, seed=1).at(0), paired(data, truth, evaluation=True).at(0)]
    assert not any(equal(first, other) for other in others)


def test_the_number_of_changes_is_that_of_the_spec(data: TrainingData, truth: GridData) -> None:
    def most(k: int) -> int:
        pairs = (shown(paired(data, truth, k=k).at(iteration)) for iteration in range(ITERATIONS_PER_BLOCK))
        return max(int((first != second).sum(axis=1).max()) for first, second, _ in pairs)

    assert [most(k) for k in (1, 2, 3, -1)] == [1, 2, 3, 2]


def test_more_changes_than_factors_are_refused_before_any_work(data: TrainingData, truth: GridData) -> None:
    with pytest.raises(SpecError, match=r"pairs\.k"):
        paired(data, truth, k=4)


# ------------------------------------------------------------------------------------------------------- training


def weak(family: str, aggregation: str, **changes: Any) -> TrainSpec:
    plain = {
        "dataset": "dsprites_full",
        "objective": {family: {"beta": 2.0, "aggregation": aggregation}},
        "architecture": {"num_latent": 3, "encoder": {"test_encoder": {}}, "decoder": {"test_decoder": {}}},
        "batch_size": 8,
        "training_steps": 10,
        "eval_steps": 2,
        "pairs": {"k": 1},
    }
    return TrainSpec.model_validate(plain | changes)


VARIANTS = [(family, aggregation) for family in ("group_vae", "mlvae") for aggregation in ("labels", "argmax")]


@pytest.mark.parametrize(("family", "aggregation"), VARIANTS)
def test_training_learns_from_pairs(family: str, aggregation: str, data: TrainingData, truth: GridData) -> None:
    fast = weak(family, aggregation, optimizer={"adam": {"learning_rate": 1e-2}})
    training = Training(fast, data, truth)
    before = training.evaluate()
    training.advance(100)
    assert training.evaluate()["loss"] < before["loss"] - 1
    assert set(before) == {"reconstruction_loss", "elbo", "regularizer", "kl_loss", "loss", "global_step"}
    assert before["regularizer"] == pytest.approx(2 * before["kl_loss"])
    assert before["loss"] == pytest.approx(before["reconstruction_loss"] + before["regularizer"])
    assert before["elbo"] == pytest.approx(-before["reconstruction_loss"] - before["kl_loss"])


@pytest.mark.parametrize(("family", "aggregation"), VARIANTS)
def test_a_run_on_pairs_resumed_in_the_middle_equals_an_uninterrupted_one_bit_for_bit(
    family: str, aggregation: str, data: TrainingData, truth: GridData
) -> None:
    spec = weak(family, aggregation)
    whole, first, second = (Training(spec, data, truth) for _ in range(3))
    whole.advance(5)
    first.advance(3)
    second.restore(first.state())
    second.advance(2)
    mine, expected = second.state(), whole.state()
    assert mine.keys() == expected.keys()
    assert all(torch.equal(mine[name], expected[name]) for name in mine)
    assert second.evaluate() == whole.evaluate()


def test_pairs_cannot_be_made_of_images_alone(data: TrainingData) -> None:
    with pytest.raises(ValueError, match="ground truth"):
        Training(weak("mlvae", "labels"), data)
