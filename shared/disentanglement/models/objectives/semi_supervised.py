"""An unsupervised objective plus a weighted supervised loss (Locatello et al., 2020, arXiv:1905.01258, eq. 2).

`loss = reconstruction + U + gamma_t * S`: U is the unsupervised regularizer, the divergence included; S compares the
encoder's *means* on labelled images with their labels; labelled images are neither decoded nor pulled to the prior.
Shapes: N labelled images, K labels, Z latents.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from disentanglement.models.networks.layers import Variable
from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.beta_tc_vae import BetaTcVae
from disentanglement.models.objectives.beta_vae import BetaVae
from disentanglement.models.objectives.dip_vae import DipVae
from disentanglement.models.objectives.factor_vae import FactorVae
from disentanglement.models.objectives.protocol import Batch, Noise, Player, Terms
from disentanglement.models.objectives.reconstruction import ReconstructionLoss, reconstruction_loss
from disentanglement.models.objectives.supervision import SupervisedLoss, annealed, supervised_loss
from disentanglement.models.objectives.unsupervised import Latents, Regularizer
from disentanglement.specs import TrainSpec
from disentanglement.specs.objectives import BetaTcVae as BetaTcVaeSpec
from disentanglement.specs.objectives import BetaVae as BetaVaeSpec
from disentanglement.specs.objectives import DipVae as DipVaeSpec
from disentanglement.specs.objectives import FactorVae as FactorVaeSpec
from disentanglement.specs.objectives import S2BetaTcVae, S2DipVae, S2FactorVae, S2FactorVaeCorrected, S2Vae
from disentanglement.specs.supervision import AnnealerSpec

S2Spec = S2Vae | S2DipVae | S2BetaTcVae | S2FactorVae


def labelled_means(networks: Networks, batch: Batch) -> tuple[Tensor, Tensor]:
    """Means of the labelled images `[N, Z]` and their labels `[N, K]`. Raises `ValueError` for a batch without."""
    if batch.labelled is None:
        raise ValueError("a semi-supervised objective needs labelled images")
    return networks.encode(batch.labelled.images_NHWC).mean_BZ, batch.labelled.labels_NK


@dataclass(frozen=True, slots=True)
class SemiSupervised:
    """The template. Where the regularizer reports no evidence lower bound (FactorVAE), its reported value is U alone,
    without the supervised loss: the reference's way."""

    regularizer: Regularizer
    supervised: SupervisedLoss
    gamma_sup: float
    annealer: AnnealerSpec
    reconstruction: ReconstructionLoss
    trains_supervised: bool = True
    """Whether the supervised loss's own variables are trained; if not, they stay as they are initialised."""

    @classmethod
    def of(cls, spec: TrainSpec, sizes: tuple[int, ...]) -> SemiSupervised:
        """The objective that a spec names, for labels of these sizes.

        In the reference FactorVAE's two optimisers choose their variables by name, and none of them chooses the
        supervised loss's; the corrected variant trains them.

        Raises:
            SpecError: fewer latents than labels.
            NotBuiltYet: a part of it is a plugin.
        """
        _, parameters = spec.objective.selected
        assert isinstance(parameters, S2Spec)
        num_latent = spec.architecture.num_latent
        return cls(
            regularizer_of(parameters, num_latent),
            supervised_loss(parameters.supervised_loss, sizes, num_latent=num_latent),
            parameters.gamma_sup,
            parameters.annealer,
            reconstruction_loss(spec.reconstruction),
            trains_supervised=isinstance(parameters, S2FactorVaeCorrected) or not isinstance(parameters, S2FactorVae),
        )

    @property
    def steps_per_iteration(self) -> int:
        """The regularizer's."""
        return self.regularizer.steps_per_iteration

    @property
    def players(self) -> tuple[Player, ...]:
        """The regularizer's."""
        return self.regularizer.players

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The supervised loss's, where they are trained."""
        return self.supervised.variables if self.trains_supervised else ()

    @property
    def untrained(self) -> tuple[Variable, ...]:
        """The supervised loss's, where they are not."""
        return () if self.trains_supervised else self.supervised.variables

    def loss(self, networks: Networks, batch: Batch, noise: Noise, step: Tensor) -> Terms:
        """The terms of one batch."""
        posterior, codes_BZ, outputs = networks.autoencode(batch.images_BHWC, noise.latent())
        latents = Latents.of(posterior, codes_BZ)
        unsupervised = self.regularizer.value(latents, networks, noise, step)
        mean_NZ, labels_NK = labelled_means(networks, batch)
        supervised = self.supervised.value(mean_NZ, labels_NK, networks.weights)
        terms = Terms.elbo(
            self.reconstruction(batch.images_BHWC, outputs),
            latents.kl_Z,
            regularizer=unsupervised.value + annealed(self.gamma_sup, self.annealer, step) * supervised,
            player_losses=unsupervised.player_losses,
        )
        reported = {**terms.reported, "supervised_loss": supervised}
        if not self.regularizer.reports_elbo:
            del reported["elbo"]
            reported["regularizer"] = unsupervised.value
        return Terms(terms.loss, reported, terms.kl_Z, terms.player_losses)


def regularizer_of(spec: S2Spec, num_latent: int) -> Regularizer:
    """U: what the spec's unsupervised part would be on its own."""
    match spec:
        case S2Vae():
            return BetaVae(BetaVaeSpec(beta=spec.beta))
        case S2DipVae():
            parameters = spec.model_dump(include=set(DipVaeSpec.model_fields))
            return DipVae(DipVaeSpec.model_validate(parameters))
        case S2BetaTcVae():
            return BetaTcVae(BetaTcVaeSpec(beta=spec.beta))
        case S2FactorVae():
            networks = {name: getattr(spec, name) for name in ("discriminator", "discriminator_optimizer")}
            return FactorVae(FactorVaeSpec(gamma=spec.gamma, **networks), num_latent)
