"""The labelled sample: in which order it is drawn, how it is split, and the order in which it is gone through."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import RandomState

from disentanglement.datasets.card import DataCard, Factor, Origin
from disentanglement.datasets.ground_truth import GridData
from disentanglement.datasets.labelled_sample import LabelledSample
from disentanglement.errors import SpecError
from disentanglement.models.data.images import TrainingData
from disentanglement.models.data.labelled import LabelledBatches, num_validation_batches
from disentanglement.models.streams import Streams
from disentanglement.specs.supervision import LabelledDataSpec

NUM_ROWS, BATCH = 24, 4
FACTORS = (Factor(name="lamp", size=2, is_latent=False), Factor(name="shape", size=3), Factor(name="angle", size=4))


def grid() -> GridData:
    """Three factors, of which the first is observed noise."""
    card = DataCard.of(
        name="grid",
        origin=Origin.GENERATED,
        images_sha256="0" * 64,
        images_bytes=0,
        num_images=NUM_ROWS,
        encoding="uint8",
        observation_shape=(1, 2, 1),
        factors=FACTORS,
    )
    return GridData(card)


def spec(**changes: Any) -> LabelledDataSpec:
    return LabelledDataSpec.model_validate({"num_labelled_samples": 10, **changes})


def batches(labelled: LabelledDataSpec, *, evaluation: bool = False, seed: int = 0) -> LabelledBatches:
    """Of images whose first pixel is ten times their row."""
    stored = np.zeros((NUM_ROWS, 1, 2, 1), np.uint8)
    stored[:, 0, 0, 0] = 10 * np.arange(NUM_ROWS)
    data = TrainingData(stored)
    streams = Streams(
        seed,
        num_rows=NUM_ROWS,
        batch_size=BATCH,
        num_latent=3,
        device=data.device,
        evaluation=evaluation,
        rows_seed=labelled.unsupervised_data_seed,
    )
    return LabelledBatches(data, grid(), labelled, streams, batch_size=BATCH, evaluation=evaluation)


def rows(images_BHWC: torch.Tensor) -> list[int]:
    shown: list[int] = (images_BHWC[:, 0, 0, 0] * 25.5).round().long().tolist()
    return shown


def test_factors_then_observations_then_labels_are_drawn_from_one_generator() -> None:
    sample = LabelledSample.draw(
        grid(), spec(supervised_data_seed=3, labeller={"noisy_labeller": {"prob_random": 0.5}})
    )
    rs = RandomState(3)
    shape_N, angle_N = rs.randint(3, size=10), rs.randint(4, size=10)
    lamp_N = rs.randint(2, size=10)
    labels = np.stack([shape_N, angle_N], axis=1)
    for label in labels:
        for k, size in enumerate((3, 4)):
            if rs.rand() < 0.5:
                label[k] = rs.randint(size)
    np.testing.assert_array_equal(sample.rows_N, 12 * lamp_N + 4 * shape_N + angle_N)
    np.testing.assert_array_equal(sample.labels_NK, labels)
    assert sample.labels_NK.dtype == np.float32
    assert sample.sizes == (3, 4)


def test_a_labeller_that_hides_factors_changes_the_sizes() -> None:
    sample = LabelledSample.draw(grid(), spec(labeller={"partial_labeller": {"num_observed_factors": 1}}))
    assert sample.labels_NK.shape == (10, 1)
    assert sample.sizes in ((3,), (4,))
    with pytest.raises(SpecError, match="at most 2, got 3"):
        LabelledSample.draw(grid(), spec(labeller={"partial_labeller": {"num_observed_factors": 3}}))


@pytest.mark.parametrize(
    ("num", "share", "training"),
    [(10, 0.9, 9), (10, 0.91, 10), (10, 1.0, 10), (3, 0.5, 2), (1, 0.1, 1), (100, 0.07, 8)],
)
def test_the_first_points_train_and_the_rest_validates(num: int, share: float, training: int) -> None:
    """Rounded up as floating point has it: 100 * 0.07 is a little more than 7."""
    sample = LabelledSample(np.arange(num), np.zeros((num, 1), np.float32), (3,))
    train, validation = sample.split(share)
    assert train.rows_N.tolist() == list(range(training))
    assert validation.rows_N.tolist() == list(range(training, num))


@given(st.integers(1, 200), st.floats(0.001, 1.0))
def test_a_split_keeps_every_point_once_and_its_label_with_it(num: int, share: float) -> None:
    sample = LabelledSample(np.arange(num), np.arange(num, dtype=np.float32)[:, None], (num,))
    parts = sample.split(share)
    assert len(parts[0]) >= max(1, num * share)
    np.testing.assert_array_equal(np.concatenate([part.rows_N for part in parts]), sample.rows_N)
    for part in parts:
        np.testing.assert_array_equal(part.labels_NK[:, 0], part.rows_N)
    labelled = spec(num_labelled_samples=num, train_percentage=share)
    assert num_validation_batches(labelled) == (num if len(parts[1]) else 0)


@pytest.mark.parametrize("evaluation", [False, True])
def test_a_sample_is_gone_through_in_its_order_and_epochs_end_inside_batches(evaluation: bool) -> None:
    labelled = spec(train_percentage=0.7)
    sample = LabelledSample.draw(grid(), labelled).split(0.7)[1 if evaluation else 0]
    stream = batches(labelled, evaluation=evaluation)
    seen = [stream.at(iteration).labelled for iteration in range(8)]
    order = [point % len(sample) for point in range(8 * BATCH)]
    assert [row for batch in seen if batch for row in rows(batch.images_NHWC)] == sample.rows_N[order].tolist()
    labels = torch.cat([batch.labels_NK for batch in seen if batch])
    np.testing.assert_array_equal(labels, sample.labels_NK[order])
    assert labels.dtype == torch.float32


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_batch_depends_on_its_iteration_alone(before: int, iteration: int) -> None:
    used, fresh = batches(spec()), batches(spec())
    used.at(before)
    one, other = used.at(iteration), fresh.at(iteration)
    assert rows(one.images_BHWC) == rows(other.images_BHWC)
    assert one.labelled is not None
    assert other.labelled is not None
    assert torch.equal(one.labelled.images_NHWC, other.labelled.images_NHWC)
    assert torch.equal(one.labelled.labels_NK, other.labelled.labels_NK)


def seen(labelled: LabelledDataSpec, seed: int = 0) -> tuple[list[int], list[int]]:
    """Unlabelled and labelled rows of some iterations."""
    stream = batches(labelled, seed=seed)
    some = [stream.at(iteration) for iteration in range(5)]
    return [row for batch in some for row in rows(batch.images_BHWC)], [
        row for batch in some if batch.labelled for row in rows(batch.labelled.images_NHWC)
    ]


def test_each_seed_decides_its_own_rows_alone() -> None:
    unlabelled, labelled = seen(spec())
    assert seen(spec(), seed=1) == (unlabelled, labelled)
    other = seen(spec(supervised_data_seed=1))
    assert other[0] == unlabelled
    assert other[1] != labelled
    other = seen(spec(unsupervised_data_seed=1))
    assert other[0] != unlabelled
    assert other[1] == labelled


def test_evaluation_sees_the_unlabelled_images_with_which_training_began() -> None:
    training, evaluation = batches(spec(), seed=1), batches(spec(), evaluation=True, seed=2)
    for iteration in range(3):
        assert rows(evaluation.at(iteration).images_BHWC) == rows(training.at(iteration).images_BHWC)
