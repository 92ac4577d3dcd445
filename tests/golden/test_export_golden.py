"""Exported models, in every format, give what the reference's networks give with the same weights."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_weights import arrays, reference_weights, tensor, values

from disentanglement.models.export import export_model
from disentanglement.models.model import Model
from disentanglement.specs import TrainSpec

Networks = tuple[Callable[[Any], tuple[Any, Any]], Callable[[Any], Any]]
"""Encoder and decoder on NumPy arrays."""


def model_of(encoder: str, decoder: str, channels: int) -> Model:
    """A model with the recorded weights of both networks."""
    variables = values("models/architectures")["variables"]
    weights = {
        name: weight
        for network in (f"{encoder}_c{channels}", f"{decoder}_c{channels}")
        for name, weight in reference_weights(variables[network]).items()
    }
    architecture = {"encoder": encoder, "decoder": decoder}
    plain = {"dataset": "dsprites_full", "objective": {"beta_vae": {"beta": 4.0}}, "architecture": architecture}
    return Model(TrainSpec.model_validate(plain), weights, image_shape=(64, 64, channels))


def with_loader(folder: Path) -> Networks:
    found = importlib.util.spec_from_file_location("load_model", folder / "load_model.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    model = module.load()
    return lambda images: model.encoder(tensor(images)), lambda codes: model.decoder(tensor(codes))


def with_torch(folder: Path) -> Networks:
    encode, decode = (torch.export.load(folder / f"{name}.pt2").module() for name in ("encoder", "decoder"))
    return lambda images: encode(tensor(images)), lambda codes: decode(tensor(codes))


def with_onnx(folder: Path) -> Networks:
    runtime = importlib.import_module("onnxruntime")
    encode, decode = (runtime.InferenceSession(str(folder / f"{name}.onnx")) for name in ("encoder", "decoder"))
    return (
        lambda images: encode.run(["mean", "logvar"], {"images": images.astype(np.float32)}),
        lambda codes: decode.run(["outputs"], {"codes": codes.astype(np.float32)})[0],
    )


FORMATS = {"safetensors": with_loader, "torch": with_torch, "onnx": with_onnx}


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("encoder", "decoder"), [("conv_encoder", "deconv_decoder"), ("fc_encoder", "fc_decoder")])
def test_exported_networks_give_what_the_reference_recorded(
    encoder: str, decoder: str, channels: int, format_: str, tmp_path: Path
) -> None:
    export_model(model_of(encoder, decoder, channels), tmp_path, [format_])
    encode, decode = FORMATS[format_](tmp_path)
    golden = arrays("models/architectures")
    with torch.no_grad():
        mean, logvar = encode(golden[f"images_c{channels}"])
        outputs = decode(golden["latents"][:2])
    for found, name in [
        (mean, f"{encoder}_c{channels}_mean"),
        (logvar, f"{encoder}_c{channels}_logvar"),
        (outputs, f"{decoder}_c{channels}_logits"),
    ]:
        np.testing.assert_allclose(found, golden[name], rtol=1e-5, atol=1e-5, err_msg=name)  # the recording's tolerance
