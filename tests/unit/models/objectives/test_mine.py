"""Mutual information by networks: the estimate, the stack of networks, and what it does to an objective."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from disentanglement.models.networks.architectures import architecture
from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.mine import (
    OPTIMIZER,
    S2MineVae,
    estimator_variables,
    mutual_information,
)
from disentanglement.models.objectives.protocol import Batch, Labelled
from disentanglement.models.objectives.reconstruction import reconstruction_loss
from disentanglement.models.streams import variable_generator
from disentanglement.models.training.optimizers import optimizer_of
from disentanglement.specs.networks import ArchitectureSpec, ReconstructionSpec
from disentanglement.specs.objectives import S2MineVae as S2MineVaeSpec

Weights = dict[str, Tensor]
NUM_LABELS, NUM_LATENT, BATCH = 2, 3, 16
PAIRS = [(label, latent) for label in range(NUM_LABELS) for latent in range(NUM_LATENT)]


def initial(num_labels: int = NUM_LABELS, num_latent: int = NUM_LATENT, seed: int = 0) -> Weights:
    return {v.name: v.initial(seed) for v in estimator_variables(num_labels, num_latent)}


def by_hand(x_B: np.ndarray, y_B: np.ndarray, permutation_B: np.ndarray, weights: dict[str, np.ndarray]) -> float:
    """One network in float64, point by point."""

    def statistic(x: float, y: float) -> float:
        total = float(weights["d2.bias"][0])
        for unit in range(20):
            hidden = x * weights["d1_x.kernel"][0, unit] + weights["d1_x.bias"][unit]
            hidden += y * weights["d1_y.kernel"][0, unit] + weights["d1_y.bias"][unit]
            total += (hidden if hidden > 0 else math.exp(hidden) - 1) * weights["d2.kernel"][unit, 0]
        return total

    num = len(x_B)
    together = sum(statistic(x, y) for x, y in zip(x_B, y_B, strict=True)) / num
    apart = sum(math.exp(statistic(x, y_B[n])) for x, n in zip(x_B, permutation_B, strict=True)) / num
    return together - math.log(apart)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num=st.integers(1, 8))
def test_every_network_of_the_stack_estimates_as_it_would_alone(seed: int, num: int) -> None:
    rng = np.random.default_rng(seed)
    weights = {name: torch.from_numpy(rng.normal(size=w.shape)) for name, w in initial().items()}
    x_PB, y_PB = rng.normal(size=(2, len(PAIRS), num))
    permutations_PB = np.stack([rng.permutation(num) for _ in PAIRS])
    x, y, permutations = torch.from_numpy(x_PB), torch.from_numpy(y_PB), torch.from_numpy(permutations_PB)
    estimates_P = mutual_information(x, y, permutations, weights)
    for p in range(len(PAIRS)):
        own = {name.removeprefix("estimator_network."): w[p].numpy() for name, w in weights.items()}
        expected = by_hand(x_PB[p], y_PB[p], permutations_PB[p], own)
        assert estimates_P[p].item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-5, 5))
def test_an_estimate_does_not_change_when_all_outputs_are_shifted(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    weights = {name: w.double() for name, w in initial(1, 1).items()}
    x_PB, y_PB = torch.from_numpy(rng.normal(size=(2, 1, 8)))
    permutations_PB = torch.from_numpy(rng.permutation(8)[None])
    before = mutual_information(x_PB, y_PB, permutations_PB, weights)
    weights["estimator_network.d2.bias"] = torch.tensor([[shift]], dtype=torch.float64)
    assert mutual_information(x_PB, y_PB, permutations_PB, weights).item() == pytest.approx(before.item(), abs=1e-9)


def test_a_network_begins_with_values_that_its_own_name_decides() -> None:
    stacks, smaller = initial(2, 3), initial(1, 2)
    kernel = stacks["estimator_network.d1_x.kernel"]
    assert {name: tuple(w.shape) for name, w in stacks.items()} == {
        "estimator_network.d1_x.kernel": (6, 1, 20),
        "estimator_network.d1_x.bias": (6, 20),
        "estimator_network.d1_y.kernel": (6, 1, 20),
        "estimator_network.d1_y.bias": (6, 20),
        "estimator_network.d2.kernel": (6, 20, 1),
        "estimator_network.d2.bias": (6, 1),
    }
    for name, w in smaller.items():
        assert torch.equal(w, stacks[name][:2])  # pairs (0, 0) and (0, 1), whatever else is estimated
    uniform = variable_generator(0, "estimator_network_1_2.d1_x.kernel").random((1, 20), dtype=np.float32)
    np.testing.assert_allclose(kernel[5], (2 * uniform - 1) * math.sqrt(6 / 21), rtol=1e-6)
    assert len({tuple(row) for row in kernel.flatten(1).tolist()}) == 6
    assert not any(stacks[name].any() for name in stacks if name.endswith("bias"))


def test_estimates_approach_the_information_that_there_is() -> None:
    """A sign that noise of deviation 0.2 hides a little: 0.659 nats, against log 2 without noise."""
    generator = torch.Generator().manual_seed(0)
    x_PB = torch.randn(1, 10_000, generator=generator).sign()
    y_PB = x_PB + 0.2 * torch.randn(1, 10_000, generator=generator)
    weights = {name: w.requires_grad_() for name, w in initial(1, 1).items()}
    optimizer = optimizer_of(weights, OPTIMIZER)
    for update in range(201):
        permutation = torch.randperm(10_000, generator=generator)[None]
        estimate = mutual_information(x_PB, y_PB, permutation, weights).sum()
        gradients = torch.autograd.grad(-estimate, optimizer.weights)
        optimizer.update(gradients, update, update)
    assert 0.6 < estimate.item() < 0.7


@dataclass
class SameNoise:
    def latent(self, draw: int = 0) -> Tensor:
        return torch.randn(BATCH, NUM_LATENT, generator=torch.Generator().manual_seed(draw))

    def permutations(self, count: int, length: int, draw: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(7 + draw)
        return torch.stack([torch.randperm(length, generator=generator) for _ in range(count)])


class Example:
    """A model of two dense layers on images of 2 x 2 pixels."""

    def __init__(self, gamma_sup: float = 3.0, beta: float = 2.0) -> None:
        generator = torch.Generator().manual_seed(1)
        nets = architecture(
            ArchitectureSpec.model_validate(
                {"num_latent": NUM_LATENT, "encoder": {"test_encoder": {}}, "decoder": {"test_decoder": {}}}
            ),
            (2, 2, 1),
        )
        self.autoencoder = {name: w.requires_grad_() for name, w in nets.initial_weights(0).items()}
        self.estimators = {name: w.requires_grad_() for name, w in initial().items()}
        self.networks = Networks(nets, self.autoencoder | self.estimators)
        images = torch.rand(2, BATCH, 2, 2, 1, generator=generator)
        labels = torch.randint(3, (BATCH, NUM_LABELS), generator=generator).float()
        self.batch = Batch(images[0], Labelled(images[1], labels))
        spec = S2MineVaeSpec.model_validate({"gamma_sup": gamma_sup, "beta": beta})
        reconstruction = reconstruction_loss(ReconstructionSpec.model_validate({"bernoulli_loss": {}}))
        self.objective = S2MineVae(spec, NUM_LABELS, NUM_LATENT, reconstruction)
        self.terms = self.objective.loss(self.networks, self.batch, SameNoise(), torch.tensor(0))


def test_the_loss_squares_the_estimates_of_foreign_pairs_alone() -> None:
    example = Example()
    mean_NZ = example.networks.encode(example.batch.labelled.images_NHWC).mean_BZ  # type: ignore[union-attr]
    labels_NK = example.batch.labelled.labels_NK  # type: ignore[union-attr]
    permutations = SameNoise().permutations(6, BATCH)
    expected = 0.0
    for p, (label, latent) in enumerate(PAIRS):
        own = {name.removeprefix("estimator_network."): w[p].detach().numpy() for name, w in example.estimators.items()}
        information = by_hand(
            mean_NZ[:, latent].detach().numpy(), labels_NK[:, label].numpy(), permutations[p].numpy(), own
        )
        expected += information**2 if label != latent else 0.0
    reported = {name: term.item() for name, term in example.terms.reported.items()}
    assert set(reported) == {"reconstruction_loss", "supervised_loss", "kl_loss"}
    assert reported["supervised_loss"] == pytest.approx(expected, rel=1e-4)
    loss = reported["reconstruction_loss"] + 2 * reported["kl_loss"] + 3 * reported["supervised_loss"]
    assert example.terms.loss.item() == pytest.approx(loss, rel=1e-6)
    assert example.terms.kl_Z.sum().item() == pytest.approx(reported["kl_loss"])


def test_all_networks_learn_and_each_from_its_own_pair_alone() -> None:
    example = Example()
    (player,) = example.objective.players
    assert [v.name for v in player.variables] == list(example.estimators)
    assert player.optimizer.adam is not None
    assert (player.optimizer.adam.learning_rate, player.optimizer.adam.beta1) == (0.01, 0.9)
    (loss,) = example.terms.player_losses
    stacks = list(example.estimators.values())
    gradients = torch.autograd.grad(loss, stacks, retain_graph=True)
    information_KZ = example.objective.information(example.networks, example.batch, SameNoise())
    assert loss.item() == pytest.approx(-information_KZ.sum().item(), rel=1e-5)
    for p, (label, latent) in enumerate(PAIRS):
        alone = torch.autograd.grad(-information_KZ[label, latent], stacks, retain_graph=True)
        for together, own in zip(gradients, alone, strict=True):
            torch.testing.assert_close(together[p], own[p])
            assert not own[torch.arange(len(PAIRS)) != p].any()
    assert all(g.any() for g in gradients[0])


def test_a_stack_moves_as_separate_networks_with_their_own_optimisers_do() -> None:
    rng = np.random.default_rng(0)
    stack = {name: w.double().requires_grad_() for name, w in initial().items()}
    alone = [{name: w[p : p + 1].detach().clone().requires_grad_() for name, w in stack.items()} for p in range(6)]
    optimizers = [optimizer_of(weights, OPTIMIZER) for weights in (stack, *alone)]
    for update in range(3):
        x_PB, y_PB = torch.from_numpy(rng.normal(size=(2, 6, 8)))
        permutations = torch.from_numpy(np.stack([rng.permutation(8) for _ in range(6)]))
        for p, (weights, optimizer) in enumerate(zip((stack, *alone), optimizers, strict=True), -1):
            rows = slice(None) if p < 0 else slice(p, p + 1)
            loss = -mutual_information(x_PB[rows], y_PB[rows], permutations[rows], weights).sum()
            optimizer.update(torch.autograd.grad(loss, optimizer.weights), update, update)
    for name, w in stack.items():
        torch.testing.assert_close(w, torch.cat([own[name] for own in alone]), rtol=1e-9, atol=1e-12)


def test_the_penalty_reaches_the_encoders_mean_and_nothing_else() -> None:
    weighted, free = Example(gamma_sup=3.0), Example(gamma_sup=0.0)
    names = list(weighted.autoencoder)
    differences = {
        name: (one - other).abs().max().item()
        for name, one, other in zip(
            names,
            torch.autograd.grad(weighted.terms.loss, list(weighted.autoencoder.values())),
            torch.autograd.grad(free.terms.loss, list(free.autoencoder.values())),
            strict=True,
        )
    }
    moved = {name for name, difference in differences.items() if difference > 1e-5}
    assert moved == {"encoder.means.kernel", "encoder.means.bias"}
    assert all(difference < 1e-6 for name, difference in differences.items() if not name.startswith("encoder.means"))


def test_networks_of_own_pairs_do_not_enter_the_loss() -> None:
    example = Example()
    gradient = torch.autograd.grad(example.terms.loss, example.estimators["estimator_network.d2.kernel"])[0]
    used = [pair for pair, of_pair in zip(PAIRS, gradient, strict=True) if of_pair.any()]
    assert used == [(0, 1), (0, 2), (1, 0), (1, 2)]
