"""What is minimised: one type per objective, with the published names of its hyperparameters."""

from __future__ import annotations

from typing import Literal

from disentanglement.specs.base import Count, NonNegative, OneOf, Plugin, Spec
from disentanglement.specs.networks import (
    DISCRIMINATOR_OPTIMIZER,
    DiscriminatorSpec,
    FcDiscriminator,
    OptimizerSpec,
)
from disentanglement.specs.supervision import AnnealerSpec, SupervisedLossSpec

FC_DISCRIMINATOR = DiscriminatorSpec(fc_discriminator=FcDiscriminator())
DipType = Literal["i", "ii"]
Aggregation = Literal["labels", "argmax"]


class BetaVae(Spec):
    """beta-VAE (Higgins et al., 2017); beta 1 is the plain VAE."""

    beta: NonNegative


class AnnealedVae(Spec):
    """Capacity-controlled VAE (Burgess et al., 2018, arXiv:1804.03599)."""

    gamma: NonNegative
    c_max: NonNegative
    """Final capacity in nats."""
    iteration_threshold: Count
    """Step at which the capacity reaches `c_max`."""


class FactorVae(Spec):
    """FactorVAE (Kim and Mnih, 2018, arXiv:1802.05983)."""

    gamma: NonNegative
    discriminator: DiscriminatorSpec = FC_DISCRIMINATOR
    discriminator_optimizer: OptimizerSpec = DISCRIMINATOR_OPTIMIZER


class DipVae(Spec):
    """DIP-VAE I and II (Kumar et al., 2018, arXiv:1711.00848)."""

    lambda_od: NonNegative
    lambda_d_factor: NonNegative
    """lambda_d / lambda_od."""
    dip_type: DipType = "i"


class BetaTcVae(Spec):
    """beta-TC-VAE (Chen et al., 2018, arXiv:1802.04942), with the reference's minibatch estimate."""

    beta: NonNegative


class Supervised(Spec):
    """Encoder trained on labels alone, decoder on reconstructions."""

    supervised_loss: SupervisedLossSpec


class S2Vae(Spec):
    """beta-VAE plus a supervised loss."""

    beta: NonNegative
    gamma_sup: NonNegative
    supervised_loss: SupervisedLossSpec
    annealer: AnnealerSpec = AnnealerSpec()


class S2DipVae(Spec):
    """DIP-VAE plus a supervised loss."""

    lambda_od: NonNegative
    lambda_d_factor: NonNegative
    gamma_sup: NonNegative
    supervised_loss: SupervisedLossSpec
    dip_type: DipType = "i"
    annealer: AnnealerSpec = AnnealerSpec()


class S2BetaTcVae(Spec):
    """beta-TC-VAE plus a supervised loss."""

    beta: NonNegative
    gamma_sup: NonNegative
    supervised_loss: SupervisedLossSpec
    annealer: AnnealerSpec = AnnealerSpec()


class S2FactorVae(Spec):
    """FactorVAE plus a supervised loss, whose own variables stay at their initial values as in the reference."""

    gamma: NonNegative
    gamma_sup: NonNegative
    supervised_loss: SupervisedLossSpec
    annealer: AnnealerSpec = AnnealerSpec()
    discriminator: DiscriminatorSpec = FC_DISCRIMINATOR
    discriminator_optimizer: OptimizerSpec = DISCRIMINATOR_OPTIMIZER


class S2FactorVaeCorrected(S2FactorVae):
    """FactorVAE plus a supervised loss whose own variables are trained too."""


class S2MineVae(Spec):
    """beta-VAE plus a penalty on mutual information between labels and foreign codes."""

    beta: NonNegative
    gamma_sup: NonNegative
    annealer: AnnealerSpec = AnnealerSpec()


class GroupVae(Spec):
    """Group-VAE on pairs; `argmax` finds the shared codes itself (Ada-GVAE, arXiv:2002.02886)."""

    beta: NonNegative
    aggregation: Aggregation


class Mlvae(Spec):
    """ML-VAE on pairs; `argmax` finds the shared codes itself (Ada-ML-VAE, arXiv:2002.02886)."""

    beta: NonNegative
    aggregation: Aggregation


class ObjectiveSpec(OneOf):
    """The objective; `method` is the word that studies, cells and keys use for it."""

    beta_vae: BetaVae | None = None
    annealed_vae: AnnealedVae | None = None
    factor_vae: FactorVae | None = None
    dip_vae: DipVae | None = None
    beta_tc_vae: BetaTcVae | None = None
    supervised: Supervised | None = None
    s2_vae: S2Vae | None = None
    s2_dip_vae: S2DipVae | None = None
    s2_beta_tc_vae: S2BetaTcVae | None = None
    s2_factor_vae: S2FactorVae | None = None
    s2_factor_vae_corrected: S2FactorVaeCorrected | None = None
    s2_mine_vae: S2MineVae | None = None
    group_vae: GroupVae | None = None
    mlvae: Mlvae | None = None
    plugin: Plugin | None = None

    @property
    def method(self) -> str:
        """`beta_vae`, `dip_vae_ii`, `group_vae_argmax`, ..., the reference's names."""
        match self.selected:
            case word, (DipVae() | S2DipVae()) as dip:
                return f"{word}_{dip.dip_type}"
            case word, (GroupVae() | Mlvae()) as weak:
                return f"{word}_{weak.aggregation}"
            case _:
                return self.label

    @property
    def needs_labels(self) -> bool:
        """Whether training needs a labelled sample."""
        return self.word == "supervised" or self.word.startswith("s2_")

    @property
    def needs_pairs(self) -> bool:
        """Whether training needs pairs of images."""
        return self.word in ("group_vae", "mlvae")
