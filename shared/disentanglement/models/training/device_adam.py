"""Adam whose step sizes lie on the device, for one model or for K of them in one tensor `[K, ...]`.

A captured iteration can't take a number from the host, and models of a pack may have learning rates of their own. The
arithmetic, operation by operation, is that of `optimizers.Adam`, whose moments it continues.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from disentanglement.specs.networks import Adam as AdamSpec


class DeviceAdam:
    """Updates weights and moments in place."""

    def __init__(
        self, weights: Sequence[Tensor], first: Sequence[Tensor], second: Sequence[Tensor], spec: AdamSpec
    ) -> None:
        """Of `spec` only what all models share: both betas and epsilon."""
        self.weights = list(weights)
        self.first, self.second = list(first), list(second)
        self._spec = spec

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor], sizes: Tensor) -> None:
        """One update; `sizes` is the learning rate with both bias corrections: a scalar, or `[K]`."""
        spec, gradients = self._spec, list(gradients)
        torch._foreach_lerp_(self.first, gradients, 1 - spec.beta1)
        torch._foreach_mul_(self.second, spec.beta2)
        torch._foreach_addcmul_(self.second, gradients, gradients, 1 - spec.beta2)
        denominators = torch._foreach_sqrt(self.second)
        torch._foreach_add_(denominators, spec.epsilon)
        down = -sizes
        numerators = [m * down.view(down.shape + (1,) * (m.ndim - down.ndim)) for m in self.first]
        torch._foreach_addcdiv_(self.weights, numerators, denominators)
