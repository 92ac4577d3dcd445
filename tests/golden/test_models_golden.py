"""The reference's losses and first optimiser steps, reproduced with the same weights and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from golden_weights import arrays, our_name, reference_weights, tensor, values
from torch import Tensor

from disentanglement.models.adam import Adam
from disentanglement.models.architectures import Architecture, architecture
from disentanglement.models.networks import Networks
from disentanglement.models.objectives.beta_vae import BetaVae
from disentanglement.models.objectives.protocol import Batch, Terms
from disentanglement.models.posterior import Posterior
from disentanglement.models.reconstruction import reconstruction_loss
from disentanglement.specs.networks import Adam as AdamSpec
from disentanglement.specs.networks import ArchitectureSpec, BernoulliLoss, L2Loss, ReconstructionSpec
from disentanglement.specs.objectives import BetaVae as BetaVaeSpec

BERNOULLI = reconstruction_loss(ReconstructionSpec(bernoulli_loss=BernoulliLoss()))


def study_architecture(channels: int) -> Architecture:
    return architecture(ArchitectureSpec(), (64, 64, channels))


@dataclass
class SameNoise:
    noise_BZ: Tensor

    def latent(self, draw: int = 0) -> Tensor:
        return self.noise_BZ


# Between tanh and the logarithm stand a cancellation and a clip at 1e-6 that float32 does not hold exactly.
TOLERANCES = {"bernoulli_tanh": 2.2e-4, "bernoulli_tanh_subtract_entropy": 2.2e-4}


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("bernoulli_logits", {"bernoulli_loss": BernoulliLoss()}),
        ("bernoulli_tanh", {"bernoulli_loss": BernoulliLoss(activation="tanh")}),
        ("bernoulli_logits_subtract_entropy", {"bernoulli_loss": BernoulliLoss(subtract_true_image_entropy=True)}),
        (
            "bernoulli_tanh_subtract_entropy",
            {"bernoulli_loss": BernoulliLoss(activation="tanh", subtract_true_image_entropy=True)},
        ),
        ("l2_logits", {"l2_loss": L2Loss()}),
        ("l2_tanh", {"l2_loss": L2Loss(activation="tanh")}),
    ],
)
def test_reconstruction_losses_are_those_of_the_reference(name: str, spec: dict[str, Any]) -> None:
    golden = arrays("losses/reconstruction")
    loss_B = reconstruction_loss(ReconstructionSpec(**spec))(
        tensor(golden["images"]), tensor(golden["reconstructions"])
    )
    expected, tolerance = values("losses/reconstruction")[name], TOLERANCES.get(name, 1e-5)
    np.testing.assert_allclose(loss_B, expected["per_sample"], rtol=tolerance, atol=1e-4)
    assert loss_B.mean().item() == pytest.approx(expected["mean"], rel=tolerance)


@pytest.mark.parametrize("inputs", ["a", "b", "c"])
def test_samples_and_divergences_are_those_of_the_reference(inputs: str) -> None:
    golden = arrays("losses/unsupervised")
    posterior = Posterior(tensor(golden[f"{inputs}_z_mean"]), tensor(golden[f"{inputs}_z_logvar"]))
    sampled = posterior.sample(tensor(golden[f"{inputs}_eps"]))
    np.testing.assert_allclose(sampled, golden[f"{inputs}_z"], rtol=1e-5, atol=1e-6)
    assert posterior.kl_per_latent().sum().item() == pytest.approx(
        values("losses/unsupervised")[inputs]["kl"], rel=1e-5
    )


@dataclass(frozen=True)
class GivenPosterior:
    """Networks whose posterior is given: the terms of an objective without its networks."""

    posterior: Posterior

    def autoencode(self, images_BHWC: Tensor, noise_BZ: Tensor) -> tuple[Posterior, Tensor, Tensor]:
        return self.posterior, self.posterior.sample(noise_BZ), torch.zeros_like(images_BHWC)


@pytest.mark.parametrize("inputs", ["a", "b", "c"])
@pytest.mark.parametrize("beta", [1, 4, 16])
def test_beta_vae_regularizers_are_those_of_the_reference(inputs: str, beta: int) -> None:
    golden = arrays("losses/unsupervised")
    mean_BZ = tensor(golden[f"{inputs}_z_mean"])
    networks: Any = GivenPosterior(Posterior(mean_BZ, tensor(golden[f"{inputs}_z_logvar"])))
    objective = BetaVae(BetaVaeSpec(beta=float(beta)), BERNOULLI)
    images = torch.zeros(len(mean_BZ), 2, 2, 1)
    terms = objective.loss(networks, Batch(images), SameNoise(torch.zeros_like(mean_BZ)), torch.tensor(0))
    expected = values("losses/unsupervised")[inputs][f"beta_vae_regularizer_beta{beta}"]
    assert terms.reported["regularizer"].item() == pytest.approx(expected, rel=1e-5)
    assert terms.loss.item() == pytest.approx(4 * np.log(2) + expected, rel=1e-5)


class Trace:
    """Beta-VAE with beta 4 on the recorded batch and noise, from the recorded weights."""

    def __init__(self, channels: int) -> None:
        golden = arrays("models/training_steps")
        self.images = tensor(golden[f"images_c{channels}"])
        self.variables = values("models/training_steps")[f"beta_vae_c{channels}"]["variables"]
        self.weights = {name: w.requires_grad_() for name, w in reference_weights(self.variables).items()}
        self.networks = Networks(study_architecture(channels), self.weights)
        self.noise = SameNoise(tensor(golden["eps"]))
        self.objective = BetaVae(BetaVaeSpec(beta=4.0), BERNOULLI)
        self.optimizer = Adam(self.weights, AdamSpec(learning_rate=1e-4, epsilon=1e-8))

    def terms(self) -> Terms:
        return self.objective.loss(self.networks, Batch(self.images), self.noise, torch.tensor(0))

    def gradients(self) -> list[Tensor]:
        return list(torch.autograd.grad(self.terms().loss, list(self.weights.values())))


@pytest.mark.parametrize("channels", [1, 3])
def test_gradient_norms_at_the_first_step_are_those_of_the_reference(channels: int) -> None:
    trace = Trace(channels)
    expected = values("models/training_steps")[f"beta_vae_c{channels}"]["gradient_norms"]
    norms = {name: g.norm().item() for name, g in zip(trace.weights, trace.gradients(), strict=True)}
    assert norms == pytest.approx({our_name(name): norm for name, norm in expected.items()}, rel=1e-5)


# The KL is a small difference of large numbers: on three channels it is known to 1.2e-5 only.
@pytest.mark.parametrize(("channels", "kl_tolerance"), [(1, 1e-5), (3, 1.2e-5)])
def test_five_steps_of_training_follow_the_reference(channels: int, kl_tolerance: float) -> None:
    trace = Trace(channels)
    history = values("models/training_steps")[f"beta_vae_c{channels}"]["history"]
    for step, expected in enumerate(history):
        terms = trace.terms()
        assert terms.loss.item() == pytest.approx(expected["loss"], rel=1e-6)
        assert -terms.reported["elbo"].item() == pytest.approx(expected["elbo_loss"], rel=1e-6)
        assert terms.reported["kl_loss"].item() == pytest.approx(expected["kl"], rel=kl_tolerance)
        if step < 5:
            trace.optimizer.update(trace.gradients(), step)
    golden, posterior = arrays("models/training_steps"), trace.networks.encode(trace.images)
    name = f"beta_vae_c{channels}"
    np.testing.assert_allclose(posterior.mean_BZ.detach(), golden[f"{name}_mean_after5"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(posterior.logvar_BZ.detach(), golden[f"{name}_logvar_after5"], rtol=1e-5, atol=1e-5)
