"""What the training loop knows about an objective. Shapes: B batch, Z latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from disentanglement.models.networks import Networks
from disentanglement.models.posterior import Posterior


@dataclass(frozen=True, slots=True)
class Batch:
    """Images `[B, H, W, C]`, float32 in [0, 1]."""

    images_BHWC: Tensor


@dataclass(frozen=True, slots=True)
class Terms:
    """A loss and the terms it is reported with, all of them scalars on the device but for `kl_Z`."""

    loss: Tensor
    reported: Mapping[str, Tensor]
    """By the reference's keys; `elbo` is minus (reconstruction + KL), so larger is better."""
    kl_Z: Tensor
    """Divergence of each latent from the prior, in nats."""

    @classmethod
    def elbo(cls, reconstruction_B: Tensor, kl_Z: Tensor, *, regularizer: Tensor) -> Terms:
        """The usual shape: `regularizer` is all that is added to the reconstruction loss, the KL included."""
        reconstruction, kl = reconstruction_B.mean(), kl_Z.sum()
        reported = {
            "reconstruction_loss": reconstruction,
            "elbo": -(reconstruction + kl),
            "regularizer": regularizer,
            "kl_loss": kl,
        }
        return cls(loss=reconstruction + regularizer, reported=reported, kl_Z=kl_Z)


class Noise(Protocol):
    """The random numbers of one step."""

    def latent(self, draw: int = 0) -> Tensor:
        """Standard normal `[B, Z]`; each `draw` of a step is independent of the others."""
        ...


class Player(Protocol):
    """A second network with a loss of its own (a discriminator, an estimator of mutual information).

    Both gradients are taken at the current weights of the same batch and noise, then both optimisers step.
    """

    name: str

    def loss(self, networks: Networks, posterior: Posterior, noise: Noise, step: Tensor) -> Tensor:
        """Minimised over this player's variables alone."""
        ...


class Objective(Protocol):
    """A frozen value whose whole loss is on one screen."""

    @property
    def players(self) -> tuple[Player, ...]:
        """Auxiliary players; none for most objectives."""
        ...

    def loss(self, networks: Networks, batch: Batch, noise: Noise, step: Tensor) -> Terms:
        """The terms of one batch; `step` is the number of updates made so far, an int64 scalar on the device."""
        ...
