"""Convolutions with their gradients written out, where that saves passes over memory.

Shapes: B batch, H, W image, I channels in, O channels out; channels last throughout.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

STRIDE = [2, 2]
ONES = [1, 1]
ZEROS = [0, 0]


class Convolution(torch.autograd.Function):
    """(Transposed) convolution of stride 2 and its rectifier as one operation.

    The rectifier works in place, and its gradient overwrites the gradient that comes in: whoever consumes the output
    must be alone in that, as the next layer of a chain is. The bias' gradient is a plain sum, which is quicker here
    than asking the convolution for it.
    """

    @staticmethod
    def run(x_BHWI: Tensor, kernel: Tensor, bias_O: Tensor, *, transposed: bool, rectified: bool) -> Tensor:
        """The output, channels last; `kernel` is `[O, h, w, I]`, or `[I, h, w, O]` when transposed."""
        arguments = (x_BHWI.permute(0, 3, 1, 2), kernel.permute(0, 3, 1, 2), bias_O, transposed, rectified)
        return cast(Tensor, Convolution.apply(*arguments)).permute(0, 2, 3, 1)

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor, transposed: bool, rectified: bool) -> Tensor:
        """Channels first in shape, channels last in memory."""
        padding = [kernel.shape[2] // 2 - 1] * 2
        y = torch.ops.aten.convolution(x, kernel, bias, STRIDE, padding, ONES, transposed, ZEROS, 1)
        ctx.save_for_backward(x, kernel, y.relu_() if rectified else None)
        ctx.padding, ctx.transposed = padding, transposed
        return cast(Tensor, y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Of input, kernel and bias."""
        x, kernel, rectified = ctx.saved_tensors
        if rectified is not None:
            gradient = rectify(gradient, rectified)
        wanted = [ctx.needs_input_grad[0], True, False]
        of_x, of_kernel, _ = torch.ops.aten.convolution_backward(
            gradient, x, kernel, None, STRIDE, ctx.padding, ONES, ctx.transposed, ZEROS, 1, wanted
        )
        return of_x, of_kernel, gradient.sum((0, 2, 3)), None, None


def rectify(gradient: Tensor, output: Tensor) -> Tensor:
    """The gradient where the rectifier's output is positive, in place where the memory allows it."""
    if not gradient.is_contiguous(memory_format=torch.channels_last):
        return gradient * (output > 0)
    torch.ops.aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)
    return gradient


class NarrowDeconvolution(torch.autograd.Function):
    """Transposed 4 x 4 convolution to few channels: one matrix product, whose 4 x 4 patches are then added up."""

    @staticmethod
    def run(x_BHWI: Tensor, kernel_IHWO: Tensor, bias_O: Tensor) -> Tensor:
        """`[B, 2 H, 2 W, O]`."""
        return cast(Tensor, NarrowDeconvolution.apply(x_BHWI, kernel_IHWO, bias_O))

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """Channels last in shape and memory."""
        ctx.save_for_backward(x, kernel)
        batch, height, width, inputs = x.shape
        outputs = kernel.shape[3]
        patches = (x.reshape(-1, inputs) @ kernel.view(inputs, -1)).view(batch, height, width, 4, 4, outputs)
        rows = overlap_add(patches.transpose(2, 3)).view(batch * 2 * height, width, 4, outputs)
        return overlap_add(rows).view(batch, 2 * height, 2 * width, outputs).add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Of input, kernel and bias."""
        x, kernel = ctx.saved_tensors
        first = (tensor.permute(0, 3, 1, 2) for tensor in (gradient, x, kernel))
        wanted = [ctx.needs_input_grad[0], True, False]
        of_x, of_kernel, _ = torch.ops.aten.convolution_backward(
            *first, None, STRIDE, ONES, ONES, True, ZEROS, 1, wanted
        )
        of_x = None if of_x is None else of_x.permute(0, 2, 3, 1)
        return of_x, of_kernel.permute(0, 2, 3, 1), gradient.sum((0, 1, 2))


def overlap_add(patches: Tensor) -> Tensor:
    """`[L, n, 4, ...]` to `[L, n, 2, ...]`: patch i covers positions 2 i - 1 to 2 i + 2; what is outside is lost."""
    summed = patches[:, :, 1:3].contiguous()
    summed[:, 1:, 0] += patches[:, :-1, 3]
    summed[:, :-1, 1] += patches[:, 1:, 0]
    return summed
