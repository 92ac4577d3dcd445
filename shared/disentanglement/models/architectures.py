"""Encoders and decoders as plain lists of layers (Burgess et al., 2018, arXiv:1804.03599, as the reference has them).

A layer is a frozen value; its weights live in a mapping from names such as `encoder.e1.kernel` to tensors, so the same
layers can run with any weights and any implementation of the operations.
Shapes: B batch, H, W, C image, Z latents, I in, O out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from disentanglement.errors import NotBuiltYet, SpecError
from disentanglement.models.ops import Ops
from disentanglement.models.streams import variable_generator
from disentanglement.specs.networks import ArchitectureSpec

Weights = Mapping[str, Tensor]
ImageShape = tuple[int, int, int]
IMAGE_SIDE = 64


@dataclass(frozen=True, slots=True)
class Variable:
    """A name, a shape, and the fans that bound a Glorot-uniform kernel (Glorot and Bengio, 2010); biases have none."""

    name: str
    shape: tuple[int, ...]
    fans: int | None = None
    """fan_in + fan_out."""

    def initial(self, seed: int) -> Tensor:
        """Uniform within sqrt(6 / (fan_in + fan_out)), a function of the seed and the name; zero for a bias."""
        if self.fans is None:
            return torch.zeros(self.shape)
        bound = math.sqrt(6 / self.fans)
        uniform = variable_generator(seed, self.name).random(self.shape, dtype=np.float32)
        return torch.from_numpy((2 * uniform - 1) * np.float32(bound))

    def placeholder(self) -> Tensor:
        """Its shape and type without memory."""
        return torch.empty(self.shape, device="meta")


class Layer(Protocol):
    """One step of a network."""

    def variables(self) -> Sequence[Variable]:
        """What it learns."""
        ...

    def apply(self, x: Tensor, weights: Weights, ops: Ops) -> Tensor:
        """Its output."""
        ...


@dataclass(frozen=True, slots=True)
class Dense:
    """Affine map of `[B, I]`, rectified unless it is the last; the kernel is `[I, O]`."""

    name: str
    inputs: int
    outputs: int
    rectified: bool = True

    def variables(self) -> Sequence[Variable]:
        """Kernel and bias."""
        kernel = Variable(f"{self.name}.kernel", (self.inputs, self.outputs), self.inputs + self.outputs)
        return kernel, Variable(f"{self.name}.bias", (self.outputs,))

    def apply(self, x: Tensor, weights: Weights, ops: Ops) -> Tensor:
        """`[B, O]`."""
        kernel, bias = weights[f"{self.name}.kernel"], weights[f"{self.name}.bias"]
        return ops.dense(x, kernel, bias, rectified=self.rectified)


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution with stride 2, "same" padding and a rectifier; the kernel is `[O, size, size, I]`."""

    name: str
    inputs: int
    outputs: int
    size: int

    def variables(self) -> Sequence[Variable]:
        """Kernel and bias."""
        fans = self.size**2 * (self.inputs + self.outputs)
        kernel = Variable(f"{self.name}.kernel", (self.outputs, self.size, self.size, self.inputs), fans)
        return kernel, Variable(f"{self.name}.bias", (self.outputs,))

    def apply(self, x: Tensor, weights: Weights, ops: Ops) -> Tensor:
        """`[B, H / 2, W / 2, O]`."""
        kernel, bias = weights[f"{self.name}.kernel"], weights[f"{self.name}.bias"]
        return ops.conv(x, kernel, bias, rectified=True)


@dataclass(frozen=True, slots=True)
class Deconv:
    """Transposed 4 x 4 convolution with stride 2, rectified unless it is the last; the kernel is `[I, 4, 4, O]`."""

    name: str
    inputs: int
    outputs: int
    rectified: bool = True

    def variables(self) -> Sequence[Variable]:
        """Kernel and bias."""
        fans = 16 * (self.inputs + self.outputs)
        kernel = Variable(f"{self.name}.kernel", (self.inputs, 4, 4, self.outputs), fans)
        return kernel, Variable(f"{self.name}.bias", (self.outputs,))

    def apply(self, x: Tensor, weights: Weights, ops: Ops) -> Tensor:
        """`[B, 2 H, 2 W, O]`."""
        kernel, bias = weights[f"{self.name}.kernel"], weights[f"{self.name}.bias"]
        return ops.deconv(x, kernel, bias, rectified=self.rectified)


@dataclass(frozen=True, slots=True)
class Reshape:
    """Another view of each example: channels last, as the reference flattens."""

    shape: tuple[int, ...]

    def variables(self) -> Sequence[Variable]:
        """Nothing to learn."""
        return ()

    def apply(self, x: Tensor, weights: Weights, ops: Ops) -> Tensor:
        """`[B, *shape]`."""
        return x.reshape(x.shape[0], *self.shape)


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
        Reshape((1024,)),
        Dense("encoder.e5", 1024, 256),
    )
    return Encoder(
        trunk,
        mean=Dense("encoder.means", 256, num_latent, rectified=False),
        logvar=Dense("encoder.log_var", 256, num_latent, rectified=False),
    )


def deconv_decoder(image_shape: ImageShape, num_latent: int) -> Decoder:
    """Two dense layers and four transposed convolutions, to 64 x 64. Raises `SpecError` for another size."""
    check_side("decoder.deconv_decoder", image_shape)
    return Decoder(
        (
            Dense("decoder.d1", num_latent, 256),
            Dense("decoder.d2", 256, 1024),
            Reshape((4, 4, 64)),
            Deconv("decoder.d3", 64, 64),
            Deconv("decoder.d4", 64, 32),
            Deconv("decoder.d5", 32, 32),
            Deconv("decoder.d6", 32, image_shape[2], rectified=False),
        )
    )


def check_side(field: str, image_shape: ImageShape) -> None:
    """Raises `SpecError` unless images are 64 x 64."""
    if image_shape[:2] != (IMAGE_SIDE, IMAGE_SIDE):
        raise SpecError.of(f"architecture.{field}", "images of 64 x 64", "x".join(map(str, image_shape)))


ENCODERS: dict[str, Callable[[ImageShape, int], Encoder]] = {"conv_encoder": conv_encoder}
DECODERS: dict[str, Callable[[ImageShape, int], Decoder]] = {"deconv_decoder": deconv_decoder}


def architecture(spec: ArchitectureSpec, image_shape: ImageShape) -> Architecture:
    """The networks that a spec names. Raises `NotBuiltYet`, naming what there is none of."""
    encoder, decoder = spec.encoder.word, spec.decoder.word
    if encoder not in ENCODERS:
        raise NotBuiltYet(f"architecture.encoder.{encoder}")
    if decoder not in DECODERS:
        raise NotBuiltYet(f"architecture.decoder.{decoder}")
    return Architecture(
        ENCODERS[encoder](image_shape, spec.num_latent), DECODERS[decoder](image_shape, spec.num_latent)
    )
