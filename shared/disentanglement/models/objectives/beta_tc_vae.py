"""beta-TC-VAE (Chen et al., 2018, arXiv:1802.04942, eq. 4 with alpha = gamma = 1)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.estimators import total_correlation
from disentanglement.models.objectives.protocol import Noise
from disentanglement.models.objectives.unsupervised import Latents, Regularized, WithoutPlayers
from disentanglement.specs.objectives import BetaTcVae as BetaTcVaeSpec


@dataclass(frozen=True, slots=True)
class BetaTcVae(WithoutPlayers):
    """Divergence plus (beta - 1) times the total correlation, which the divergence holds once; beta 1 is the VAE."""

    spec: BetaTcVaeSpec

    def value(self, latents: Latents, networks: Networks, noise: Noise, step: Tensor) -> Regularized:
        """Of one batch."""
        return Regularized(latents.kl + (self.spec.beta - 1) * total_correlation(latents.codes_BZ, latents.posterior))
