"""VAE of controlled capacity (Burgess et al., 2018, arXiv:1804.03599, eq. 8)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.estimators import capacity
from disentanglement.models.objectives.protocol import Noise
from disentanglement.models.objectives.unsupervised import Latents, Regularized, WithoutPlayers
from disentanglement.specs.objectives import AnnealedVae as AnnealedVaeSpec


@dataclass(frozen=True, slots=True)
class AnnealedVae(WithoutPlayers):
    """gamma times the distance of the divergence, averaged over the batch first, from a capacity that grows."""

    spec: AnnealedVaeSpec

    def value(self, latents: Latents, networks: Networks, noise: Noise, step: Tensor) -> Regularized:
        """Of one batch."""
        capacity_now = capacity(step, c_max=self.spec.c_max, iteration_threshold=self.spec.iteration_threshold)
        return Regularized(self.spec.gamma * (latents.kl - capacity_now).abs())
