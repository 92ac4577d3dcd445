from __future__ import annotations

import math

import pytest
import torch

from disentanglement.errors import NotBuiltYet
from disentanglement.models.adam import Adam, optimizer_of
from disentanglement.specs.networks import Adam as AdamSpec
from disentanglement.specs.networks import OptimizerSpec


def test_epsilon_stands_outside_the_bias_correction() -> None:
    weights = {"w": torch.tensor([1.0], requires_grad=True)}
    Adam(weights, AdamSpec(learning_rate=0.1, epsilon=1e-3)).update([torch.tensor([0.02])], step=0)
    # m = 0.002, sqrt(v) = 0.02 sqrt(0.001); the step size is 0.1 sqrt(0.001) / 0.1
    expected = 1 - math.sqrt(0.001) * 0.002 / (0.02 * math.sqrt(0.001) + 1e-3)
    assert weights["w"].item() == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(0.9613, abs=1e-4)  # PyTorch's form moves to 0.905


def test_it_equals_pytorchs_adam_once_epsilon_is_rescaled() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.zeros(50, requires_grad=True), torch.zeros(50, requires_grad=True)
    optimizer = Adam({"w": ours}, AdamSpec(learning_rate=0.01, beta1=0.5, beta2=0.9, epsilon=1e-2))
    reference = torch.optim.Adam([theirs], lr=0.01, betas=(0.5, 0.9))
    for step in range(20):
        gradient = torch.randn(50, generator=generator)
        optimizer.update([gradient], step)
        theirs.grad = gradient.clone()
        reference.param_groups[0]["eps"] = 1e-2 / math.sqrt(1 - 0.9 ** (step + 1))
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_each_weight_is_updated_with_its_own_gradient_and_moments() -> None:
    weights = {"a": torch.zeros(1, requires_grad=True), "b": torch.zeros(2, requires_grad=True)}
    optimizer = Adam(weights, AdamSpec(beta1=0.9, beta2=0.999))
    optimizer.update([torch.tensor([1.0]), torch.tensor([0.0, -2.0])], step=0)
    state = {name: moment.tolist() for name, moment in optimizer.state().items()}
    assert state["first.a"] == pytest.approx([0.1])
    assert state["first.b"] == pytest.approx([0.0, -0.2])
    assert state["second.a"] == pytest.approx([0.001])
    assert state["second.b"] == pytest.approx([0.0, 0.004])
    assert weights["a"].item() < 0 == weights["b"][0].item() < weights["b"][1].item()


def test_optimisers_that_are_not_built_yet_are_refused_by_name() -> None:
    descent = OptimizerSpec.model_validate({"gradient_descent": {"learning_rate": 0.1}})
    with pytest.raises(NotBuiltYet, match="gradient_descent"):
        optimizer_of({}, descent)
    decay = {"exponential_decay": {"initial": 0.1, "decay_rate": 0.9}}
    with pytest.raises(NotBuiltYet, match="schedule"):
        optimizer_of({}, OptimizerSpec.model_validate({"adam": {"schedule": decay}}))
