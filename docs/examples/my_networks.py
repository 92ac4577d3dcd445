"""An encoder and a decoder of one's own. Each layer's variables have its name in front."""

from __future__ import annotations

import math

from disentanglement.models.networks.architectures import Decoder, Encoder
from disentanglement.models.networks.layers import Dense, ImageShape, Reshape


def small_encoder(image_shape: ImageShape, num_latent: int, *, width: int = 128) -> Encoder:
    """One hidden layer."""
    pixels = math.prod(image_shape)
    return Encoder(
        trunk=(Reshape(image_shape, (pixels,)), Dense("encoder.hidden", pixels, width, activation="leaky_relu")),
        mean=Dense("encoder.means", width, num_latent, activation=None),
        logvar=Dense("encoder.log_var", width, num_latent, activation=None),
    )


def small_decoder(image_shape: ImageShape, num_latent: int, *, width: int = 128) -> Decoder:
    """One hidden layer, then raw outputs: the loss applies the activation."""
    pixels = math.prod(image_shape)
    return Decoder(
        (
            Dense("decoder.hidden", num_latent, width, activation="leaky_relu"),
            Dense("decoder.pixels", width, pixels, activation=None),
            Reshape((pixels,), image_shape),
        )
    )
