"""Labels: where they come from, how they enter a loss, and pairs that share factors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from disentanglement.specs.base import Count, Fraction, OneOf, Plugin, Positive, Seed, Spec


class PerfectLabeller(Spec):
    """The factors themselves."""


class BinLabeller(Spec):
    """Factors with more than `num_bins` values are binned."""

    num_bins: Count = 5


class NoisyLabeller(Spec):
    """Each label is replaced by a random one with some probability."""

    prob_random: Fraction = 0.1


class PermutedLabeller(Spec):
    """One random relabelling per factor."""


class PartialLabeller(Spec):
    """Only some factors are observed."""

    num_observed_factors: Count = 2


class LabellerSpec(OneOf):
    """How ground-truth factors become labels (Locatello et al., 2019, arXiv:1905.01258)."""

    perfect_labeller: PerfectLabeller | None = None
    bin_labeller: BinLabeller | None = None
    noisy_labeller: NoisyLabeller | None = None
    permuted_labeller: PermutedLabeller | None = None
    partial_labeller: PartialLabeller | None = None
    plugin: Plugin | None = None


PERFECT_LABELLER = LabellerSpec(perfect_labeller=PerfectLabeller())


class LabelledDataSpec(Spec):
    """The labelled sample of semi-supervised training, drawn once."""

    num_labelled_samples: Count
    train_percentage: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Share that is trained on; the rest validates."""
    labeller: LabellerSpec = PERFECT_LABELLER
    supervised_data_seed: Seed = 0
    unsupervised_data_seed: Seed = 0


class PairsSpec(Spec):
    """Pairs of images that differ in some factors (Locatello et al., 2020, arXiv:2002.02886)."""

    k: Annotated[int, Field(ge=-1, lt=2**31)]
    """How many factors change at most; -1 draws a number for each pair."""


class L2Supervision(Spec):
    """Squared error between means and labels.

    Without a learned scale the reference compares every mean with the labels of the whole batch; `l2_normalized` is
    what was meant.
    """

    learn_scale: bool = True
    """Compare scaled means with labels; else sigmoids of means with labels divided by the factor size."""


class L2NormalizedSupervision(Spec):
    """Squared error between sigmoids of means and labels divided by the factor size."""


class XentSupervision(Spec):
    """Binary cross-entropy with labels divided by the factor size."""


class CovSupervision(Spec):
    """Squared off-diagonal covariance between means and labels."""


class LearnedSigma(Spec):
    """One trained width per factor."""


class FixedSigma(Spec):
    """One given width."""

    value: Positive


class SigmaSpec(OneOf):
    """The width of `embed`."""

    learned: LearnedSigma | None = None
    fixed: FixedSigma | None = None


class EmbedSupervision(Spec):
    """Softmax over learned embeddings of factor values."""

    sigma: SigmaSpec
    use_order: bool = False


class SupervisedLossSpec(OneOf):
    """How labels enter the loss."""

    l2: L2Supervision | None = None
    l2_normalized: L2NormalizedSupervision | None = None
    xent: XentSupervision | None = None
    cov: CovSupervision | None = None
    embed: EmbedSupervision | None = None
    plugin: Plugin | None = None

    @property
    def ties_latents(self) -> bool:
        """Whether each label has a latent of its own, so that there must be as many latents as labels."""
        return self.cov is None


class AnnealerSpec(Spec):
    """The weight of the supervised loss as a function of the step."""

    anneal_fn: Literal["fixed", "anneal", "fine_tune"] = "fixed"
    iteration_threshold: Count = 1
