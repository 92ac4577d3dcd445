"""An objective of one's own: what it adds to the reconstruction loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.protocol import Noise
from disentanglement.models.objectives.unsupervised import Latents, Regularized, WithoutPlayers


@dataclass(frozen=True, slots=True)
class BottleneckVae(WithoutPlayers):
    """`gamma * |KL - target|`, the example of the reference; `target` is in nats."""

    gamma: float
    target: float

    def value(self, latents: Latents, networks: Networks, noise: Noise, step: Tensor) -> Regularized:
        """Of one batch."""
        return Regularized(self.gamma * (latents.kl - self.target).abs())
