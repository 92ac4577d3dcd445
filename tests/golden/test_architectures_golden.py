"""The reference's networks, reproduced with the same weights: every recorded output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_weights import Arrays, arrays, reference_weights, tensor, values

from disentanglement.models.networks.architectures import Architecture, architecture, discriminator
from disentanglement.models.networks.network import Networks
from disentanglement.models.networks.ops import FUSED, PLAIN, Ops
from disentanglement.specs.networks import ArchitectureSpec, DiscriminatorSpec

KINDS = ("mean", "logvar")
OPERATIONS = pytest.mark.parametrize("ops", [pytest.param(PLAIN, id="plain"), pytest.param(FUSED, id="fused")])


@pytest.fixture(scope="module")
def golden() -> Arrays:
    return arrays("models/architectures")


def built(channels: int, **networks: str) -> Architecture:
    return architecture(ArchitectureSpec.model_validate(networks), (64, 64, channels))


def weights_of(network: str) -> dict[str, Any]:
    return reference_weights(values("models/architectures")["variables"][network])


@OPERATIONS
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("encoder", ["conv_encoder", "fc_encoder"])
def test_encoders_give_the_mean_and_log_variance_of_the_reference(
    encoder: str, channels: int, ops: Ops, golden: Arrays
) -> None:
    networks = Networks(built(channels, encoder=encoder), weights_of(f"{encoder}_c{channels}"), ops)
    posterior = networks.encode(tensor(golden[f"images_c{channels}"]))
    mean, logvar = (golden[f"{encoder}_c{channels}_{kind}"] for kind in KINDS)
    np.testing.assert_allclose(posterior.mean_BZ, mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(posterior.logvar_BZ, logvar, rtol=1e-5, atol=1e-5)


@OPERATIONS
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("decoder", ["deconv_decoder", "fc_decoder"])
def test_decoders_give_the_outputs_of_the_reference(decoder: str, channels: int, ops: Ops, golden: Arrays) -> None:
    networks = Networks(built(channels, decoder=decoder), weights_of(f"{decoder}_c{channels}"), ops)
    outputs = networks.decode(tensor(golden["latents"][:2]))
    np.testing.assert_allclose(outputs, golden[f"{decoder}_c{channels}_logits"], rtol=1e-5, atol=1e-5)


@OPERATIONS
def test_the_discriminator_gives_the_logits_of_the_reference(ops: Ops, golden: Arrays) -> None:
    layers = discriminator(DiscriminatorSpec.model_validate("fc_discriminator"), num_latent=10)
    networks = Networks(built(1), weights_of("fc_discriminator"), ops)
    logits = networks.run(layers, tensor(golden["latents"]))
    np.testing.assert_allclose(logits, golden["fc_discriminator_logits"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(logits.softmax(dim=1), golden["fc_discriminator_probs"], rtol=1e-5, atol=1e-6)


def test_every_recorded_output_has_a_test(golden: Arrays) -> None:
    encoders = {f"{name}_c{c}_{kind}" for name in ("conv_encoder", "fc_encoder") for c in (1, 3) for kind in KINDS}
    decoders = {f"{name}_c{c}_logits" for name in ("deconv_decoder", "fc_decoder") for c in (1, 3)}
    discriminators = {"fc_discriminator_logits", "fc_discriminator_probs"}
    assert golden.keys() - {"images_c1", "images_c3", "latents"} == encoders | decoders | discriminators
