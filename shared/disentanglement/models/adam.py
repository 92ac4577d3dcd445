"""Adam as the reference's framework writes it (Kingma and Ba, 2015, arXiv:1412.6980, end of section 2).

`w -= lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)`: epsilon stands outside the bias correction, so
it weighs more in the first steps than PyTorch's, which divides v by its correction first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from disentanglement.errors import NotBuiltYet
from disentanglement.specs.networks import Adam as AdamSpec
from disentanglement.specs.networks import OptimizerSpec


class Adam:
    """Updates named weights in place; its moments have the names of the weights."""

    def __init__(self, weights: Mapping[str, Tensor], spec: AdamSpec) -> None:
        if spec.schedule is not None:
            raise NotBuiltYet("optimizer.adam.schedule")
        self._spec = spec
        self._names = list(weights)
        self._weights = list(weights.values())
        self._first = [torch.zeros_like(w, requires_grad=False) for w in self._weights]
        self._second = [torch.zeros_like(w, requires_grad=False) for w in self._weights]

    @torch.no_grad()
    def update(self, gradients: list[Tensor], step: int) -> None:
        """One update from gradients in the order of the weights; `step` counts the updates made before it."""
        spec = self._spec
        torch._foreach_lerp_(self._first, gradients, 1 - spec.beta1)
        torch._foreach_mul_(self._second, spec.beta2)
        torch._foreach_addcmul_(self._second, gradients, gradients, 1 - spec.beta2)
        denominators = torch._foreach_sqrt(self._second)
        torch._foreach_add_(denominators, spec.epsilon)
        torch._foreach_addcdiv_(self._weights, self._first, denominators, -self.step_size(step))

    def step_size(self, step: int) -> float:
        """The learning rate with both bias corrections, for the update after `step` updates."""
        t = step + 1
        return self._spec.learning_rate * math.sqrt(1 - self._spec.beta2**t) / (1 - self._spec.beta1**t)

    def state(self) -> dict[str, Tensor]:
        """Views of the moments: `first.<weight>` and `second.<weight>`."""
        first = {f"first.{name}": m for name, m in zip(self._names, self._first, strict=True)}
        return first | {f"second.{name}": v for name, v in zip(self._names, self._second, strict=True)}


def optimizer_of(weights: Mapping[str, Tensor], spec: OptimizerSpec) -> Adam:
    """The optimiser that a spec names. Raises `NotBuiltYet` for the others."""
    match spec.selected:
        case _, AdamSpec() as adam:
            return Adam(weights, adam)
        case word, _:
            raise NotBuiltYet(f"optimizer.{word}")
