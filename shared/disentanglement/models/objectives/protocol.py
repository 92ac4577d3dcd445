"""What the training loop knows about an objective.

Shapes: B batch, H, W, C image, N labelled images, K labelled factors, Z latents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from disentanglement.models.networks.layers import Variable
from disentanglement.models.networks.network import Networks
from disentanglement.specs.networks import OptimizerSpec


@dataclass(frozen=True, slots=True)
class Labelled:
    """Images `[N, H, W, C]` with labels `[N, K]`, float32."""

    images_NHWC: Tensor
    labels_NK: Tensor


@dataclass(frozen=True, slots=True)
class Pair:
    """The second image of each pair `[B, H, W, C]`, and the index of the factor that changed `[B]`, int64."""

    images_BHWC: Tensor
    changed_B: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Images `[B, H, W, C]`, float32 in [0, 1], with what some objectives need beside them."""

    images_BHWC: Tensor
    labelled: Labelled | None = None
    """For semi-supervised objectives."""
    pair: Pair | None = None
    """For weakly supervised objectives."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A loss and the terms it is reported with, all of them scalars on the device but for `kl_Z`."""

    loss: Tensor
    """Minimised over the networks' variables and the objective's own."""
    reported: Mapping[str, Tensor]
    """By the reference's keys; `elbo` is minus (reconstruction + KL), so larger is better."""
    kl_Z: Tensor
    """Divergence of each latent from the prior, in nats."""
    player_losses: tuple[Tensor, ...] = ()
    """One for each player, minimised over that player's variables alone."""

    @classmethod
    def elbo(
        cls, reconstruction_B: Tensor, kl_Z: Tensor, *, regularizer: Tensor, player_losses: tuple[Tensor, ...] = ()
    ) -> Terms:
        """The usual shape: `regularizer` is all that is added to the reconstruction loss, the KL included."""
        reconstruction, kl = reconstruction_B.mean(), kl_Z.sum()
        reported = {
            "reconstruction_loss": reconstruction,
            "elbo": -(reconstruction + kl),
            "regularizer": regularizer,
            "kl_loss": kl,
        }
        return cls(reconstruction + regularizer, reported, kl_Z, player_losses)

    def without(self, *names: str) -> Terms:
        """The same with some terms not reported."""
        reported = {name: value for name, value in self.reported.items() if name not in names}
        return Terms(self.loss, reported, self.kl_Z, self.player_losses)


class Noise(Protocol):
    """The random numbers of one iteration; each `draw` is independent of the others."""

    def latent(self, draw: int = 0) -> Tensor:
        """Standard normal `[B, Z]`."""
        ...

    def permutations(self, count: int, length: int, draw: int = 0) -> Tensor:
        """Uniformly random permutations of 0 to length - 1, int64 `[count, length]`."""
        ...


@dataclass(frozen=True, slots=True)
class Player:
    """A second network with an optimiser of its own (a discriminator, an estimator of mutual information).

    All gradients are taken at the current weights of the same batch and noise, then all optimisers step.
    """

    name: str
    variables: tuple[Variable, ...]
    optimizer: OptimizerSpec


class Objective(Protocol):
    """A frozen value whose whole loss is on one screen. Its networks' weights hold all variables by name."""

    @property
    def steps_per_iteration(self) -> int:
        """How many steps the reference counts each time: one for each optimiser, where a player's counts too."""
        ...

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Its own, trained together with the networks'."""
        ...

    @property
    def untrained(self) -> tuple[Variable, ...]:
        """Its own that stay as they are initialised."""
        ...

    @property
    def players(self) -> tuple[Player, ...]:
        """None for most objectives."""
        ...

    def loss(self, networks: Networks, batch: Batch, noise: Noise, step: Tensor) -> Terms:
        """The terms of one batch; `step` is the number of steps counted so far, an int64 scalar on the device."""
        ...
