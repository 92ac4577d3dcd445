"""The few operations that networks are made of, behind a protocol, so that another implementation can take over.

Shapes: B batch, H height, W width, I channels in, O channels out. Images lie in memory as they are stored, channels
last, which is also what the fast kernels want; kernels are contiguous with channels last for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from disentanglement.models.networks.convolutions import Convolution, NarrowDeconvolution
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
        """With a kernel of 2 the patches do not overlap, and a dense layer over them needs no convolution."""
        if kernel_OHWI.shape[1] == 2 and x_BHWI.device.type == "cpu":
            patches, kernel_PO = patches_of_2(x_BHWI), kernel_OHWI.flatten(1).t()
            y_NO = self.dense(patches.flatten(0, 2), kernel_PO, bias_O, activation="relu" if rectified else None)
            return y_NO.view(*patches.shape[:3], -1)
        return Convolution.run(x_BHWI, kernel_OHWI, bias_O, transposed=False, rectified=rectified)

    def deconv(self, x_BHWI: Tensor, kernel_IHWO: Tensor, bias_O: Tensor, *, rectified: bool) -> Tensor:
        """As above."""
        if kernel_IHWO.shape[3] <= NARROW and not rectified and x_BHWI.device.type == "cpu":
            return NarrowDeconvolution.run(x_BHWI, kernel_IHWO, bias_O)
        return Convolution.run(x_BHWI, kernel_IHWO, bias_O, transposed=True, rectified=rectified)


def patches_of_2(x_BHWI: Tensor) -> Tensor:
    """`[B, H / 2, W / 2, 4 I]`: squares of 2 x 2 pixels one after another."""
    batch, height, width, inputs = x_BHWI.shape
    squares = x_BHWI.reshape(batch, height // 2, 2, width // 2, 2 * inputs).transpose(2, 3)
    return squares.reshape(batch, height // 2, width // 2, 4 * inputs)


class Bf16Ops:
    """Products of bfloat16 numbers, summed in float32, over float32 weights; what leaves a network is float32 again.

    Where a device has no such products they are emulated: a float32 product of numbers that were rounded to bfloat16
    is exact, so that the results differ in nothing but the order of the sums.
    """

    def __init__(self, ops: Ops, *, emulated: bool) -> None:
        self._ops, self._emulated = ops, emulated

    def dense(self, x_BI: Tensor, kernel_IO: Tensor, bias_O: Tensor, *, activation: Activation | None) -> Tensor:
        """Affine map and activation; without activation it is the network's last, and float32."""
        y_BO = self._ops.dense(*self._rounded(x_BI, kernel_IO, bias_O), activation=activation)
        return y_BO if activation is not None else self._result(y_BO)

    def conv(self, x_BHWI: Tensor, kernel_OHWI: Tensor, bias_O: Tensor, *, rectified: bool) -> Tensor:
        """Convolution; float32 unless rectified."""
        y_BHWO = self._ops.conv(*self._rounded(x_BHWI, kernel_OHWI, bias_O), rectified=rectified)
        return y_BHWO if rectified else self._result(y_BHWO)

    def deconv(self, x_BHWI: Tensor, kernel_IHWO: Tensor, bias_O: Tensor, *, rectified: bool) -> Tensor:
        """Transposed convolution; float32 unless rectified."""
        y_BHWO = self._ops.deconv(*self._rounded(x_BHWI, kernel_IHWO, bias_O), rectified=rectified)
        return y_BHWO if rectified else self._result(y_BHWO)

    def _rounded(self, *tensors: Tensor) -> Iterator[Tensor]:
        """Values, and in the backward pass gradients, as bfloat16 has them."""
        rounded = (tensor.to(torch.bfloat16) for tensor in tensors)
        return (tensor.to(torch.float32) for tensor in rounded) if self._emulated else rounded

    def _result(self, y: Tensor) -> Tensor:
        """Float32 that holds a bfloat16, emulated or not."""
        return y.to(torch.bfloat16).to(torch.float32)


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
    """The quickest operations with which networks compute in this precision on this device.

    tf32 is a switch of the device (`models.precision`), and fp32 where there is no such switch.
    """
    return in_precision(FUSED, precision, device)


def in_precision(ops: Ops, precision: Precision, device: torch.device) -> Ops:
    """The operations in another precision."""
    return Bf16Ops(ops, emulated=not multiplies_bf16(device)) if precision == "bf16" else ops


def multiplies_bf16(device: torch.device) -> bool:
    """Whether products of bfloat16 numbers are quicker there than emulated ones.

    A processor without instructions for them is up to ninety times slower than in float32.
    """
    if device.type != "cpu":
        return True
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
