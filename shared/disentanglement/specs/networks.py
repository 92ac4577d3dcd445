"""Encoders, decoders, discriminators, reconstruction losses and optimisers, with the reference's defaults."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from disentanglement.specs.base import A_LIST, Count, OneOf, Plugin, Positive, Spec

BelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]


class ConvEncoder(Spec):
    """Four convolutions and a dense layer of 256 (Burgess et al., 2018, arXiv:1804.03599)."""


class FcEncoder(Spec):
    """Two dense layers of 1200."""


class TestEncoder(Spec):
    """Two linear heads; for smoke tests."""


class EncoderSpec(OneOf):
    """Images to mean and log-variance."""

    conv_encoder: ConvEncoder | None = None
    fc_encoder: FcEncoder | None = None
    test_encoder: TestEncoder | None = None
    plugin: Plugin | None = None


class DeconvDecoder(Spec):
    """Two dense layers and four transposed convolutions."""


class FcDecoder(Spec):
    """Three dense layers of 1200 with tanh."""


class TestDecoder(Spec):
    """One linear layer; for smoke tests."""


class DecoderSpec(OneOf):
    """Codes to logits of images."""

    deconv_decoder: DeconvDecoder | None = None
    fc_decoder: FcDecoder | None = None
    test_decoder: TestDecoder | None = None
    plugin: Plugin | None = None


class FcDiscriminator(Spec):
    """Six dense layers of 1000 with leaky ReLU (Kim and Mnih, 2018, arXiv:1802.05983)."""


class DiscriminatorSpec(OneOf):
    """Codes to two logits: joint or permuted."""

    fc_discriminator: FcDiscriminator | None = None
    plugin: Plugin | None = None


class ArchitectureSpec(Spec):
    """The networks of a variational autoencoder."""

    num_latent: Count = 10
    """Dimension of the code."""
    encoder: EncoderSpec = EncoderSpec(conv_encoder=ConvEncoder())
    decoder: DecoderSpec = DecoderSpec(deconv_decoder=DeconvDecoder())


Activation = Literal["logits", "tanh"]


class BernoulliLoss(Spec):
    """Binary cross-entropy, summed over pixels."""

    activation: Activation = "logits"
    """How decoder outputs become intensities."""
    subtract_true_image_entropy: bool = False
    """Subtract the entropy of the image: changes the value, not the gradient."""


class L2Loss(Spec):
    """Squared error, summed over pixels."""

    activation: Activation = "logits"
    """How decoder outputs become intensities."""


class ReconstructionSpec(OneOf):
    """The reconstruction loss."""

    bernoulli_loss: BernoulliLoss | None = None
    l2_loss: L2Loss | None = None
    plugin: Plugin | None = None


class PiecewiseConstant(Spec):
    """A learning rate that changes at given steps."""

    boundaries: Annotated[tuple[Count, ...], A_LIST, Field(min_length=1)]
    """Steps, ascending."""
    values: Annotated[tuple[Positive, ...], A_LIST, Field(min_length=2)]
    """One more than boundaries."""

    @model_validator(mode="after")
    def _pieces_fit(self) -> Self:
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError("one more value than boundaries")
        if any(later <= earlier for earlier, later in pairwise(self.boundaries)):
            raise ValueError("ascending boundaries")
        return self


class ExponentialDecay(Spec):
    """`initial * decay_rate ** (step / decay_steps)`."""

    initial: Positive
    decay_rate: Positive
    decay_steps: Count = 1


class ScheduleSpec(OneOf):
    """A learning rate as a function of the step."""

    piecewise_constant: PiecewiseConstant | None = None
    exponential_decay: ExponentialDecay | None = None


class Adam(Spec):
    """Adam in the reference's form, epsilon outside the bias correction (Kingma and Ba, 2015, arXiv:1412.6980)."""

    learning_rate: Positive = 1e-4
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.999
    epsilon: Positive = 1e-8
    schedule: ScheduleSpec | None = None
    """Replaces `learning_rate` where given."""


class GradientDescent(Spec):
    """Plain gradient descent."""

    learning_rate: Positive
    schedule: ScheduleSpec | None = None
    """Replaces `learning_rate` where given."""


class OptimizerSpec(OneOf):
    """How weights are updated."""

    adam: Adam | None = None
    gradient_descent: GradientDescent | None = None
    plugin: Plugin | None = None


VAE_OPTIMIZER = OptimizerSpec(adam=Adam())
DISCRIMINATOR_OPTIMIZER = OptimizerSpec(adam=Adam(beta1=0.5, beta2=0.9))
