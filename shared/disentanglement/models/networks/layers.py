"""The layers that networks are made of: frozen values whose weights live in a mapping of their own.

A mapping from names such as `encoder.e1.kernel` to tensors: so the same layers can run with any weights and any
implementation of the operations. Shapes: B batch, H, W, C image, I in, O out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from disentanglement.models.networks.ops import Activation, Ops
from disentanglement.models.streams import variable_generator

Weights = Mapping[str, Tensor]
ImageShape = tuple[int, int, int]


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
    """Affine map of `[B, I]` and an activation, or none where it is the last; the kernel is `[I, O]`."""

    name: str
    inputs: int
    outputs: int
    activation: Activation | None = "relu"

    def variables(self) -> Sequence[Variable]:
        """Kernel and bias."""
        kernel = Variable(f"{self.name}.kernel", (self.inputs, self.outputs), self.inputs + self.outputs)
        return kernel, Variable(f"{self.name}.bias", (self.outputs,))

    def apply(self, x: Tensor, weights: Weights, ops: Ops) -> Tensor:
        """`[B, O]`."""
        kernel, bias = weights[f"{self.name}.kernel"], weights[f"{self.name}.bias"]
        return ops.dense(x, kernel, bias, activation=self.activation)


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

    before: tuple[int, ...]
    after: tuple[int, ...]

    def variables(self) -> Sequence[Variable]:
        """Nothing to learn."""
        return ()

    def apply(self, x: Tensor, weights: Weights, ops: Ops) -> Tensor:
        """`[..., *before]` to `[..., *after]`."""
        return x.reshape(*x.shape[: x.ndim - len(self.before)], *self.after)
