"""The networks' operations for K models of one architecture at once.

The weights of all models lie in one tensor `[K, ...]`, and their activations one after another along the batch axis,
`[K B, ...]`: whatever treats each example by itself (a reshape, an activation) needs no change. No number of one
model enters a sum of another, so what is not finite stays with its model.

Shapes: K models, B batch, N = K B, H height, W width, I channels in, O channels out.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from disentanglement.models.networks.convolutions import overlap_add
from disentanglement.models.networks.ops import Activation, Ops, activated


class MatmulOps:
    """Everything as batched matrix products: convolutions over patches, transposed ones into overlapping patches."""

    def dense(self, x_NI: Tensor, kernel_KIO: Tensor, bias_KO: Tensor, *, activation: Activation | None) -> Tensor:
        """Affine map, `[N, O]`."""
        x_KBI = x_NI.reshape(len(kernel_KIO), -1, x_NI.shape[1])
        y_KBO = torch.baddbmm(bias_KO[:, None], x_KBI, kernel_KIO)
        return activated(y_KBO.flatten(0, 1), activation)

    def conv(self, x_NHWI: Tensor, kernel_KOHWI: Tensor, bias_KO: Tensor, *, rectified: bool) -> Tensor:
        """`[N, H / 2, W / 2, O]`."""
        patches = cast(Tensor, Patches.apply(x_NHWI)) if kernel_KOHWI.shape[2] == 4 else blocks(x_NHWI)
        kernel_KPO = kernel_KOHWI.flatten(2).transpose(1, 2)
        y_KPO = torch.baddbmm(bias_KO[:, None], patches.view(len(kernel_KOHWI), -1, kernel_KPO.shape[1]), kernel_KPO)
        y_NHWO = y_KPO.view(*patches.shape[:3], -1)
        return y_NHWO.relu_() if rectified else y_NHWO

    def deconv(self, x_NHWI: Tensor, kernel_KIHWO: Tensor, bias_KO: Tensor, *, rectified: bool) -> Tensor:
        """`[N, 2 H, 2 W, O]`."""
        models, inputs, outputs = len(kernel_KIHWO), x_NHWI.shape[3], kernel_KIHWO.shape[4]
        patches = torch.bmm(x_NHWI.reshape(models, -1, inputs), kernel_KIHWO.flatten(2))
        summed = cast(Tensor, Overlap.apply(patches.view(*x_NHWI.shape[:3], 4, 4, outputs)))
        y_NHWO = (summed.view(models, -1, outputs) + bias_KO[:, None]).view_as(summed)
        return y_NHWO.relu_() if rectified else y_NHWO


class GroupedOps(MatmulOps):
    """Convolutions in K groups of channels, as `vmap` over PyTorch's convolutions would write them."""

    def conv(self, x_NHWI: Tensor, kernel_KOHWI: Tensor, bias_KO: Tensor, *, rectified: bool) -> Tensor:
        """`[N, H / 2, W / 2, O]`."""
        models, padding = len(kernel_KOHWI), kernel_KOHWI.shape[2] // 2 - 1
        kernel = kernel_KOHWI.flatten(0, 1).permute(0, 3, 1, 2)
        y = functional.conv2d(side_by_side(x_NHWI, models), kernel, bias_KO.flatten(), 2, padding, groups=models)
        y_NHWO = one_after_another(y, models)
        return functional.relu(y_NHWO) if rectified else y_NHWO

    def deconv(self, x_NHWI: Tensor, kernel_KIHWO: Tensor, bias_KO: Tensor, *, rectified: bool) -> Tensor:
        """`[N, 2 H, 2 W, O]`."""
        models = len(kernel_KIHWO)
        kernel = kernel_KIHWO.flatten(0, 1).permute(0, 3, 1, 2)
        x = side_by_side(x_NHWI, models)
        y = functional.conv_transpose2d(x, kernel, bias_KO.flatten(), 2, 1, groups=models)
        y_NHWO = one_after_another(y, models)
        return functional.relu(y_NHWO) if rectified else y_NHWO


def side_by_side(x_NHWI: Tensor, models: int) -> Tensor:
    """`[B, K I, H, W]`, channels last in memory: the models' channels beside one another."""
    x_KBHWI = x_NHWI.reshape(models, -1, *x_NHWI.shape[1:])
    return x_KBHWI.permute(1, 2, 3, 0, 4).flatten(3).permute(0, 3, 1, 2)


def one_after_another(y_BCHW: Tensor, models: int) -> Tensor:
    """The inverse: `[N, H, W, O]` of `[B, K O, H, W]`."""
    y_BHWC = y_BCHW.permute(0, 2, 3, 1)
    y_BHWKO = y_BHWC.reshape(*y_BHWC.shape[:3], models, -1)
    return y_BHWKO.permute(3, 0, 1, 2, 4).flatten(0, 1)


class Patches(torch.autograd.Function):
    """The 4 x 4 patches that a convolution of stride 2 with one pixel of padding sees: the adjoint of `Overlap`."""

    @staticmethod
    def forward(ctx: Any, x_NHWI: Tensor) -> Tensor:
        """`[N, H / 2, W / 2, 4, 4, I]`."""
        return patches_of(x_NHWI)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Of the image: patches added up where they overlap."""
        return overlapped(gradient)


class Overlap(torch.autograd.Function):
    """Adds up 4 x 4 patches two pixels apart, as a transposed convolution does: the adjoint of `Patches`."""

    @staticmethod
    def forward(ctx: Any, patches_NHW44O: Tensor) -> Tensor:
        """`[N, 2 H, 2 W, O]`."""
        return overlapped(patches_NHW44O)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Of the patches."""
        return patches_of(gradient)


def patches_of(x_NHWI: Tensor) -> Tensor:
    """`[N, H / 2, W / 2, 4, 4, I]`: patch i covers rows (and columns) 2 i - 1 to 2 i + 2."""
    examples, height, width, inputs = x_NHWI.shape
    padded = functional.pad(x_NHWI, (0, 0, 1, 1, 1, 1)).contiguous()
    example, row, column, channel = padded.stride()
    shape = (examples, height // 2, width // 2, 4, 4, inputs)
    return padded.as_strided(shape, (example, 2 * row, 2 * column, row, column, channel)).contiguous()


def overlapped(patches_NHW44O: Tensor) -> Tensor:
    """`[N, 2 H, 2 W, O]`."""
    examples, height, width, _, _, outputs = patches_NHW44O.shape
    rows = overlap_add(patches_NHW44O.transpose(2, 3)).view(examples * 2 * height, width, 4, outputs)
    return overlap_add(rows).view(examples, 2 * height, 2 * width, outputs)


def blocks(x_NHWI: Tensor) -> Tensor:
    """`[N, H / 2, W / 2, 2, 2, I]`: what a 2 x 2 convolution of stride 2 sees, which does not overlap."""
    examples, height, width, inputs = x_NHWI.shape
    by_block = x_NHWI.reshape(examples, height // 2, 2, width // 2, 2, inputs).transpose(2, 3)
    return by_block.contiguous()


def stacked_ops(device: torch.device) -> Ops:
    """The operations for K models at once that suit a device best.

    On CUDA matrix products keep the tensor cores busy at every size, while grouped convolutions fall back to slow
    kernels where a group has few channels (1 and 32 here); that is the vendors' documentation and not yet a
    measurement of ours (`make bench-gpu` makes it). On a CPU neither beats one model after another, see `packs.md`
    beside this file; there grouped convolutions copy less.
    """
    return MATMUL if device.type == "cuda" else GROUPED


MATMUL: Ops = MatmulOps()
GROUPED: Ops = GroupedOps()
