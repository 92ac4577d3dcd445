from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from disentanglement.models.data.images import TrainingData
from disentanglement.models.machine.precision import precision_switches
from disentanglement.models.networks.ops import (
    FUSED,
    PLAIN,
    Activation,
    Bf16Ops,
    Ops,
    in_precision,
    multiplies_bf16,
    ops_for,
)
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec

CPU = torch.device("cpu")
EMULATED, REAL = Bf16Ops(FUSED, emulated=True), Bf16Ops(PLAIN, emulated=False)
TIE = 1 + 2**-8
"""Halfway between two bfloat16 numbers, 1 and 1 + 2^-7: the even one is 1."""


WEIGHTS = torch.arange(7) - 3.0
"""What values are multiplied by, in turn, for a loss."""


def assert_equal_but_for_roundings(emulated: list[Tensor], real: list[Tensor], given: list[Tensor]) -> None:
    """The two add in other orders, so a sum near a tie is rounded to the other neighbour, 2^-7 of it away at most. That
    passes through `1 - y^2` (tanh) twice as large, and is then multiplied by a weight of the loss and by a factor."""
    largest = (WEIGHTS.max() * max(tensor.abs().max() for tensor in given)).item()
    for ours, theirs in zip(emulated, real, strict=True):
        theirs = theirs.to(torch.float32)
        atol = 2**-5 * max(1.0, largest, theirs.abs().max().item())
        torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


def values_and_gradients(run: Callable[[Tensor, Tensor, Tensor], Tensor], *inputs: Tensor) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    y = run(*leaves)
    weights = WEIGHTS[torch.arange(y.numel()) % 7].reshape(y.shape)
    return [y.detach(), *torch.autograd.grad((y.to(torch.float32) * weights).sum(), leaves)]


@pytest.mark.parametrize("ops", [EMULATED, REAL])
def test_factors_and_results_are_rounded_and_sums_are_not(ops: Ops) -> None:
    x = torch.tensor([[TIE, 1.0, 2**-5]])
    kernel, bias = torch.tensor([[1.0], [2.0], [2**-5]]), torch.tensor([TIE])
    # 1 x 1 + 1 x 2 + 2^-10 + 1 is 4 to eight bits; a factor that was not rounded would add 2^-8.
    assert ops.dense(x, kernel, bias, activation=None).item() == 4
    assert ops.dense(x, 64 * kernel, bias, activation=None).item() == 193
    assert ops.dense(torch.tensor([[TIE]]), torch.tensor([[TIE]]), torch.zeros(1), activation=None).item() == 1


@pytest.mark.parametrize("ops", [EMULATED, REAL])
def test_a_network_takes_and_gives_float32_and_its_weights_get_float32_gradients(ops: Ops) -> None:
    kernel, bias = torch.ones(3, 2, requires_grad=True), torch.ones(2, requires_grad=True)
    hidden = ops.dense(torch.ones(4, 3), kernel, bias, activation="relu")
    y = ops.dense(hidden, torch.ones(2, 2), torch.zeros(2), activation=None)
    assert y.dtype == torch.float32
    assert {gradient.dtype for gradient in torch.autograd.grad(y.sum(), [kernel, bias])} == {torch.float32}
    image, narrow = torch.ones(1, 4, 4, 2), torch.ones(2, 4, 4, 1)
    assert ops.deconv(image, narrow, torch.zeros(1), rectified=False).dtype == torch.float32
    assert ops.conv(image, torch.ones(1, 4, 4, 2), torch.zeros(1), rectified=False).dtype == torch.float32


def test_real_products_keep_hidden_activations_in_half_the_memory() -> None:
    assert REAL.dense(torch.ones(1, 1), torch.ones(1, 1), torch.ones(1), activation="relu").dtype == torch.bfloat16


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    activation=st.sampled_from(["relu", "leaky_relu", "tanh", None]),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 9)),
)
def test_emulated_layers_equal_real_ones(seed: int, activation: Activation | None, sizes: tuple[int, int, int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    batch, inputs, outputs = sizes
    given_ = [torch.randn(s, generator=generator) for s in ((batch, inputs), (inputs, outputs), (outputs,))]
    emulated, real = (
        values_and_gradients(lambda *t, ops=ops: ops.dense(*t, activation=activation), *given_)
        for ops in (EMULATED, REAL)
    )
    assert_equal_but_for_roundings(emulated, real, given_)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    is_transposed=st.booleans(),
    channels=st.tuples(st.integers(1, 6), st.integers(1, 6)),
)
def test_emulated_convolutions_equal_real_ones(seed: int, is_transposed: bool, channels: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    inputs, outputs = channels
    kernel = (inputs, 4, 4, outputs) if is_transposed else (outputs, 4, 4, inputs)
    given_ = [torch.randn(s, generator=generator) for s in ((2, 4, 4, inputs), kernel, (outputs,))]

    def run(ops: Ops) -> list[Tensor]:
        layer = ops.deconv if is_transposed else ops.conv
        return values_and_gradients(lambda x, k, b: layer(x, k, b, rectified=False), *given_)

    assert_equal_but_for_roundings(run(EMULATED), run(REAL), given_)


def test_a_precision_names_its_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ops_for("fp32", CPU) is FUSED
    assert ops_for("tf32", CPU) is FUSED
    assert in_precision(PLAIN, "tf32", torch.device("cuda")) is PLAIN
    assert isinstance(ops_for("bf16", CPU), Bf16Ops)
    for capabilities, expected in (({}, False), ({"avx512_f": True}, False), ({"avx512_bf16": True}, True)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found, raising=False)
        assert multiplies_bf16(CPU) is expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not multiplies_bf16(CPU)
    assert multiplies_bf16(torch.device("cuda"))


@pytest.mark.parametrize(("precision", "expected"), [("fp32", False), ("tf32", True), ("bf16", False)])
@pytest.mark.parametrize("before", [False, True])
def test_switches_are_set_inside_alone(precision: str, expected: bool, before: bool) -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    restored = matmul.allow_tf32, cudnn.allow_tf32

    def fail() -> None:
        with precision_switches(precision):  # type: ignore[arg-type]
            assert (matmul.allow_tf32, cudnn.allow_tf32) == (expected, expected)
            raise KeyError

    try:
        matmul.allow_tf32 = cudnn.allow_tf32 = before
        with pytest.raises(KeyError):
            fail()
        assert (matmul.allow_tf32, cudnn.allow_tf32) == (before, before)
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = restored


def test_losses_agree_within_the_spread_over_seeds() -> None:
    pixels = np.zeros((256, 64, 64, 1), np.uint8)
    for point in range(256):
        row, column = divmod(point, 16)
        pixels[point, 3 * row : 3 * row + 12, 3 * column : 3 * column + 12] = 255

    def last_loss(precision: str, seed: int) -> float:
        spec = TrainSpec.model_validate(
            {
                "dataset": "dsprites_full",
                "objective": {"beta_vae": {"beta": 1.0}},
                "precision": precision,
                "random_seed": seed,
                "batch_size": 16,
                "optimizer": {"adam": {"learning_rate": 1e-3}},
            }
        )
        training = Training(spec, TrainingData(pixels))
        training.advance(30)
        training.read_terms()
        training.advance(10)
        return training.read_terms().loss

    exact = [last_loss("fp32", seed) for seed in range(3)]
    rounded = [last_loss("bf16", seed) for seed in range(3)]
    differences = [abs(a - b) for a, b in zip(exact, rounded, strict=True)]
    assert max(differences) > 0
    assert statistics.mean(rounded) == pytest.approx(statistics.mean(exact), abs=max(exact) - min(exact))
