from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from disentanglement.errors import SpecError
from disentanglement.models.training.optimizers import Adam, GradientDescent, Optimizer, learning_rate, optimizer_of
from disentanglement.specs.networks import Adam as AdamSpec
from disentanglement.specs.networks import GradientDescent as GradientDescentSpec
from disentanglement.specs.networks import OptimizerSpec, PiecewiseConstant, ScheduleSpec
from disentanglement.specs.parsing import parse_spec

PIECES = ScheduleSpec.model_validate({"piecewise_constant": {"boundaries": [3, 5], "values": [0.2, 0.1, 0.01]}})
DECAY = ScheduleSpec.model_validate({"exponential_decay": {"initial": 0.1, "decay_rate": 0.9}})


def one(value: float = 1.0) -> dict[str, Tensor]:
    return {"w": torch.tensor([value], requires_grad=True)}


def constant_gradient(optimizer: Optimizer, updates: int, steps_per_update: int = 1) -> None:
    for iteration in range(updates):
        optimizer.update([torch.ones(1)], iteration, iteration * steps_per_update)


def test_epsilon_stands_outside_the_bias_correction() -> None:
    weights = one()
    Adam(weights, AdamSpec(learning_rate=0.1, epsilon=1e-3)).update([torch.tensor([0.02])], iteration=0, step=0)
    # m = 0.002, sqrt(v) = 0.02 sqrt(0.001); the step size is 0.1 sqrt(0.001) / 0.1
    expected = 1 - math.sqrt(0.001) * 0.002 / (0.02 * math.sqrt(0.001) + 1e-3)
    assert weights["w"].item() == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(0.9613, abs=1e-4)  # PyTorch's form moves to 0.905


def test_it_equals_pytorchs_adam_once_epsilon_is_rescaled() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.zeros(50, requires_grad=True), torch.zeros(50, requires_grad=True)
    optimizer = Adam({"w": ours}, AdamSpec(learning_rate=0.01, beta1=0.5, beta2=0.9, epsilon=1e-2))
    reference = torch.optim.Adam([theirs], lr=0.01, betas=(0.5, 0.9))
    for iteration in range(20):
        gradient = torch.randn(50, generator=generator)
        optimizer.update([gradient], iteration, iteration)
        theirs.grad = gradient.clone()
        reference.param_groups[0]["eps"] = 1e-2 / math.sqrt(1 - 0.9 ** (iteration + 1))
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_each_weight_is_updated_with_its_own_gradient_and_moments() -> None:
    weights = {"a": torch.zeros(1, requires_grad=True), "b": torch.zeros(2, requires_grad=True)}
    optimizer = Adam(weights, AdamSpec(beta1=0.9, beta2=0.999))
    optimizer.update([torch.tensor([1.0]), torch.tensor([0.0, -2.0])], iteration=0, step=0)
    state = {name: moment.tolist() for name, moment in optimizer.state().items()}
    assert state["first.a"] == pytest.approx([0.1])
    assert state["first.b"] == pytest.approx([0.0, -0.2])
    assert state["second.a"] == pytest.approx([0.001])
    assert state["second.b"] == pytest.approx([0.0, 0.004])
    assert weights["a"].item() < 0 == weights["b"][0].item() < weights["b"][1].item()


@pytest.mark.parametrize("beta2", [0.9, 0.999])
def test_one_pass_and_six_passes_are_the_same_update(beta2: float, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    spec = AdamSpec(learning_rate=0.01, beta1=0.5, beta2=beta2, epsilon=1e-3, schedule=PIECES)
    quick, plain = (Adam({"a": torch.zeros(3, 4), "b": torch.zeros(5)}, spec) for _ in range(2))
    for iteration in range(10):
        # A transposed gradient has other strides than its weight.
        gradients = [torch.randn(4, 3, generator=generator).t(), torch.randn(5, generator=generator)]
        monkeypatch.setattr("disentanglement.models.training.optimizers.FUSED_ADAM", {"cpu"})
        quick.update(gradients, iteration, 2 * iteration)
        monkeypatch.setattr("disentanglement.models.training.optimizers.FUSED_ADAM", set())
        plain.update(gradients, iteration, 2 * iteration)
    for one_pass, six_passes in zip(quick.weights, plain.weights, strict=True):
        torch.testing.assert_close(one_pass, six_passes, rtol=1e-5, atol=1e-6)
    for name, moment in quick.state().items():
        torch.testing.assert_close(moment, plain.state()[name], rtol=1e-5, atol=1e-7)


# The rates that the reference's own test finds after ten steps of gradient descent.
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (GradientDescentSpec(learning_rate=0.1), 0.1),
        (GradientDescentSpec(learning_rate=7.0, schedule=PIECES), 0.01),
        (GradientDescentSpec(learning_rate=7.0, schedule=DECAY), 0.03486784401),
        (AdamSpec(learning_rate=0.1), 0.1),
        (AdamSpec(schedule=PIECES), 0.01),
        (AdamSpec(schedule=DECAY), 0.03486784401),
    ],
)
def test_learning_rates_after_ten_steps_are_those_of_the_reference(
    spec: AdamSpec | GradientDescentSpec, expected: float
) -> None:
    assert learning_rate(spec, 10) == pytest.approx(expected, rel=1e-9)


def test_a_piecewise_constant_rate_holds_at_its_boundary() -> None:
    spec = GradientDescentSpec(learning_rate=7.0, schedule=PIECES)
    assert [learning_rate(spec, step) for step in range(8)] == [0.2] * 4 + [0.1] * 2 + [0.01] * 2


def test_a_decay_is_smooth_between_its_steps() -> None:
    decay = ScheduleSpec.model_validate({"exponential_decay": {"initial": 1.0, "decay_rate": 0.25, "decay_steps": 10}})
    assert learning_rate(AdamSpec(schedule=decay), 5) == pytest.approx(0.5)


# 4 steps at 0.2, 2 at 0.1, 4 at 0.01; 0.1 (1 - 0.9^10) / 0.1; ten times 0.1.
@pytest.mark.parametrize(("schedule", "moved"), [(PIECES, 1.04), (DECAY, 0.6513215599), (None, 1.0)])
def test_gradient_descent_moves_by_the_sum_of_the_rates(schedule: ScheduleSpec | None, moved: float) -> None:
    weights = one()
    optimizer = GradientDescent(weights, GradientDescentSpec(learning_rate=0.1, schedule=schedule))
    constant_gradient(optimizer, updates=10)
    assert weights["w"].item() == pytest.approx(1 - moved, abs=1e-6)
    assert not optimizer.state()


def test_schedules_see_steps_and_bias_corrections_count_updates() -> None:
    # Of a constant gradient of 1, Adam without epsilon moves by the learning rate at every update.
    weights = one()
    optimizer = Adam(weights, AdamSpec(schedule=PIECES, epsilon=1e-30))
    constant_gradient(optimizer, updates=4, steps_per_update=2)  # at steps 0, 2, 4 and 6
    assert weights["w"].item() == pytest.approx(1 - (0.2 + 0.2 + 0.1 + 0.01), abs=1e-5)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=5, unique=True).map(sorted), st.integers(0, 1100))
def test_a_piece_is_chosen_by_how_many_boundaries_lie_behind(boundaries: list[int], step: int) -> None:
    values = [1.0 + i for i in range(len(boundaries) + 1)]
    schedule = ScheduleSpec(piecewise_constant=PiecewiseConstant(boundaries=tuple(boundaries), values=tuple(values)))
    behind = sum(boundary < step for boundary in boundaries)
    assert learning_rate(AdamSpec(schedule=schedule), step) == values[behind]


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ({"boundaries": [3], "values": [0.1, 0.2, 0.3]}, "one more value"),
        ({"boundaries": [3, 3], "values": [0.1, 0.2, 0.3]}, "ascending"),
        ({"boundaries": [5, 3], "values": [0.1, 0.2, 0.3]}, "ascending"),
    ],
)
def test_pieces_that_do_not_fit_are_refused(pieces: dict[str, Any], wanted: str) -> None:
    with pytest.raises(SpecError, match=wanted):
        parse_spec(PiecewiseConstant, pieces)


def test_specs_name_their_optimisers() -> None:
    descent = OptimizerSpec.model_validate({"gradient_descent": {"learning_rate": 0.1}})
    assert isinstance(optimizer_of(one(), descent), GradientDescent)
    assert isinstance(optimizer_of(one(), OptimizerSpec(adam=AdamSpec())), Adam)
