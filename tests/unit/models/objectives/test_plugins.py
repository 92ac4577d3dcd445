"""Parts of models that a user brings: each slot takes what fits it and says what is wrong with anything else."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from plugin_files import PluginFiles, plugin_files

from disentanglement.errors import SpecError
from disentanglement.models.catalog import objective_of
from disentanglement.models.data.images import TrainingData
from disentanglement.models.networks.architectures import architecture, discriminator
from disentanglement.models.objectives.reconstruction import activation_of, l2_loss, reconstruction_loss
from disentanglement.models.objectives.unsupervised import Unsupervised
from disentanglement.models.training.optimizers import GradientDescent, optimizer_of
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec
from disentanglement.specs.networks import ArchitectureSpec, DiscriminatorSpec, OptimizerSpec, ReconstructionSpec

PARTS = '''
from dataclasses import dataclass

import torch

from disentanglement.models.networks import architectures
from disentanglement.models.networks.layers import Dense, Reshape
from disentanglement.models.objectives.protocol import Terms
from disentanglement.models.objectives.unsupervised import Regularized, WithoutPlayers
from disentanglement.models.training.optimizers import GradientDescent
from disentanglement.specs.networks import GradientDescent as GradientDescentSpec


@dataclass(frozen=True)
class Tripled(WithoutPlayers):
    weight: float = 3

    def value(self, latents, networks, noise, step):
        return Regularized(self.weight * latents.kl)


@dataclass(frozen=True)
class Whole:
    """Pulls all means to one, and reconstructs nothing."""

    steps_per_iteration = 1
    variables = untrained = players = ()

    def loss(self, networks, batch, noise, step):
        posterior = networks.encode(batch.images_BHWC)
        loss = (posterior.mean_BZ - 1).square().sum()
        return Terms(loss, {"distance": loss}, posterior.kl_per_latent())


def encoder(image_shape, num_latent, width=8):
    h, w, c = image_shape
    trunk = (Reshape(image_shape, (h * w * c,)), Dense("encoder.hidden", h * w * c, width))
    mean, logvar = (Dense(f"encoder.{name}", width, num_latent, activation=None) for name in ("means", "log_var"))
    return architectures.Encoder(trunk, mean, logvar)


def decoder(image_shape, num_latent):
    return architectures.test_decoder(image_shape, num_latent)


def decoder_named_as_the_encoder(image_shape, num_latent):
    pixels = image_shape[0] * image_shape[1] * image_shape[2]
    layers = (Dense("encoder.hidden", num_latent, pixels, activation=None), Reshape((pixels,), image_shape))
    return architectures.Decoder(layers)


def narrow_discriminator(num_latent, width=4):
    return (
        Dense("discriminator.d1", num_latent, width, activation="leaky_relu"),
        Dense("discriminator.logits", width, 2, activation=None),
    )


def loss(power=2):
    def with_power(images, outputs):
        return (images - (torch.tanh(outputs) / 2 + 0.5)).abs().pow(power).flatten(1).sum(dim=1)

    with_power.activation = "tanh"
    return with_power


def plain_loss():
    return lambda images, outputs: torch.zeros(len(images))


def descent(weights, rate):
    return GradientDescent(weights, GradientDescentSpec(learning_rate=rate))


class Recorder:
    seen = []

    def __init__(self, weights):
        self.weights = list(weights.values())

    def update(self, gradients, iteration, step):
        self.seen.append((iteration, step))

    def state(self):
        return {}


def nothing(*arguments):
    return 3
'''
IMAGE = (4, 4, 1)


@pytest.fixture(autouse=True)
def parts(tmp_path: Path) -> Iterator[PluginFiles]:
    with plugin_files(tmp_path) as files:
        files.write("own_parts_of_a_test.py", PARTS)
        yield files


def own(name: str, **parameters: Any) -> dict[str, Any]:
    return {"plugin": {"name": f"own_parts_of_a_test:{name}", "parameters": parameters}}


def train(**changes: Any) -> TrainSpec:
    plain = {"dataset": "dummy_data", "objective": {"beta_vae": {"beta": 1}}, "batch_size": 4, **changes}
    networks = {"encoder": "test_encoder", "decoder": "test_decoder", "num_latent": 3}
    return TrainSpec.model_validate({"architecture": networks, **plain})


def trained(spec: TrainSpec, data: TrainingData, num_steps: int = 3) -> dict[str, torch.Tensor]:
    training = Training(spec, data)
    training.advance(num_steps)
    assert training.read_terms().step == num_steps
    return training.state()


def test_a_regularizer_of_ones_own_trains_as_the_built_in_one_would(data: TrainingData) -> None:
    mine = trained(train(objective=own("Tripled")), data)
    built_in = trained(train(objective={"beta_vae": {"beta": 3}}), data)
    assert mine.keys() == built_in.keys()
    assert all(torch.equal(mine[name], built_in[name]) for name in mine)
    other = trained(train(objective=own("Tripled", weight=4)), data)
    assert not torch.equal(mine["weights.encoder.means.kernel"], other["weights.encoder.means.kernel"])


def test_a_regularizer_reports_what_the_built_in_ones_report(data: TrainingData) -> None:
    objective = objective_of(train(objective=own("Tripled")))
    assert isinstance(objective, Unsupervised)
    training = Training(train(objective=own("Tripled"), eval_steps=1), data)
    assert training.evaluate().keys() >= {"reconstruction_loss", "elbo", "regularizer", "kl_loss", "loss"}


def test_a_whole_objective_of_ones_own_is_minimised(data: TrainingData) -> None:
    spec = train(objective=own("Whole"), optimizer={"adam": {"learning_rate": 1e-3}}, eval_steps=1)
    training = Training(spec, data)
    before = training.evaluate()["distance"]
    training.advance(50)
    assert training.evaluate()["distance"] < 0.5 * before


def test_what_is_neither_regularizer_nor_objective_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(SpecError, match=r"Regularizer \(lacks .*value.*\) or an Objective \(.*loss.*\).*makes int"):
        objective_of(train(objective=own("nothing")))


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_missing_network_is_named_by_its_field(part: str) -> None:
    spec = ArchitectureSpec.model_validate({part: {"plugin": {"name": "nowhere_at_all:network"}}})
    with pytest.raises(SpecError, match=rf"architecture\.{part}\.plugin\.name: .*nowhere_at_all"):
        architecture(spec, (64, 64, 1))


def test_networks_of_ones_own_get_image_shape_latents_and_parameters() -> None:
    spec = ArchitectureSpec.model_validate(
        {"num_latent": 5, "encoder": own("encoder", width=7), "decoder": own("decoder")}
    )
    shapes = {variable.name: variable.shape for variable in architecture(spec, IMAGE).variables()}
    assert shapes["encoder.hidden.kernel"] == (16, 7)
    assert shapes["encoder.log_var.kernel"] == (7, 5)
    assert shapes["decoder.d1.kernel"] == (5, 16)


def test_networks_of_ones_own_train(data: TrainingData) -> None:
    spec = train(architecture={"num_latent": 3, "encoder": own("encoder"), "decoder": own("decoder")})
    before = Training(spec, data).weights()["encoder.hidden.kernel"]
    assert not torch.equal(before, trained(spec, data)["weights.encoder.hidden.kernel"])


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_what_makes_no_network_is_refused_by_its_field(part: str) -> None:
    spec = ArchitectureSpec.model_validate({part: own("nothing")})
    with pytest.raises(SpecError, match=rf"architecture\.{part}\.plugin\.name: .*{part.capitalize()}.*makes int"):
        architecture(spec, (64, 64, 1))


def test_two_networks_may_not_share_a_variable_by_accident() -> None:
    parts = {"encoder": own("encoder"), "decoder": own("decoder_named_as_the_encoder")}
    with pytest.raises(SpecError, match=r"encoder\.hidden\.bias, encoder\.hidden\.kernel"):
        architecture(ArchitectureSpec.model_validate(parts), IMAGE)


def test_a_discriminator_of_ones_own_plays_against_the_networks(data: TrainingData) -> None:
    chosen = own("narrow_discriminator", width=6)
    assert len(discriminator(DiscriminatorSpec.model_validate(chosen), num_latent=3)) == 2
    spec = train(objective={"factor_vae": {"gamma": 1, "discriminator": chosen}})
    before, after = Training(spec, data).state(), Training(spec, data)
    after.advance(2)
    name = "weights.discriminator.d1.kernel"
    assert after.state()[name].shape == (3, 6)
    assert not torch.equal(before[name], after.state()[name])


def test_a_reconstruction_loss_of_ones_own_says_how_outputs_become_intensities() -> None:
    spec = ReconstructionSpec.model_validate(own("loss"))
    images, outputs = torch.rand(2, *IMAGE), torch.randn(2, *IMAGE)
    expected = l2_loss(images, outputs, activation="tanh")
    torch.testing.assert_close(reconstruction_loss(spec)(images, outputs), expected)
    assert activation_of(spec) == "tanh"
    assert activation_of(ReconstructionSpec.model_validate(own("plain_loss"))) == "logits"
    cubed = reconstruction_loss(ReconstructionSpec.model_validate(own("loss", power=3)))(images, outputs)
    assert (cubed < expected).all()


def test_an_optimiser_of_ones_own_updates_the_weights() -> None:
    weights = {"w": torch.ones(2, requires_grad=True)}
    optimizer = optimizer_of(weights, OptimizerSpec.model_validate(own("descent", rate=0.5)))
    assert isinstance(optimizer, GradientDescent)
    optimizer.update([torch.tensor([1.0, -1.0])], iteration=0, step=0)
    assert weights["w"].tolist() == [0.5, 1.5]
    with pytest.raises(SpecError, match=r"optimizer\.plugin\.name: .*Optimizer \(state, update, weights\)"):
        optimizer_of(weights, OptimizerSpec.model_validate(own("nothing")))


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ({"beta_vae": {"beta": 1}}, [(0, 0), (1, 1), (2, 2)]),
        ({"factor_vae": {"gamma": 1, "discriminator": own("narrow_discriminator")}}, [(0, 0), (1, 2), (2, 4)]),
    ],
)
def test_an_optimiser_is_told_its_own_updates_and_the_steps_counted(
    objective: dict[str, Any], expected: list[tuple[int, int]], data: TrainingData
) -> None:
    training = Training(train(objective=objective, optimizer=own("Recorder")), data)
    training.advance(3)
    assert importlib.import_module("own_parts_of_a_test").Recorder.seen == expected


# A parameter of another type than the layers can be made of; the source has no annotations to go by.
@pytest.mark.parametrize("width", ["many", 2.5, 0, None, [1, 2]])
def test_networks_of_a_wrong_parameter_name_the_field(width: Any, data: TrainingData) -> None:
    networks = {"encoder": own("encoder", width=width), "decoder": own("decoder"), "num_latent": 3}
    with pytest.raises(SpecError) as caught:
        Training(train(architecture=networks), data)
    (violation,) = caught.value.violations
    assert violation.field == "architecture.encoder.plugin.parameters"
    assert str(width) in violation.given


def test_a_discriminator_of_a_wrong_parameter_names_the_field(data: TrainingData) -> None:
    discriminator = own("narrow_discriminator", width="many")
    with pytest.raises(SpecError) as caught:
        Training(train(objective={"factor_vae": {"gamma": 1, "discriminator": discriminator}}), data)
    assert [violation.field for violation in caught.value.violations] == ["discriminator.plugin.parameters"]


def test_what_fails_in_a_step_is_blamed_on_the_plugin_whose_code_it_is(parts: PluginFiles, data: TrainingData) -> None:
    parts.write("another_of_a_test.py", "def loss(power):\n    return lambda images, outputs: images.no_such_thing\n")
    reconstruction = {"plugin": {"name": "another_of_a_test:loss", "parameters": {"power": "much"}}}
    training = Training(train(objective=own("Tripled"), reconstruction=reconstruction), data)
    with pytest.raises(SpecError, match="AttributeError") as caught:
        training.advance(1)
    assert [violation.field for violation in caught.value.violations] == ["reconstruction.plugin.parameters"]


def test_what_fails_without_a_plugin_is_a_defect(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(train(), data)
    monkeypatch.setattr(Unsupervised, "loss", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        training.advance(1)
