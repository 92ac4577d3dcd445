"""The few operations that networks are made of, behind a protocol, so that another implementation can take over.

Shapes: B batch, H height, W width, I channels in, O channels out. Images lie in memory as they are stored, channels
last, which is also what the fast kernels want; kernels are contiguous with channels last for the same reason.
"""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from disentanglement.errors import NotBuiltYet
from disentanglement.models.convolutions import Convolution, NarrowDeconvolution
from disentanglement.specs.steps import Precision

Activation = Literal["relu", "leaky_relu", "tanh"]
LEAK = 0.2
"""Slope of the leaky rectifier below zero, as the reference's framework has it."""

NARROW = 4
"""Up to so many output channels a transposed convolution is quicker as one matrix product."""


class Ops(Protocol):
    """What a network needs. Every convolution halves, every transposed convolution doubles height and width."""

    def dense(self, x_BI: Tensor, kernel_IO: Tensor, bias_O: Tensor, *, activation: Activation | None) -> Tensor:
        """Affine map and activation, `[B, O]`."""
        ...

    def conv(self, x_BHWI: Tensor, kernel_OHWI: Tensor, bias_O: Tensor, *, rectified: bool) -> Tensor:
        """Convolution with stride 2 and "same" padding, `[B, H / 2, W / 2, O]`."""
        ...

    def deconv(self, x_BHWI: Tensor, kernel_IHWO: Tensor, bias_O: Tensor, *, rectified: bool) -> Tensor:
        """Transposed convolution with a 4 x 4 kernel, stride 2 and "same" padding, `[B, 2 H, 2 W, O]`."""
        ...


class PlainOps:
    """PyTorch's functions as they come: the yardstick of every other implementation."""

    def dense(self, x_BI: Tensor, kernel_IO: Tensor, bias_O: Tensor, *, activation: Activation | None) -> Tensor:
        """Affine map and activation."""
        return activated(torch.addmm(bias_O, x_BI, kernel_IO), activation)

    def conv(self, x_BHWI: Tensor, kernel_OHWI: Tensor, bias_O: Tensor, *, rectified: bool) -> Tensor:
        """A kernel of 4 needs one pixel of padding on each side, a kernel of 2 none."""
        padding = kernel_OHWI.shape[1] // 2 - 1
        x_BIHW, kernel_OIHW = x_BHWI.permute(0, 3, 1, 2), kernel_OHWI.permute(0, 3, 1, 2)
        y_BHWO = functional.conv2d(x_BIHW, kernel_OIHW, bias_O, stride=2, padding=padding).permute(0, 2, 3, 1)
        return functional.relu(y_BHWO) if rectified else y_BHWO

    def deconv(self, x_BHWI: Tensor, kernel_IHWO: Tensor, bias_O: Tensor, *, rectified: bool) -> Tensor:
        """The gradient of a convolution with a kernel of 4."""
        x_BIHW, kernel_IOHW = x_BHWI.permute(0, 3, 1, 2), kernel_IHWO.permute(0, 3, 1, 2)
        y_BHWO = functional.conv_transpose2d(x_BIHW, kernel_IOHW, bias_O, stride=2, padding=1).permute(0, 2, 3, 1)
        return functional.relu(y_BHWO) if rectified else y_BHWO


class FusedOps(PlainOps):
    """The same numbers to rounding, with fewer passes over memory; each output must have one consumer at most."""

    def conv(self, x_BHWI: Tensor, kernel_OHWI: Tensor, bias_O: Tensor, *, rectified: bool) -> Tensor:
        """As above."""
        return Convolution.run(x_BHWI, kernel_OHWI, bias_O, transposed=False, rectified=rectified)

    def deconv(self, x_BHWI: Tensor, kernel_IHWO: Tensor, bias_O: Tensor, *, rectified: bool) -> Tensor:
        """As above."""
        if kernel_IHWO.shape[3] <= NARROW and not rectified and x_BHWI.device.type == "cpu":
            return NarrowDeconvolution.run(x_BHWI, kernel_IHWO, bias_O)
        return Convolution.run(x_BHWI, kernel_IHWO, bias_O, transposed=True, rectified=rectified)


def activated(y: Tensor, activation: Activation | None) -> Tensor:
    """The activation's value."""
    match activation:
        case "relu":
            return functional.relu(y)
        case "leaky_relu":
            return functional.leaky_relu(y, LEAK)
        case "tanh":
            return torch.tanh(y)
        case None:
            return y


PLAIN: Ops = PlainOps()
FUSED: Ops = FusedOps()


def ops_for(precision: Precision, device: torch.device) -> Ops:
    """The quickest operations with which networks compute in this precision on this device."""
    if precision != "fp32":
        raise NotBuiltYet(f"precision.{precision}")
    return FUSED
