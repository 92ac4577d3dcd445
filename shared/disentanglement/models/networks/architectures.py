"""The reference's encoders, decoders and discriminator as plain lists of layers.

The convolutional pair is that of Burgess et al. (2018, arXiv:1804.03599), the discriminator that of Kim and Mnih (2018,
arXiv:1802.05983). Shapes: B batch, H, W, C image, Z latents.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from disentanglement.errors import SpecError
from disentanglement.models.networks.layers import Conv, Deconv, Dense, ImageShape, Layer, Reshape, Variable
from disentanglement.specs.base import Plugin
from disentanglement.specs.networks import ArchitectureSpec, DecoderSpec, DiscriminatorSpec, EncoderSpec
from disentanglement.specs.sources import WRONG, make, unfit

IMAGE_SIDE = 64
"""Of the images that the convolutional networks take; the others take any."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """Images to the mean and the log-variance of every latent: a trunk and two heads."""

    trunk: tuple[Layer, ...]
    mean: Dense
    logvar: Dense

    @property
    def layers(self) -> tuple[Layer, ...]:
        """In the order of the reference's variables."""
        return (*self.trunk, self.mean, self.logvar)


@dataclass(frozen=True, slots=True)
class Decoder:
    """Codes to raw outputs in the shape of the image."""

    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Architecture:
    """The networks of a variational autoencoder for one image shape."""

    encoder: Encoder
    decoder: Decoder

    def variables(self) -> Iterator[Variable]:
        """All of them, the encoder's first."""
        for layer in (*self.encoder.layers, *self.decoder.layers):
            yield from layer.variables()

    def initial_weights(self, seed: int) -> dict[str, Tensor]:
        """Glorot-uniform kernels and zero biases."""
        return {variable.name: variable.initial(seed) for variable in self.variables()}


def conv_encoder(image_shape: ImageShape, num_latent: int) -> Encoder:
    """Four convolutions and a dense layer of 256, for images of 64 x 64. Raises `SpecError` for another size."""
    check_side("encoder.conv_encoder", image_shape)
    trunk: tuple[Layer, ...] = (
        Conv("encoder.e1", image_shape[2], 32, size=4),
        Conv("encoder.e2", 32, 32, size=4),
        Conv("encoder.e3", 32, 64, size=2),
        Conv("encoder.e4", 64, 64, size=2),
        Reshape((4, 4, 64), (1024,)),
        Dense("encoder.e5", 1024, 256),
    )
    return with_heads(trunk, 256, num_latent)


def fc_encoder(image_shape: ImageShape, num_latent: int) -> Encoder:
    """Two dense layers of 1200."""
    pixels = math.prod(image_shape)
    trunk = (Reshape(image_shape, (pixels,)), Dense("encoder.e1", pixels, 1200), Dense("encoder.e2", 1200, 1200))
    return with_heads(trunk, 1200, num_latent)


def test_encoder(image_shape: ImageShape, num_latent: int) -> Encoder:
    """The two heads alone, on the pixels."""
    pixels = math.prod(image_shape)
    return with_heads((Reshape(image_shape, (pixels,)),), pixels, num_latent)


def with_heads(trunk: tuple[Layer, ...], width: int, num_latent: int) -> Encoder:
    """An encoder of a trunk that ends in `width` features."""
    mean = Dense("encoder.means", width, num_latent, activation=None)
    return Encoder(trunk, mean, Dense("encoder.log_var", width, num_latent, activation=None))


def deconv_decoder(image_shape: ImageShape, num_latent: int) -> Decoder:
    """Two dense layers and four transposed convolutions, to 64 x 64. Raises `SpecError` for another size."""
    check_side("decoder.deconv_decoder", image_shape)
    return Decoder(
        (
            Dense("decoder.d1", num_latent, 256),
            Dense("decoder.d2", 256, 1024),
            Reshape((1024,), (4, 4, 64)),
            Deconv("decoder.d3", 64, 64),
            Deconv("decoder.d4", 64, 32),
            Deconv("decoder.d5", 32, 32),
            Deconv("decoder.d6", 32, image_shape[2], rectified=False),
        )
    )


def fc_decoder(image_shape: ImageShape, num_latent: int) -> Decoder:
    """Three dense layers of 1200 with tanh and one to the pixels."""
    pixels = math.prod(image_shape)
    return Decoder(
        (
            Dense("decoder.d1", num_latent, 1200, activation="tanh"),
            Dense("decoder.d2", 1200, 1200, activation="tanh"),
            Dense("decoder.d3", 1200, 1200, activation="tanh"),
            Dense("decoder.d4", 1200, pixels, activation=None),
            Reshape((pixels,), image_shape),
        )
    )


def test_decoder(image_shape: ImageShape, num_latent: int) -> Decoder:
    """One affine map to the pixels."""
    pixels = math.prod(image_shape)
    return Decoder((Dense("decoder.d1", num_latent, pixels, activation=None), Reshape((pixels,), image_shape)))


def fc_discriminator(num_latent: int) -> tuple[Layer, ...]:
    """Six layers of 1000 with leaky rectifiers (slope 0.2), then two logits."""
    widths = (num_latent, *[1000] * 6)
    hidden = (
        Dense(f"discriminator.d{i + 1}", inputs, outputs, activation="leaky_relu")
        for i, (inputs, outputs) in enumerate(pairwise(widths))
    )
    return (*hidden, Dense("discriminator.logits", 1000, 2, activation=None))


def check_side(field: str, image_shape: ImageShape) -> None:
    """Raises `SpecError` unless images are 64 x 64."""
    if image_shape[:2] != (IMAGE_SIDE, IMAGE_SIDE):
        raise SpecError.of(f"architecture.{field}", "images of 64 x 64", "x".join(map(str, image_shape)))


ENCODERS: dict[str, Callable[[ImageShape, int], Encoder]] = {
    "conv_encoder": conv_encoder,
    "fc_encoder": fc_encoder,
    "test_encoder": test_encoder,
}
DECODERS: dict[str, Callable[[ImageShape, int], Decoder]] = {
    "deconv_decoder": deconv_decoder,
    "fc_decoder": fc_decoder,
    "test_decoder": test_decoder,
}
DISCRIMINATORS: dict[str, Callable[[int], tuple[Layer, ...]]] = {"fc_discriminator": fc_discriminator}


def architecture(spec: ArchitectureSpec, image_shape: ImageShape) -> Architecture:
    """The networks that a spec names.

    Raises:
        SpecError: images of another size, or a plugin that makes no such network.
    """
    built = Architecture(
        encoder_of(spec.encoder, image_shape, spec.num_latent), decoder_of(spec.decoder, image_shape, spec.num_latent)
    )
    names = [variable.name for variable in built.variables()]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SpecError.of("architecture", "a name of its own for every variable", ", ".join(repeated))
    return built


def encoder_of(spec: EncoderSpec, image_shape: ImageShape, num_latent: int) -> Encoder:
    """The encoder that a spec names; a plugin is called with image shape, number of latents and its parameters."""
    if spec.plugin is None:
        return ENCODERS[spec.word](image_shape, num_latent)
    made = make(spec.plugin, "architecture.encoder.plugin", Encoder, image_shape, num_latent)
    check_variables(lambda: made.layers, spec.plugin, "architecture.encoder.plugin")
    return made


def decoder_of(spec: DecoderSpec, image_shape: ImageShape, num_latent: int) -> Decoder:
    """The decoder that a spec names; a plugin is called with image shape, number of latents and its parameters."""
    if spec.plugin is None:
        return DECODERS[spec.word](image_shape, num_latent)
    made = make(spec.plugin, "architecture.decoder.plugin", Decoder, image_shape, num_latent)
    check_variables(lambda: made.layers, spec.plugin, "architecture.decoder.plugin")
    return made


def discriminator(spec: DiscriminatorSpec, num_latent: int) -> tuple[Layer, ...]:
    """Layers from codes `[B, Z]` to two logits `[B, 2]`: class 0 "joint", class 1 "permuted".

    A plugin is called with the number of latents and its parameters; its variables' names begin with `discriminator.`.
    """
    if spec.plugin is None:
        return DISCRIMINATORS[spec.word](num_latent)
    made = make(spec.plugin, "discriminator.plugin", tuple, num_latent)
    check_variables(lambda: made, spec.plugin, "discriminator.plugin")
    return made


def check_variables(layers: Callable[[], tuple[Layer, ...]], plugin: Plugin, field: str) -> None:
    """Raises `SpecError` unless all variables of a plugin's layers have shapes of whole numbers from 1."""
    try:
        shapes: dict[str, tuple[object, ...]] = {
            variable.name: tuple(variable.shape) for layer in layers() for variable in layer.variables()
        }
    except WRONG as error:
        raise unfit(plugin, field, error) from error
    for name, shape in shapes.items():
        if not all(isinstance(size, int) and not isinstance(size, bool) and size >= 1 for size in shape):
            wanted = f"what gives {name} a shape of whole numbers from 1, not {shape}"
            raise SpecError.of(f"{field}.parameters", wanted, plugin.parameters or "none")
