"""The few operations that networks are made of, behind a protocol, so that another implementation can take over.

Shapes: B batch, H height, W width, I channels in, O channels out. Images lie in memory as they are stored, channels
last, which is also what the CPU's kernels want; kernels are contiguous with channels last for the same reason.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Ops(Protocol):
    """What a network needs. Every convolution halves, every transposed convolution doubles height and width."""

    def dense(self, x_BI: Tensor, kernel_IO: Tensor, bias_O: Tensor) -> Tensor:
        """Affine map, `[B, O]`."""
        ...

    def conv(self, x_BHWI: Tensor, kernel_OHWI: Tensor, bias_O: Tensor) -> Tensor:
        """Convolution with stride 2 and "same" padding, `[B, H / 2, W / 2, O]`."""
        ...

    def deconv(self, x_BHWI: Tensor, kernel_IHWO: Tensor, bias_O: Tensor) -> Tensor:
        """Transposed convolution with a 4 x 4 kernel, stride 2 and "same" padding, `[B, 2 H, 2 W, O]`."""
        ...

    def relu(self, x: Tensor) -> Tensor:
        """Rectifier; may overwrite its input."""
        ...


class EagerOps:
    """PyTorch's own kernels."""

    def dense(self, x_BI: Tensor, kernel_IO: Tensor, bias_O: Tensor) -> Tensor:
        """Affine map."""
        return torch.addmm(bias_O, x_BI, kernel_IO)

    def conv(self, x_BHWI: Tensor, kernel_OHWI: Tensor, bias_O: Tensor) -> Tensor:
        """A kernel of 4 needs one pixel of padding on each side, a kernel of 2 none."""
        padding = kernel_OHWI.shape[1] // 2 - 1
        x_BIHW, kernel_OIHW = x_BHWI.permute(0, 3, 1, 2), kernel_OHWI.permute(0, 3, 1, 2)
        return F.conv2d(x_BIHW, kernel_OIHW, bias_O, stride=2, padding=padding).permute(0, 2, 3, 1)

    def deconv(self, x_BHWI: Tensor, kernel_IHWO: Tensor, bias_O: Tensor) -> Tensor:
        """The gradient of `conv` with a kernel of 4."""
        x_BIHW, kernel_IOHW = x_BHWI.permute(0, 3, 1, 2), kernel_IHWO.permute(0, 3, 1, 2)
        return F.conv_transpose2d(x_BIHW, kernel_IOHW, bias_O, stride=2, padding=1).permute(0, 2, 3, 1)

    def relu(self, x: Tensor) -> Tensor:
        """In place: none of the operations above needs its own output for its gradient."""
        return F.relu_(x)


EAGER: Ops = EagerOps()
