"""Optimisers and learning-rate schedules as the reference's framework writes them.

Adam (Kingma and Ba, 2015, arXiv:1412.6980) is in the form of the end of its section 2,
`w -= lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)`: epsilon stands outside the bias correction, so
it weighs more in the first updates than PyTorch's, which divides v by its correction first.

An optimiser counts its own updates (t above); a schedule sees the step, which two optimisers may both advance.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from disentanglement.errors import NotBuiltYet
from disentanglement.specs.base import Plugin
from disentanglement.specs.networks import Adam as AdamSpec
from disentanglement.specs.networks import ExponentialDecay, OptimizerSpec, PiecewiseConstant, ScheduleSpec
from disentanglement.specs.networks import GradientDescent as GradientDescentSpec
from disentanglement.specs.sources import make

FUSED_ADAM = frozenset({"cpu"})
"""Devices on which Adam makes one pass over memory instead of six."""


class Optimizer(Protocol):
    """Updates named weights in place."""

    @property
    def weights(self) -> Sequence[Tensor]:
        """What it updates, in the order of the names that it was made with."""
        ...

    def update(self, gradients: Sequence[Tensor], iteration: int, step: int) -> None:
        """One update from gradients in the order of the weights, after `iteration` others and `step` steps counted."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Views of what the next update depends on besides weights and counts, each name with its weight's at the
        end."""
        ...


class Adam:
    """Its moments have the names of the weights."""

    def __init__(self, weights: Mapping[str, Tensor], spec: AdamSpec) -> None:
        self.weights = list(weights.values())
        self._spec = spec
        self._names = list(weights)
        self._first = [torch.zeros_like(w, requires_grad=False) for w in self.weights]
        self._second = [torch.zeros_like(w, requires_grad=False) for w in self.weights]

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor], iteration: int, step: int) -> None:
        """As in the module's head."""
        gradients = list(gradients)
        if self.weights[0].device.type in FUSED_ADAM:
            self._update_in_one_pass(gradients, iteration, step)
        else:
            self._update_by_operation(gradients, self.step_size(iteration, step))

    def _update_by_operation(self, gradients: list[Tensor], step_size: float) -> None:
        spec = self._spec
        torch._foreach_lerp_(self._first, gradients, 1 - spec.beta1)
        torch._foreach_mul_(self._second, spec.beta2)
        torch._foreach_addcmul_(self._second, gradients, gradients, 1 - spec.beta2)
        denominators = torch._foreach_sqrt(self._second)
        torch._foreach_add_(denominators, spec.epsilon)
        torch._foreach_addcdiv_(self.weights, self._first, denominators, -step_size)

    def _update_in_one_pass(self, gradients: list[Tensor], iteration: int, step: int) -> None:
        """PyTorch's form with epsilon / sqrt(1 - beta2^t) in place of epsilon is the reference's.

        On a CPU six passes over memory take five to seven times as long.
        """
        spec, t = self._spec, iteration + 1
        torch._fused_adam_(
            *(self.weights, [g.contiguous() for g in gradients], self._first, self._second, []),
            state_steps=[torch.tensor(float(t))] * len(gradients),
            lr=learning_rate(spec, step),
            beta1=spec.beta1,
            beta2=spec.beta2,
            weight_decay=0.0,
            eps=spec.epsilon / math.sqrt(1 - spec.beta2**t),
            amsgrad=False,
            maximize=False,
        )

    def step_size(self, iteration: int, step: int) -> float:
        """The learning rate with both bias corrections, for the update after `iteration` others."""
        t = iteration + 1
        bias = math.sqrt(1 - self._spec.beta2**t) / (1 - self._spec.beta1**t)
        return learning_rate(self._spec, step) * bias

    def state(self) -> dict[str, Tensor]:
        """`first.<weight>` and `second.<weight>`."""
        first = {f"first.{name}": m for name, m in zip(self._names, self._first, strict=True)}
        return first | {f"second.{name}": v for name, v in zip(self._names, self._second, strict=True)}


class GradientDescent:
    """`w -= lr * g`."""

    def __init__(self, weights: Mapping[str, Tensor], spec: GradientDescentSpec) -> None:
        self.weights = list(weights.values())
        self._spec = spec

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor], iteration: int, step: int) -> None:
        """One update."""
        torch._foreach_add_(self.weights, list(gradients), alpha=-learning_rate(self._spec, step))

    def state(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}


def learning_rate(spec: AdamSpec | GradientDescentSpec, step: int) -> float:
    """The schedule's value at this step where there is one, else the constant."""
    return spec.learning_rate if spec.schedule is None else scheduled(spec.schedule, step)


def scheduled(schedule: ScheduleSpec, step: int) -> float:
    """A piecewise constant rate changes after its boundary: step 3 still has the value before boundary 3."""
    match schedule.selected:
        case _, PiecewiseConstant() as pieces:
            return pieces.values[bisect_left(pieces.boundaries, step)]
        case _, ExponentialDecay() as decay:
            rate: float = decay.initial * decay.decay_rate ** (step / decay.decay_steps)
            return rate
        case word, _:
            raise NotBuiltYet(f"optimizer.schedule.{word}")


def optimizer_of(weights: Mapping[str, Tensor], spec: OptimizerSpec) -> Optimizer:
    """The optimiser that a spec names; a plugin is called with the weights by name and its parameters."""
    match spec.selected:
        case _, AdamSpec() as adam:
            return Adam(weights, adam)
        case _, GradientDescentSpec() as descent:
            return GradientDescent(weights, descent)
        case _, Plugin() as plugin:
            return make(plugin, "optimizer.plugin", Optimizer, weights)  # type: ignore[type-abstract]
        case word, _:
            raise NotBuiltYet(f"optimizer.{word}")
