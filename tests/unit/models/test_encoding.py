from __future__ import annotations

import numpy as np

from disentanglement.models.data.images import TrainingData
from disentanglement.models.encoding import EncodedBatch, encode_all
from disentanglement.models.model import Model
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec


def collected(batches: list[EncodedBatch]) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float32]], ...]:
    return np.concatenate([b.mean_BZ for b in batches]), np.concatenate([b.logvar_BZ for b in batches])


def test_every_point_is_encoded_once_in_the_order_of_the_data(data: TrainingData, spec: TrainSpec) -> None:
    training = Training(spec, data)
    batches = list(encode_all(training.networks, data, batch_size=32))
    assert [batch.start for batch in batches] == [0, 32, 64, 96]
    model = Model(spec, training.weights(), image_shape=data.image_shape)
    for ours, expected in zip(collected(batches), model.encode(data.encoded_images(0, 100).numpy()), strict=True):
        assert ours.shape == (100, 10)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_the_number_of_workers_changes_no_bit(data: TrainingData, spec: TrainSpec) -> None:
    networks = Training(spec, data).networks
    one, three = (collected(list(encode_all(networks, data, batch_size=16, num_workers=n))) for n in (1, 3))
    assert np.array_equal(one[0], three[0])
    assert np.array_equal(one[1], three[1])


def test_progress_counts_points(data: TrainingData, spec: TrainSpec) -> None:
    seen: list[tuple[int, int]] = []
    networks = Training(spec, data).networks
    list(encode_all(networks, data, batch_size=64, progress=lambda done, total: seen.append((done, total))))
    assert seen == [(64, 100), (100, 100)]
