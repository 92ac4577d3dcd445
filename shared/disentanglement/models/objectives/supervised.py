"""A model that labels alone train, with a decoder to look at it (the reference's `SupervisedVAE`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from disentanglement.models.networks.layers import Variable
from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.protocol import Batch, Noise, Player, Terms
from disentanglement.models.objectives.reconstruction import ReconstructionLoss, reconstruction_loss
from disentanglement.models.objectives.semi_supervised import labelled_means
from disentanglement.models.objectives.supervision import SupervisedLoss, supervised_loss
from disentanglement.specs import TrainSpec
from disentanglement.specs.objectives import Supervised as SupervisedSpec


@dataclass(frozen=True, slots=True)
class Supervised:
    """Supervised loss for the encoder, reconstruction loss for the decoder alone; no divergence, no annealing.

    Codes are sampled, but no gradient passes them: the head of the log-variance learns nothing.
    """

    supervised: SupervisedLoss
    reconstruction: ReconstructionLoss
    steps_per_iteration: ClassVar[int] = 1
    untrained: ClassVar[tuple[Variable, ...]] = ()
    players: ClassVar[tuple[Player, ...]] = ()

    @classmethod
    def of(cls, spec: TrainSpec, sizes: tuple[int, ...]) -> Supervised:
        """The objective that a spec names, for labels of these sizes.

        Raises:
            SpecError: fewer latents than labels.
            NotBuiltYet: a part of it is a plugin.
        """
        _, parameters = spec.objective.selected
        assert isinstance(parameters, SupervisedSpec)
        supervised = supervised_loss(parameters.supervised_loss, sizes, num_latent=spec.architecture.num_latent)
        return cls(supervised, reconstruction_loss(spec.reconstruction))

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The supervised loss's."""
        return self.supervised.variables

    def loss(self, networks: Networks, batch: Batch, noise: Noise, step: Tensor) -> Terms:
        """The terms of one batch."""
        posterior = networks.encode(batch.images_BHWC)
        outputs = networks.decode(posterior.sample(noise.latent()).detach())
        reconstruction = self.reconstruction(batch.images_BHWC, outputs).mean()
        mean_NZ, labels_NK = labelled_means(networks, batch)
        supervised = self.supervised.value(mean_NZ, labels_NK, networks.weights)
        reported = {"reconstruction_loss": reconstruction, "regularizer": supervised, "supervised_loss": supervised}
        return Terms(reconstruction + supervised, reported, posterior.kl_per_latent())
