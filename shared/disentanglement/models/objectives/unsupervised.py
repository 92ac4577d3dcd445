"""What the unsupervised objectives share: a reconstruction loss plus a regularizer of the latents.

Shapes: B batch, Z latents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from disentanglement.models.networks.layers import Variable
from disentanglement.models.networks.network import Networks
from disentanglement.models.networks.posterior import Posterior
from disentanglement.models.objectives.protocol import Batch, Noise, Player, Terms
from disentanglement.models.objectives.reconstruction import ReconstructionLoss


@dataclass(frozen=True, slots=True)
class Latents:
    """What a regularizer sees of one batch."""

    posterior: Posterior
    codes_BZ: Tensor
    kl_Z: Tensor
    """Divergence of each latent from the prior in nats, averaged over the batch."""

    @classmethod
    def of(cls, posterior: Posterior, codes_BZ: Tensor) -> Latents:
        """A posterior and codes sampled from it."""
        return cls(posterior, codes_BZ, posterior.kl_per_latent())

    @property
    def kl(self) -> Tensor:
        """Divergence from the prior in nats."""
        return self.kl_Z.sum()


@dataclass(frozen=True, slots=True)
class Regularized:
    """All that is added to the reconstruction loss, the KL included, and what the players minimise."""

    value: Tensor
    player_losses: tuple[Tensor, ...] = ()


class Regularizer(Protocol):
    """What tells the unsupervised objectives apart: a frozen value."""

    @property
    def steps_per_iteration(self) -> int:
        """As the objective's."""
        ...

    @property
    def reports_elbo(self) -> bool:
        """Whether the evidence lower bound is among the reported terms."""
        ...

    @property
    def players(self) -> tuple[Player, ...]:
        """None for most."""
        ...

    def value(self, latents: Latents, networks: Networks, noise: Noise, step: Tensor) -> Regularized:
        """Of one batch; `networks` holds the players' weights too."""
        ...


class WithoutPlayers:
    """The usual case: one optimiser, whose updates are the steps, and an evidence lower bound to report."""

    __slots__ = ()
    steps_per_iteration: ClassVar[int] = 1
    reports_elbo: ClassVar[bool] = True

    @property
    def players(self) -> tuple[Player, ...]:
        """None."""
        return ()


@dataclass(frozen=True, slots=True)
class Unsupervised:
    """Reconstruction loss plus regularizer."""

    regularizer: Regularizer
    reconstruction: ReconstructionLoss
    variables: ClassVar[tuple[Variable, ...]] = ()
    untrained: ClassVar[tuple[Variable, ...]] = ()

    @property
    def steps_per_iteration(self) -> int:
        """The regularizer's."""
        return self.regularizer.steps_per_iteration

    @property
    def players(self) -> tuple[Player, ...]:
        """The regularizer's."""
        return self.regularizer.players

    def loss(self, networks: Networks, batch: Batch, noise: Noise, step: Tensor) -> Terms:
        """The terms of one batch."""
        posterior, codes_BZ, outputs = networks.autoencode(batch.images_BHWC, noise.latent())
        reconstruction_B = self.reconstruction(batch.images_BHWC, outputs)
        return self.terms(reconstruction_B, Latents.of(posterior, codes_BZ), networks, noise, step)

    def terms(
        self, reconstruction_B: Tensor, latents: Latents, networks: Networks, noise: Noise, step: Tensor
    ) -> Terms:
        """The same from what the autoencoder made of the batch."""
        regularized = self.regularizer.value(latents, networks, noise, step)
        terms = Terms.elbo(
            reconstruction_B,
            latents.kl_Z,
            regularizer=regularized.value,
            player_losses=regularized.player_losses,
        )
        return terms if self.regularizer.reports_elbo else terms.without("elbo")
