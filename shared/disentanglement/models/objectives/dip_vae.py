"""DIP-VAE I and II (Kumar et al., 2018, arXiv:1711.00848, eqs. 6 and 7)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.estimators import covariance, covariance_of_codes, identity_penalty
from disentanglement.models.objectives.protocol import Noise
from disentanglement.models.objectives.unsupervised import Latents, Regularized, WithoutPlayers
from disentanglement.specs.objectives import DipVae as DipVaeSpec


@dataclass(frozen=True, slots=True)
class DipVae(WithoutPlayers):
    """Divergence plus the distance of a covariance from the identity: of the means (I) or of the codes (II)."""

    spec: DipVaeSpec

    def value(self, latents: Latents, networks: Networks, noise: Noise, step: Tensor) -> Regularized:
        """Of one batch."""
        spec, posterior = self.spec, latents.posterior
        cov_ZZ = covariance(posterior.mean_BZ) if spec.dip_type == "i" else covariance_of_codes(posterior)
        lambda_d = spec.lambda_d_factor * spec.lambda_od
        return Regularized(latents.kl + identity_penalty(cov_ZZ, off_diagonal=spec.lambda_od, diagonal=lambda_d))
