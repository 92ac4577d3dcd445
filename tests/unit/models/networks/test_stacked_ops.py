"""K models at once compute what each computes alone, and keep what is not finite to themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from disentanglement.models.networks.architectures import architecture
from disentanglement.models.networks.network import Networks
from disentanglement.models.networks.ops import PLAIN, Activation, Ops
from disentanglement.models.networks.stacked_ops import GROUPED, MATMUL, overlapped, patches_of, stacked_ops
from disentanglement.specs.networks import ArchitectureSpec

BOTH = pytest.mark.parametrize("ops", [MATMUL, GROUPED], ids=["matmul", "grouped"])
Run = Callable[[Ops, Tensor, Tensor, Tensor], Tensor]

RUNS: dict[str, Run] = {
    "dense": lambda ops, x, kernel, bias: ops.dense(x, kernel, bias, activation="tanh"),
    "conv4": lambda ops, x, kernel, bias: ops.conv(x, kernel, bias, rectified=True),
    "conv2": lambda ops, x, kernel, bias: ops.conv(x, kernel, bias, rectified=False),
    "deconv": lambda ops, x, kernel, bias: ops.deconv(x, kernel, bias, rectified=True),
    "last_deconv": lambda ops, x, kernel, bias: ops.deconv(x, kernel, bias, rectified=False),
}
EVERY_OPERATION = pytest.mark.parametrize("name", RUNS)


def inputs(name: str, models: int, batch: int = 2, ins: int = 3, outs: int = 2, side: int = 4) -> list[Tensor]:
    """Input, kernel and bias of K models, `[K, ...]`, in double precision."""
    torch.manual_seed(0)
    image, kernel = (side, side, ins), (outs, 4, 4, ins)
    match name:
        case "dense":
            image, kernel = (ins,), (ins, outs)  # type: ignore[assignment]
        case "conv2":
            kernel = (outs, 2, 2, ins)
        case "deconv" | "last_deconv":
            kernel = (ins, 4, 4, outs)
    shapes = ((models, batch, *image), (models, *kernel), (models, outs))
    return [torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in shapes]


def stacked(run: Run, ops: Ops, tensors: list[Tensor]) -> list[Tensor]:
    """Output `[K, B, ...]` and gradients of a sum that weighs every output differently."""
    x, kernel, bias = tensors
    y = run(ops, x.flatten(0, 1), kernel, bias)
    y = y.view(*x.shape[:2], *y.shape[1:])
    return [y, *torch.autograd.grad((y * weights_like(y[0])).sum(), tensors)]


def one_by_one(run: Run, tensors: list[Tensor]) -> list[Tensor]:
    """The same from the plain operations, model by model."""
    found = []
    for member in range(len(tensors[0])):
        own = [tensor[member].detach().requires_grad_() for tensor in tensors]
        y = run(PLAIN, *own)
        found.append([y, *torch.autograd.grad((y * weights_like(y)).sum(), own)])
    return [torch.stack(values) for values in zip(*found, strict=True)]


def weights_like(y: Tensor) -> Tensor:
    return torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view_as(y)


@BOTH
def test_two_dense_layers_worked_out_by_hand(ops: Ops) -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])  # one example for each of two models
    kernel = torch.tensor([[[1.0], [1.0]], [[1.0], [-1.0]]])
    y = ops.dense(x, kernel, torch.tensor([[0.5], [0.5]]), activation="relu")
    assert y.tolist() == [[3.5], [0.0]]


@BOTH
def test_two_convolutions_worked_out_by_hand(ops: Ops) -> None:
    x = torch.arange(8.0).view(2, 2, 2, 1)  # pixels 0 to 3 and 4 to 7
    kernel = torch.ones(2, 1, 4, 4, 1)
    kernel[1] = 2  # the only patch covers the image and a border of zeros
    y = ops.conv(x, kernel, torch.tensor([[0.0], [1.0]]), rectified=True)
    assert y.flatten().tolist() == [0 + 1 + 2 + 3, 2 * (4 + 5 + 6 + 7) + 1]


@EVERY_OPERATION
@BOTH
@settings(max_examples=20)
@given(
    models=st.integers(1, 4),
    batch=st.integers(1, 3),
    ins=st.integers(1, 3),
    outs=st.integers(1, 3),
    half=st.integers(1, 3),
)
def test_values_and_gradients_are_those_of_every_model_alone(
    ops: Ops, name: str, models: int, batch: int, ins: int, outs: int, half: int
) -> None:
    tensors = inputs(name, models, batch, ins, outs, 2 * half)
    for together, alone in zip(stacked(RUNS[name], ops, tensors), one_by_one(RUNS[name], tensors), strict=True):
        torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


@EVERY_OPERATION
@BOTH
@pytest.mark.parametrize("poisoned", [0, 1], ids=["input", "kernel"])
def test_a_model_that_is_not_finite_leaves_the_bits_of_the_others_alone(ops: Ops, name: str, poisoned: int) -> None:
    tensors = inputs(name, models=3)
    before = stacked(RUNS[name], ops, tensors)
    with torch.no_grad():
        tensors[poisoned][1] = float("nan")
    after = stacked(RUNS[name], ops, tensors)
    assert after[0][1].isnan().any()
    for healthy in (0, 2):
        assert all(torch.equal(one[healthy], other[healthy]) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", None])
def test_every_activation_is_that_of_a_model_alone(activation: Activation | None) -> None:
    x, kernel, bias = (tensor.detach() for tensor in inputs("dense", models=2))
    together = MATMUL.dense(x.flatten(0, 1), kernel, bias, activation=activation).view(2, 2, -1)
    for member in range(2):
        alone = PLAIN.dense(x[member], kernel[member], bias[member], activation=activation)
        torch.testing.assert_close(together[member], alone)


@given(batch=st.integers(1, 2), rows=st.integers(1, 3), columns=st.integers(1, 3), channels=st.integers(1, 2))
def test_taking_patches_is_the_adjoint_of_adding_them_up(batch: int, rows: int, columns: int, channels: int) -> None:
    torch.manual_seed(1)
    x = torch.randn(batch, 2 * rows, 2 * columns, channels, dtype=torch.float64)
    patches = torch.randn(batch, rows, columns, 4, 4, channels, dtype=torch.float64)
    assert (patches_of(x) * patches).sum().item() == pytest.approx((x * overlapped(patches)).sum().item())


@BOTH
def test_whole_networks_of_several_models_at_once(ops: Ops) -> None:
    networks = architecture(ArchitectureSpec(), (64, 64, 1))
    initial = [networks.initial_weights(seed) for seed in range(2)]
    weights = {name: torch.stack([own[name] for own in initial]) for name in initial[0]}
    torch.manual_seed(2)
    images, noise = torch.rand(4, 64, 64, 1), torch.randn(4, 10)
    posterior, codes, outputs = Networks(networks, weights, ops).autoencode(images, noise)
    for member, own in enumerate(initial):
        mine = slice(2 * member, 2 * member + 2)
        alone = Networks(networks, own, PLAIN).autoencode(images[mine], noise[mine])
        torch.testing.assert_close(posterior.logvar_BZ[mine], alone[0].logvar_BZ)
        torch.testing.assert_close(codes[mine], alone[1])
        torch.testing.assert_close(outputs[mine], alone[2])


def test_every_device_has_its_way() -> None:
    assert stacked_ops(torch.device("cuda", 0)) is MATMUL
    assert stacked_ops(torch.device("cpu")) is GROUPED
