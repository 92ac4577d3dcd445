from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from disentanglement.models.networks.ops import FUSED, PLAIN, Ops, patches_of_2


def tensors(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def apply(ops: Ops, layer: str, inputs: list[Tensor], *, rectified: bool) -> Tensor:
    return ops.deconv(*inputs, rectified=rectified) if layer == "deconv" else ops.conv(*inputs, rectified=rectified)


def value_and_gradients(ops: Ops, layer: str, inputs: list[Tensor], *, rectified: bool) -> list[Tensor]:
    y = apply(ops, layer, inputs, rectified=rectified)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    # A tanh in between, so that the gradient that comes in is not the very tensor of the weights.
    return [y.detach().clone(), *torch.autograd.grad((torch.tanh(y) * weights).sum(), inputs)]


def kernel_shape(layer: str, size: int, inputs: int, outputs: int) -> tuple[int, int, int, int]:
    return (inputs, size, size, outputs) if layer == "deconv" else (outputs, size, size, inputs)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    layer_and_size=st.sampled_from([("conv", 4), ("conv", 2), ("deconv", 4)]),
    batch=st.integers(1, 9),
    sides=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    channels=st.tuples(st.sampled_from([1, 2, 3, 5, 16, 32]), st.sampled_from([1, 3, 4, 5, 16, 33])),
    rectified=st.booleans(),
)
def test_fused_layers_have_the_values_and_gradients_of_plain_ones(
    seed: int,
    layer_and_size: tuple[str, int],
    batch: int,
    sides: tuple[int, int],
    channels: tuple[int, int],
    rectified: bool,
) -> None:
    layer, size = layer_and_size
    height, width = (2 * side for side in sides)
    inputs = tensors(seed, (batch, height, width, channels[0]), kernel_shape(layer, size, *channels), (channels[1],))
    plain, fused, again = (
        value_and_gradients(ops, layer, inputs, rectified=rectified) for ops in (PLAIN, FUSED, FUSED)
    )
    for one, other, same in zip(plain, fused, again, strict=True):
        scale = max(1.0, float(one.abs().max()))
        torch.testing.assert_close(other, one, rtol=1e-5, atol=2e-5 * scale)
        assert torch.equal(other, same)


def test_a_convolution_by_hand() -> None:
    image = torch.arange(16.0).view(1, 4, 4, 1)
    ones, bias = torch.ones(1, 4, 4, 1), torch.tensor([0.5])
    for ops in (PLAIN, FUSED):
        # Each output sums the 3 x 3 pixels of its 4 x 4 window that lie in the image.
        assert ops.conv(image, ones, bias, rectified=False).flatten().tolist() == [45.5, 54.5, 81.5, 90.5]
        # The squares of 2 x 2 pixels, weighted 1, -1, 0, 0: left minus right of the upper row.
        kernel = torch.tensor([1.0, -1.0, 0.0, 0.0]).view(1, 2, 2, 1)
        assert ops.conv(image, kernel, bias, rectified=False).flatten().tolist() == [-0.5] * 4
        assert ops.conv(image, kernel, bias, rectified=True).flatten().tolist() == [0.0] * 4


def test_a_transposed_convolution_by_hand() -> None:
    kernel, bias = torch.arange(16.0).view(1, 4, 4, 1), torch.zeros(1)
    for ops in (PLAIN, FUSED):
        # One pixel paints its 4 x 4 patch, of which the image keeps what lies inside: rows and columns 1 and 2.
        one = ops.deconv(torch.ones(1, 1, 1, 1), kernel, bias, rectified=False)
        assert one.flatten().tolist() == [5, 6, 9, 10]
        # Of two pixels side by side the patches overlap in two columns.
        two = ops.deconv(torch.ones(1, 1, 2, 1), kernel, bias, rectified=False)
        assert two.flatten().tolist() == [5, 6 + 4, 7 + 5, 6, 9, 10 + 8, 11 + 9, 10]


def test_squares_come_in_the_order_of_the_kernel() -> None:
    image = torch.arange(8.0).view(1, 2, 4, 1)
    assert patches_of_2(image).tolist() == [[[[0, 1, 4, 5], [2, 3, 6, 7]]]]


@pytest.mark.parametrize("layer", ["conv", "deconv"])
def test_images_need_no_gradient(layer: str) -> None:
    image, kernel, bias = tensors(0, (2, 4, 4, 3), kernel_shape(layer, 4, 3, 3), (3,))
    of_kernel = []
    for wants in (True, False):
        y = apply(FUSED, layer, [image.detach().requires_grad_(wants), kernel, bias], rectified=True)
        of_kernel.append(torch.autograd.grad(y.square().sum(), kernel)[0])
    assert torch.equal(*of_kernel)
