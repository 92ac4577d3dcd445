"""beta-VAE (Higgins et al., 2017, https://openreview.net/forum?id=Sy2fzU9gl)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.protocol import Noise
from disentanglement.models.objectives.unsupervised import Latents, Regularized, WithoutPlayers
from disentanglement.specs.objectives import BetaVae as BetaVaeSpec


@dataclass(frozen=True, slots=True)
class BetaVae(WithoutPlayers):
    """beta times the divergence from the prior; beta 1 is the plain VAE."""

    spec: BetaVaeSpec

    def value(self, latents: Latents, networks: Networks, noise: Noise, step: Tensor) -> Regularized:
        """Of one batch."""
        return Regularized(self.spec.beta * latents.kl)
