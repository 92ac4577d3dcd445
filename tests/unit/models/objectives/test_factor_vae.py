from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import objective_oracles as oracles
import pytest
import torch
from latent_batches import LatentBatch
from numpy.typing import NDArray
from pytest import approx
from torch import Tensor

from disentanglement.models.data.images import TrainingData
from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.factor_vae import FactorVae
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec
from disentanglement.specs.objectives import FactorVae as FactorVaeSpec

GAMMA = 7.0
BATCH = LatentBatch.drawn(0, 5, 3)
NO_ARCHITECTURE: Any = None


# ------------------------------------------------------------------------------------------------------ one small batch
@dataclass
class GivenPermutations:
    """Noise that only permutes, and says what it was asked for."""

    permutations_ZB: Tensor
    asked: list[tuple[int, int, int]] = field(default_factory=list)

    def latent(self, draw: int = 0) -> Tensor:
        raise AssertionError("the codes are given")

    def permutations(self, count: int, length: int, draw: int = 0) -> Tensor:
        self.asked.append((count, length, draw))
        return self.permutations_ZB


def own_permutations(seed: int = 0) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(5) for _ in range(3)])


@pytest.fixture(scope="module")
def networks() -> Networks:
    rng = np.random.default_rng(1)
    factor_vae = FactorVae(FactorVaeSpec(gamma=GAMMA), 3)
    return Networks(
        NO_ARCHITECTURE,
        {
            v.name: torch.tensor(rng.standard_normal(v.shape) / (10 if v.fans is None else (v.shape[0] / 2) ** 0.5))
            for v in factor_vae.players[0].variables
        },
    )


def logits_of(codes: NDArray[np.float64], networks: Networks) -> NDArray[np.float64]:
    """The discriminator on arrays: leaky rectifiers of slope 0.2 between the layers."""
    weights = {name: weight.numpy() for name, weight in networks.weights.items()}
    for layer in ("d1", "d2", "d3", "d4", "d5", "d6"):
        codes = codes @ weights[f"discriminator.{layer}.kernel"] + weights[f"discriminator.{layer}.bias"]
        codes = np.where(codes > 0, codes, 0.2 * codes)
    logits: NDArray[np.float64] = codes @ weights["discriminator.logits.kernel"] + weights["discriminator.logits.bias"]
    return logits


def permuted(permutations: NDArray[np.int64]) -> NDArray[np.float64]:
    rows = [[BATCH.codes[permutations[d][b]][d] for d in range(3)] for b in range(5)]
    return np.array(rows)


def test_the_regularizer_and_the_discriminators_loss_are_those_of_loops(networks: Networks) -> None:
    permutations = own_permutations()
    noise = GivenPermutations(torch.tensor(permutations))
    regularized = FactorVae(FactorVaeSpec(gamma=GAMMA), 3).value(BATCH.latents(), networks, noise, torch.tensor(0))
    logits, permuted_logits = logits_of(BATCH.codes, networks), logits_of(permuted(permutations), networks)
    correlation = oracles.discriminated_correlation(logits)
    assert abs(correlation) > 0.01
    kl = oracles.divergence(BATCH.means, BATCH.logvars)
    assert regularized.value.item() == approx(kl + GAMMA * correlation, rel=1e-9)
    objective = oracles.discriminator_objective(logits, permuted_logits)
    assert [loss.item() for loss in regularized.player_losses] == [approx(-objective, rel=1e-9)]
    assert noise.asked == [(3, 5, 0)]


def test_with_gamma_zero_the_regularizer_is_the_vaes(networks: Networks) -> None:
    noise = GivenPermutations(torch.tensor(own_permutations()))
    regularized = FactorVae(FactorVaeSpec(gamma=0.0), 3).value(BATCH.latents(), networks, noise, torch.tensor(0))
    assert regularized.value.item() == approx(oracles.divergence(BATCH.means, BATCH.logvars), rel=1e-12)


def test_one_permutation_for_all_latents_would_leave_the_codes_as_they_are(networks: Networks) -> None:
    def loss(permutations: NDArray[np.int64]) -> float:
        noise = GivenPermutations(torch.tensor(permutations))
        factor_vae = FactorVae(FactorVaeSpec(gamma=GAMMA), 3)
        return factor_vae.value(BATCH.latents(), networks, noise, torch.tensor(0)).player_losses[0].item()

    same_for_all = np.tile(own_permutations()[:1], (3, 1))
    logits = logits_of(BATCH.codes, networks)
    assert loss(same_for_all) == approx(-oracles.discriminator_objective(logits, logits), rel=1e-9)
    assert loss(own_permutations()) != approx(loss(same_for_all), rel=1e-3)


# ------------------------------------------------------------------------------------------------------------- training
@pytest.fixture(scope="module")
def factor_spec(spec: TrainSpec) -> TrainSpec:
    """Steps so long that one update made at other weights shows."""
    optimizer = {"adam": {"learning_rate": 0.01}}
    objective = {"factor_vae": {"gamma": 50.0, "discriminator_optimizer": optimizer}}
    return spec.replace(objective=objective, optimizer=optimizer)


@dataclass
class ByHand:
    """The first iteration once more, from the two losses as they are written, with autograd alone."""

    training: Training

    def __post_init__(self) -> None:
        self.weights = {
            name.removeprefix("weights."): w.clone().requires_grad_()
            for name, w in self.training.state().items()
            if name.startswith("weights.")
        }
        self.vae = [name for name in self.weights if not name.startswith("discriminator.")]
        self.discriminator = [name for name in self.weights if name.startswith("discriminator.")]

    def losses(self, weights: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """VAE's and discriminator's; nothing is detached."""
        training, networks = self.training, Networks(self.training.networks.architecture, weights)
        noise = training._streams.at(0)
        images = training._batches.at(0).images_BHWC
        posterior, codes_BZ, outputs = networks.autoencode(images, noise.latent())
        permutations_ZB = noise.permutations(10, 4)
        permuted_BZ = torch.stack([codes_BZ[permutations_ZB[d], d] for d in range(10)], dim=1)
        layers = FactorVae(FactorVaeSpec(gamma=50.0), 10).layers
        logits, permuted_logits = networks.run(layers, codes_BZ), networks.run(layers, permuted_BZ)
        cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
        reconstruction = cross_entropy(outputs, images, reduction="sum") / 4
        correlation = (logits[:, 0] - logits[:, 1]).mean()
        log_p, log_q = logits.softmax(1)[:, 0].log().mean(), permuted_logits.softmax(1)[:, 1].log().mean()
        return reconstruction + posterior.kl_per_latent().sum() + 50 * correlation, -(log_p + log_q) / 2

    def gradients(self, loss: Tensor, names: list[str], weights: dict[str, Tensor]) -> dict[str, Tensor]:
        values = torch.autograd.grad(loss, [weights[name] for name in names], retain_graph=True)
        return dict(zip(names, values, strict=True))

    def updated(self, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights after Adam's first update, which is the learning rate in the direction of the gradient's sign."""
        new = {
            name: (w.detach() - 0.01 * gradients[name].sign() if name in gradients else w.detach())
            for name, w in self.weights.items()
        }
        return {name: w.clone().requires_grad_() for name, w in new.items()}

    def simultaneous(self) -> dict[str, Tensor]:
        """Both gradients at the weights as they are, each loss by its own variables."""
        vae_loss, loss = self.losses(self.weights)
        vae = self.gradients(vae_loss, self.vae, self.weights)
        return vae | self.gradients(loss, self.discriminator, self.weights)

    def leaking(self) -> dict[str, Tensor]:
        """The discriminator's loss reaches the encoder."""
        vae_loss, loss = self.losses(self.weights)
        vae = self.gradients(vae_loss + loss, self.vae, self.weights)
        return vae | self.gradients(loss, self.discriminator, self.weights)

    def leaking_back(self) -> dict[str, Tensor]:
        """The VAE's loss moves the discriminator."""
        vae_loss, loss = self.losses(self.weights)
        vae = self.gradients(vae_loss, self.vae, self.weights)
        return vae | self.gradients(vae_loss + loss, self.discriminator, self.weights)

    def discriminator_first(self) -> dict[str, Tensor]:
        """The VAE sees the discriminator's update."""
        gradients = self.gradients(self.losses(self.weights)[1], self.discriminator, self.weights)
        new = self.updated(gradients)
        return self.gradients(self.losses(new)[0], self.vae, new) | gradients

    def vae_first(self) -> dict[str, Tensor]:
        """The discriminator sees the VAE's update."""
        gradients = self.gradients(self.losses(self.weights)[0], self.vae, self.weights)
        new = self.updated(gradients)
        return gradients | self.gradients(self.losses(new)[1], self.discriminator, new)

    def minimised(self) -> dict[str, Tensor]:
        """The discriminator's objective with the wrong sign."""
        vae_loss, loss = self.losses(self.weights)
        vae = self.gradients(vae_loss, self.vae, self.weights)
        return vae | self.gradients(-loss, self.discriminator, self.weights)


@pytest.fixture(scope="module")
def by_hand(factor_spec: TrainSpec, data: TrainingData) -> ByHand:
    return ByHand(Training(factor_spec, data))


@pytest.fixture(scope="module")
def trained(factor_spec: TrainSpec, data: TrainingData) -> dict[str, Tensor]:
    """The gradients of the first iteration: Adam's first moments over 1 - beta1."""
    training = Training(factor_spec, data)
    training.advance(1)
    moments = {name: m / 0.1 for name, m in training.state().items() if name.startswith("optimizer.first.")}
    return {name.removeprefix("optimizer.first."): gradient for name, gradient in moments.items()}


def largest_difference(gradients: dict[str, Tensor], others: dict[str, Tensor], scope: str) -> float:
    """Relative to the gradient of each variable."""
    assert gradients.keys() == others.keys()
    names = [name for name in gradients if name.startswith(scope)]
    return max(float((gradients[n] - others[n]).norm() / gradients[n].norm()) for n in names)


def test_each_network_follows_the_gradient_of_its_own_loss_at_the_same_weights(
    trained: dict[str, Tensor], by_hand: ByHand
) -> None:
    assert largest_difference(by_hand.simultaneous(), trained, "") < 1e-4


@pytest.mark.parametrize(
    ("mistake", "scope"),
    [
        ("leaking", "encoder."),
        ("leaking_back", "discriminator."),
        ("discriminator_first", "encoder."),
        ("vae_first", "discriminator."),
        ("minimised", "discriminator."),
    ],
)
def test_well_known_mistakes_follow_other_gradients(
    mistake: str, scope: str, trained: dict[str, Tensor], by_hand: ByHand
) -> None:
    assert largest_difference(getattr(by_hand, mistake)(), trained, scope) > 1e-3


def test_an_iteration_updates_every_variable_of_both_networks(factor_spec: TrainSpec, data: TrainingData) -> None:
    training = Training(factor_spec, data)
    before = training.state()
    training.advance(1)
    after = training.state()
    assert all(not torch.equal(after[name], before[name]) for name in after if name.startswith("weights."))


@pytest.mark.parametrize(("training_steps", "iterations", "step"), [(10, 6, 12), (9, 5, 10), (1, 1, 2), (2, 2, 4)])
def test_an_iteration_counts_two_steps_as_in_the_reference(
    training_steps: int, iterations: int, step: int, factor_spec: TrainSpec, data: TrainingData
) -> None:
    training = Training(factor_spec.replace(training_steps=training_steps), data)
    assert training.num_steps == step == 2 * (training_steps // 2 + 1)
    training.advance_to(training.num_steps)
    assert (training.iteration, training.step) == (iterations, step)
    assert training.read_terms().num_iterations == iterations


def test_no_evidence_lower_bound_is_reported(factor_spec: TrainSpec, data: TrainingData) -> None:
    results = Training(factor_spec, data).evaluate()
    assert set(results) == {"reconstruction_loss", "regularizer", "kl_loss", "loss", "global_step"}
    assert results["loss"] == approx(results["reconstruction_loss"] + results["regularizer"], rel=1e-6)


def test_a_resumed_run_continues_with_the_bits_of_both_networks(factor_spec: TrainSpec, data: TrainingData) -> None:
    whole, first, second = (Training(factor_spec, data) for _ in range(3))
    whole.advance(3)
    first.advance(2)
    second.restore(first.state())
    second.advance(1)
    states = (whole.state(), second.state())
    assert second.step == 6
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_model_leaves_the_discriminator_behind(factor_spec: TrainSpec, data: TrainingData) -> None:
    training = Training(factor_spec, data)
    assert not any(name.startswith("discriminator.") for name in training.model().networks.weights)
