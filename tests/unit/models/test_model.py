from __future__ import annotations

import numpy as np
import pytest
import torch

from disentanglement.errors import CorruptArtifact
from disentanglement.models.data.images import TrainingData
from disentanglement.models.model import Model
from disentanglement.models.networks.weights import tensors_from_bytes, tensors_to_bytes
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec


@pytest.fixture(scope="module")
def model(spec: TrainSpec, data: TrainingData) -> Model:
    return Model(spec, Training(spec, data).weights(), image_shape=data.image_shape)


def test_a_model_survives_being_written_and_read(model: Model) -> None:
    again = Model.from_bytes(model.spec, model.to_bytes(), image_shape=(64, 64, 1))
    images = np.random.default_rng(0).random((3, 64, 64, 1))
    for one, other in zip(model.encode(images), again.encode(images), strict=True):
        assert np.array_equal(one, other)
    assert again.to_bytes() == model.to_bytes()


def test_decoded_images_are_the_sigmoid_of_the_outputs(model: Model) -> None:
    codes = 3 * np.random.default_rng(0).standard_normal((2, 10))
    images = model.decode(codes)
    with torch.inference_mode():
        outputs = model.networks.decode(torch.tensor(codes, dtype=torch.float32)).numpy()
    assert images.shape == (2, 64, 64, 1)
    np.testing.assert_allclose(images, 1 / (1 + np.exp(-outputs.astype(np.float64))), rtol=1e-5)


def test_a_model_trained_with_tanh_decodes_with_tanh(model: Model) -> None:
    spec = model.spec.replace(reconstruction={"bernoulli_loss": {"activation": "tanh"}})
    tanh = Model(spec, model.networks.weights, image_shape=(64, 64, 1))
    codes = np.random.default_rng(0).standard_normal((2, 10))
    odds = model.decode(codes).astype(np.float64) / (1 - model.decode(codes))
    np.testing.assert_allclose(tanh.decode(codes), np.tanh(np.log(odds)) / 2 + 0.5, rtol=1e-4, atol=1e-6)


def test_arrays_of_another_shape_are_refused(model: Model) -> None:
    with pytest.raises(ValueError, match="images"):
        model.encode(np.zeros((1, 64, 64, 3)))
    with pytest.raises(ValueError, match="codes"):
        model.decode(np.zeros((1, 9)))


def test_weights_of_another_model_are_refused_by_name(model: Model) -> None:
    weights = dict(model.networks.weights)
    del weights["decoder.d1.bias"]
    with pytest.raises(CorruptArtifact, match=r"decoder\.d1\.bias"):
        Model(model.spec, weights, image_shape=(64, 64, 1))


def test_bytes_that_are_not_safetensors_are_corrupt() -> None:
    with pytest.raises(CorruptArtifact):
        tensors_from_bytes(b"not tensors")


def test_equal_tensors_give_equal_bytes_in_any_order() -> None:
    a, b = torch.arange(3), torch.ones(2, 2)
    assert tensors_to_bytes({"a": a, "b": b}) == tensors_to_bytes({"b": b, "a": a})
    assert torch.equal(tensors_from_bytes(tensors_to_bytes({"a": a}))["a"], a)
