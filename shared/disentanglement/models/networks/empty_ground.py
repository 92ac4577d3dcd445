"""The first two convolutions of images that are mostly zero, computed only where they are not.

A sprite touches a quarter of the receptive fields of the second layer; everywhere else its output is what it is for
an empty image. The numbers are those of the dense layers, to rounding.

The two layers have 4 x 4 kernels, stride 2 and one pixel of padding. A *cell* is the square of 2 x 2 outputs of the
first layer that starts at its row and column 2 u - 1: it sees 6 x 6 pixels, and an output of the second layer is a
function of 2 x 2 cells. Shapes: B batch, H, W image, U = H / 4 + 1 cells in a row or column, V = U - 1 outputs of the
second layer, N cells or outputs that are not empty, O and Q channels of the two layers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from disentanglement.models.networks.architectures import Encoder
from disentanglement.models.networks.layers import Conv
from disentanglement.models.networks.network import Networks
from disentanglement.models.networks.posterior import Posterior

WORTHWHILE = 0.5
"""Above this share of cells that are not empty, the dense layers are quicker."""

Encode = Callable[[Tensor], Posterior]


def fast_encode(networks: Networks, image_shape: tuple[int, int, int], device: torch.device) -> Encode:
    """The quickest way to encode float32 images `[B, H, W, C]`; the weights must not change any more."""
    if device.type == "cpu" and image_shape[2] == 1 and starts_with_two_wide(networks.architecture.encoder):
        return EmptyGround(networks, image_shape[0]).encode
    return networks.encode


def starts_with_two_wide(encoder: Encoder) -> bool:
    """Whether the trunk begins with two 4 x 4 convolutions."""
    return all(isinstance(layer, Conv) and layer.size == 4 for layer in encoder.trunk[:2])


class EmptyGround:
    """An encoder with the kernels of its first two layers laid out for cells."""

    def __init__(self, networks: Networks, side: int) -> None:
        """For square one-channel images of `side` pixels."""
        self._networks = networks
        self._cells = side // 4 + 1
        first, second = networks.architecture.encoder.trunk[:2]
        kernel, bias = (networks.weights[variable.name].detach() for variable in first.variables())
        wide_kernel, self._bias = (networks.weights[variable.name].detach() for variable in second.variables())
        self._kernel = output_kernel(wide_kernel)
        self._cell_kernel, self._cell_bias = cell_kernel(kernel), bias.repeat(4)
        self._inside = inside(self._cells, len(bias))
        self._empty_cells = self._inside * self._cell_bias.relu()
        corners = torch.arange(self._cells - 1)[:, None] * self._cells + torch.arange(self._cells - 1)
        self._corners = corners.flatten()[:, None] + torch.tensor([0, 1, self._cells, self._cells + 1])
        self._empty_outputs = self._outputs(self._empty_cells, self._corners)

    def encode(self, images_BHWC: Tensor) -> Posterior:
        """The posterior of each image."""
        padded = functional.pad(images_BHWC[..., 0], (3, 3, 3, 3))
        present_BUU = functional.max_pool2d(padded.unsqueeze(1), 6, 4).squeeze(1)
        encoder = self._networks.architecture.encoder
        if present_BUU.count_nonzero() > WORTHWHILE * present_BUU.numel():
            return self._networks.encode(images_BHWC)
        features = self._networks.run(encoder.trunk[2:], self._second_layer(padded, present_BUU))
        return Posterior(self._networks.run((encoder.mean,), features), self._networks.run((encoder.logvar,), features))

    def _second_layer(self, padded: Tensor, present_BUU: Tensor) -> Tensor:
        """`[B, V, V, Q]`."""
        batch, outputs = len(padded), self._cells - 1
        cells_N = present_BUU.flatten().nonzero().squeeze(1)
        table = torch.cat([self._empty_cells, self._present_cells(padded, cells_N)])
        rows = torch.arange(self._cells**2).repeat(batch)
        rows.index_copy_(0, cells_N, torch.arange(self._cells**2, len(table)))
        touched_BVV = functional.max_pool2d(present_BUU.unsqueeze(1), 2, 1)
        touched_N = touched_BVV.flatten().nonzero().squeeze(1)
        image_N, output_N = touched_N // outputs**2, touched_N % outputs**2
        corners = self._corners.index_select(0, output_N) + image_N[:, None] * self._cells**2
        result = self._empty_outputs.repeat(batch, 1)
        result.index_copy_(0, touched_N, self._outputs(table, rows.index_select(0, corners.flatten())))
        return result.view(batch, outputs, outputs, -1)

    def _present_cells(self, padded: Tensor, cells_N: Tensor) -> Tensor:
        """`[N, 4 O]`: outputs of the first layer, zero outside the image, as its successor pads it."""
        image, height, width = padded.stride()
        shape = (len(padded), self._cells, self._cells, 6, 6)
        windows = padded.as_strided(shape, (image, 4 * height, 4 * width, height, width))
        image_N, cell_N = cells_N // self._cells**2, cells_N % self._cells**2
        patches = windows[image_N, cell_N // self._cells, cell_N % self._cells].view(-1, 36)
        return (
            torch.addmm(self._cell_bias, patches, self._cell_kernel).relu_().mul_(self._inside.index_select(0, cell_N))
        )

    def _outputs(self, table: Tensor, rows: Tensor) -> Tensor:
        """`[N, Q]` from four rows of cells for each output."""
        cells = table.index_select(0, rows.flatten()).view(-1, self._kernel.shape[0])
        return torch.addmm(self._bias, cells, self._kernel).relu_()


def cell_kernel(kernel_OHWI: Tensor) -> Tensor:
    """`[36, 4 O]`: from 6 x 6 pixels to the 2 x 2 outputs of a cell."""
    wide = kernel_OHWI.new_zeros(6, 6, 2, 2, len(kernel_OHWI))
    for row in (0, 1):
        for column in (0, 1):
            window = wide[2 * row : 2 * row + 4, 2 * column : 2 * column + 4, row, column]
            window.copy_(kernel_OHWI[..., 0].permute(1, 2, 0))
    return wide.view(36, -1)


def output_kernel(kernel_QHWO: Tensor) -> Tensor:
    """`[16 O, Q]`: from 2 x 2 cells of 2 x 2 outputs of the first layer to one output of the second."""
    channels, inputs = kernel_QHWO.shape[0], kernel_QHWO.shape[3]
    by_cell = kernel_QHWO.reshape(channels, 2, 2, 2, 2, inputs).permute(1, 3, 2, 4, 5, 0)
    return by_cell.reshape(16 * inputs, channels)


def inside(cells: int, channels: int) -> Tensor:
    """`[U U, 4 O]`: one where a cell's output lies in the image, zero in the padding around it."""
    edge = torch.ones(cells, 2)
    edge[0, 0] = edge[-1, 1] = 0
    mask = edge[:, None, :, None] * edge[None, :, None, :]
    return mask.reshape(cells**2, 4, 1).repeat(1, 1, channels).flatten(1)
