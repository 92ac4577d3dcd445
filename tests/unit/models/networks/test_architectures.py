from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from disentanglement.errors import SpecError
from disentanglement.models.networks.architectures import architecture, discriminator
from disentanglement.models.networks.layers import Layer, Reshape
from disentanglement.models.networks.network import Networks
from disentanglement.models.networks.ops import FUSED, PLAIN
from disentanglement.specs.networks import ArchitectureSpec, DiscriminatorSpec

STUDY = ArchitectureSpec()


FULLY_CONNECTED = ArchitectureSpec.model_validate({"encoder": "fc_encoder", "decoder": "fc_decoder"})
TEST = ArchitectureSpec.model_validate({"encoder": "test_encoder", "decoder": "test_decoder"})
FC_DISCRIMINATOR = DiscriminatorSpec.model_validate("fc_discriminator")
NAMES_OF_LAYERS = ("d1", "d2", "d3", "d4", "d5", "d6", "logits")


def num_weights(layers: Iterable[Layer]) -> int:
    return sum(math.prod(variable.shape) for layer in layers for variable in layer.variables())


# For the test networks: two heads of 10 on the pixels, and one map back.
@pytest.mark.parametrize(
    ("spec", "channels", "encoder", "decoder"),
    [
        (STUDY, 1, 309_204, 381_313),
        (STUDY, 3, 310_228, 382_339),
        (FULLY_CONNECTED, 1, 6_381_620, 7_814_896),
        (FULLY_CONNECTED, 3, 16_212_020, 17_653_488),
        (TEST, 1, 2 * 4097 * 10, 11 * 4096),
        (TEST, 3, 2 * 12289 * 10, 11 * 12288),
    ],
)
def test_networks_have_as_many_weights_as_the_reference(
    spec: ArchitectureSpec, channels: int, encoder: int, decoder: int
) -> None:
    networks = architecture(spec, (64, 64, channels))
    assert (num_weights(networks.encoder.layers), num_weights(networks.decoder.layers)) == (encoder, decoder)


def test_the_discriminator_has_as_many_weights_as_the_reference() -> None:
    layers = discriminator(FC_DISCRIMINATOR, num_latent=10)
    assert num_weights(layers) == 5_018_002
    names = [variable.name for layer in layers for variable in layer.variables()]
    assert names == [f"discriminator.{n}.{kind}" for n in NAMES_OF_LAYERS for kind in ("kernel", "bias")]


def test_the_discriminators_rectifiers_leak_a_fifth() -> None:
    layers = discriminator(FC_DISCRIMINATOR, num_latent=1)[:1]
    weights = {"discriminator.d1.kernel": torch.ones(1, 1000), "discriminator.d1.bias": torch.zeros(1000)}
    networks = Networks(architecture(TEST, (64, 64, 1)), weights)
    assert networks.run(layers, torch.tensor([[-1.0], [2.0]]))[:, 7].tolist() == pytest.approx([-0.2, 2.0])


@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3), st.integers(1, 12))
def test_networks_of_dense_layers_take_images_of_any_size(height: int, width: int, channels: int, latents: int) -> None:
    spec = TEST.replace(num_latent=latents)
    networks = architecture(spec, (height, width, channels))
    run = Networks(networks, networks.initial_weights(0))
    images = torch.rand(2, height, width, channels)
    posterior, codes, outputs = run.autoencode(images, torch.zeros(2, latents))
    assert (posterior.logvar_BZ.shape, codes.shape, outputs.shape) == ((2, latents), (2, latents), images.shape)
    torch.testing.assert_close(codes, images.flatten(1) @ run.weights["encoder.means.kernel"])


def test_images_are_flattened_with_channels_last() -> None:
    networks = architecture(TEST.replace(num_latent=1), (1, 2, 3))
    kernel = torch.tensor([[1.0], [10], [100], [1000], [10_000], [100_000]])
    weights = networks.initial_weights(0) | {"encoder.means.kernel": kernel}
    image = torch.tensor([[[[1.0, 2, 3], [4, 5, 6]]]])  # two pixels of three channels
    assert Networks(networks, weights).encode(image).mean_BZ.item() == 654_321


@pytest.mark.parametrize("before", [(64,), (4, 16), (2, 2, 16)])
def test_reshaping_leaves_the_leading_axes_alone(before: tuple[int, ...]) -> None:
    x = torch.arange(3 * 5 * 64).reshape(3, 5, *before)
    reshaped = Reshape(before, (8, 8)).apply(x, {}, PLAIN)
    assert torch.equal(reshaped, x.reshape(3, 5, 8, 8))


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
