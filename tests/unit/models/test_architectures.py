from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from disentanglement.errors import NotBuiltYet, SpecError
from disentanglement.models.architectures import architecture
from disentanglement.models.networks import Networks
from disentanglement.models.ops import FUSED, PLAIN
from disentanglement.specs.networks import ArchitectureSpec

STUDY = ArchitectureSpec()


@pytest.mark.parametrize(("channels", "encoder", "decoder"), [(1, 309_204, 381_313), (3, 310_228, 382_339)])
def test_networks_have_as_many_weights_as_the_reference(channels: int, encoder: int, decoder: int) -> None:
    counts = {"encoder": 0, "decoder": 0}
    for variable in architecture(STUDY, (64, 64, channels)).variables():
        counts[variable.name.split(".")[0]] += math.prod(variable.shape)
    assert counts == {"encoder": encoder, "decoder": decoder}


# sqrt(6 / (fan_in + fan_out)): a convolution's fans count its window.
@pytest.mark.parametrize(
    ("name", "fans"),
    [
        ("encoder.e2", 16 * 64),
        ("encoder.e3", 4 * 96),
        ("encoder.e5", 1280),
        ("decoder.d2", 1280),
        ("decoder.d4", 16 * 96),
    ],
)
def test_kernels_start_uniform_within_glorots_bound(name: str, fans: int) -> None:
    kernel, bound = architecture(STUDY, (64, 64, 1)).initial_weights(0)[f"{name}.kernel"], math.sqrt(6 / fans)
    assert 0.99 * bound < kernel.abs().max() <= bound
    assert kernel.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert kernel.mean().item() == pytest.approx(0, abs=0.05 * bound)


def test_biases_start_at_zero() -> None:
    weights = architecture(STUDY, (64, 64, 1)).initial_weights(0)
    assert all(not w.any() for name, w in weights.items() if name.endswith(".bias"))


def test_initial_weights_are_a_function_of_the_seed_and_differ_between_variables() -> None:
    networks = architecture(STUDY, (64, 64, 1))
    first, again, other = (networks.initial_weights(seed) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["encoder.e5.kernel"], other["encoder.e5.kernel"])
    assert not torch.equal(first["encoder.means.kernel"], first["encoder.log_var.kernel"])


def test_an_image_of_another_size_is_refused_before_any_work() -> None:
    with pytest.raises(SpecError, match="64 x 64"):
        architecture(STUDY, (32, 32, 1))


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"encoder": "fc_encoder"}, "encoder.fc_encoder"), ({"decoder": "fc_decoder"}, "decoder.fc_decoder")],
)
def test_networks_that_are_not_built_yet_are_refused_by_name(changes: dict[str, str], name: str) -> None:
    with pytest.raises(NotBuiltYet, match=name):
        architecture(ArchitectureSpec.model_validate(changes), (64, 64, 1))


@pytest.mark.parametrize("channels", [1, 3])
def test_fused_operations_agree_with_plain_ones_in_value_and_gradient(channels: int) -> None:
    networks = architecture(STUDY, (64, 64, channels))
    weights = networks.initial_weights(0)
    for name, w in weights.items():
        (w.add_(0.01) if name.endswith(".bias") else w).requires_grad_()
    images = torch.rand(3, 64, 64, channels, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(3, 10, generator=torch.Generator().manual_seed(1))

    def run(with_fused: bool) -> tuple[Tensor, ...]:
        posterior, _, outputs = Networks(networks, weights, FUSED if with_fused else PLAIN).autoencode(images, noise)
        loss = outputs.square().mean() + posterior.mean_BZ.square().sum() + posterior.logvar_BZ.exp().sum()
        return outputs, posterior.mean_BZ, *torch.autograd.grad(loss, list(weights.values()))

    for fused, plain in zip(run(True), run(False), strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-5 * plain.abs().max().item())


def test_the_gradient_of_a_summed_output_may_be_a_broadcast_view() -> None:
    x = torch.rand(2, 4, 4, 8, requires_grad=True)
    kernel, bias = torch.rand(8, 4, 4, 8) - 0.5, torch.zeros(8)
    gradients = []
    for ops in (FUSED, PLAIN):
        k, b = kernel.clone().requires_grad_(), bias.clone().requires_grad_()
        gradients.append(torch.autograd.grad(ops.conv(x, k, b, rectified=True).sum(), (x, k, b)))
    for fused, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(fused, plain)
