"""Exported models compute what ours do, in other programs and without this package."""

from __future__ import annotations

import hashlib
import importlib
import json
import site
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from disentanglement.errors import NotBuiltYet, SpecError
from disentanglement.models.export import export_model
from disentanglement.models.export.programs import EncoderProgram
from disentanglement.models.model import Model
from disentanglement.models.networks.architectures import Architecture, Encoder, architecture
from disentanglement.models.networks.layers import Dense, Reshape, Weights
from disentanglement.models.networks.network import Networks
from disentanglement.models.networks.ops import Ops
from disentanglement.specs import TrainSpec

NETWORKS = [("conv_encoder", "deconv_decoder"), ("fc_encoder", "fc_decoder"), ("test_encoder", "test_decoder")]
SOME = [("conv_encoder", "deconv_decoder", 1), ("test_encoder", "test_decoder", 1), ("test_encoder", "test_decoder", 3)]
"""The others are held against the reference's outputs in every format (tests/golden/test_export_golden.py)."""
EVERY = [(encoder, decoder, channels) for encoder, decoder in NETWORKS for channels in (1, 3)]
TOLERANCE = 1e-5
"""Relative to the largest value: sums in another order."""


def model_of(encoder: str, decoder: str, channels: int, *, activation: str = "logits") -> Model:
    """A model whose weights are all random, biases too: a bias left out would show."""
    spec = TrainSpec.model_validate(
        {
            "dataset": "dsprites_full",
            "objective": {"beta_vae": {"beta": 4.0}},
            "architecture": {"num_latent": 6, "encoder": encoder, "decoder": decoder},
            "reconstruction": {"bernoulli_loss": {"activation": activation}},
        }
    )
    generator = torch.Generator().manual_seed(1)
    initial = architecture(spec.architecture, (64, 64, channels)).initial_weights(3)
    weights = {name: w + 0.1 * torch.randn(w.shape, generator=generator) * (w.ndim == 1) for name, w in initial.items()}
    return Model(spec, weights, image_shape=(64, 64, channels))


def images_for(model: Model, count: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((count, *model.image_shape), dtype=np.float32)


def codes_for(model: Model, count: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(count, model.spec.architecture.num_latent)).astype(np.float32)


def outputs_of(model: Model, codes: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        outputs: NDArray[np.float32] = model.networks.decode(torch.from_numpy(codes)).numpy()
    return outputs


def assert_close(given: Any, wanted: NDArray[np.float32]) -> None:
    found = np.asarray(given)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * np.abs(wanted).max())


@pytest.mark.parametrize(("encoder", "decoder", "channels"), SOME)
def test_torch_programs_are_the_networks_for_any_number_of_images(
    encoder: str, decoder: str, channels: int, tmp_path: Path
) -> None:
    model = model_of(encoder, decoder, channels)
    export_model(model, tmp_path, ["torch"])
    encode, decode = (torch.export.load(tmp_path / f"{name}.pt2").module() for name in ("encoder", "decoder"))
    for count in (1, 3):
        images, codes = images_for(model, count), codes_for(model, count)
        mean, logvar = (tensor.detach() for tensor in encode(torch.from_numpy(images)))
        assert_close(mean, model.encode(images)[0])
        assert_close(logvar, model.encode(images)[1])
        assert_close(decode(torch.from_numpy(codes)).detach(), outputs_of(model, codes))


@pytest.mark.parametrize(("encoder", "decoder", "channels"), SOME)
def test_onnx_graphs_are_the_networks_for_any_number_of_images(
    encoder: str, decoder: str, channels: int, tmp_path: Path
) -> None:
    runtime = importlib.import_module("onnxruntime")
    model = model_of(encoder, decoder, channels)
    export_model(model, tmp_path, ["onnx"])
    encode, decode = (runtime.InferenceSession(str(tmp_path / f"{name}.onnx")) for name in ("encoder", "decoder"))
    for count in (1, 3):
        images, codes = images_for(model, count), codes_for(model, count)
        mean, logvar = encode.run(["mean", "logvar"], {"images": images})
        assert_close(mean, model.encode(images)[0])
        assert_close(logvar, model.encode(images)[1])
        assert_close(decode.run(["outputs"], {"codes": codes})[0], outputs_of(model, codes))


ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
try:
    import disentanglement
    raise SystemExit("the package is on the path: this proves nothing")
except ModuleNotFoundError:
    pass
import importlib.util, pathlib
import numpy as np, torch
for folder in map(pathlib.Path, sys.argv[2:]):
    found = importlib.util.spec_from_file_location("load_model", folder / "load_model.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    model = module.load()
    images, codes = (torch.from_numpy(np.load(folder / name)) for name in ("images.npy", "codes.npy"))
    with torch.no_grad():
        mean, logvar = model.encoder(images)
        pixels = model.intensities(model.decoder(codes))
        assert model.sample(images).shape == mean.shape
    np.savez(folder / "answers.npz", mean=mean.numpy(), logvar=logvar.numpy(), pixels=pixels.numpy())
"""


def test_the_loader_rebuilds_models_where_this_package_is_not_installed(tmp_path: Path) -> None:
    """One process for all of them: most of the time is PyTorch's start."""
    models = {f"{encoder}_{channels}": model_of(encoder, decoder, channels) for encoder, decoder, channels in EVERY}
    models["tanh"] = model_of("conv_encoder", "deconv_decoder", 1, activation="tanh")
    for name, model in models.items():
        export_model(model, tmp_path / name, ["safetensors"])
        np.save(tmp_path / name / "images.npy", images_for(model))
        np.save(tmp_path / name / "codes.npy", codes_for(model))
    packages = next(folder for folder in site.getsitepackages() if Path(folder, "torch").exists())
    # -S: without `site`, which would put an editable install of ours on the path
    command = [sys.executable, "-S", "-I", "-c", ALONE, packages, *(str(tmp_path / name) for name in models)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    for name, model in models.items():
        answers = np.load(tmp_path / name / "answers.npz")
        assert_close(answers["mean"], model.encode(images_for(model))[0])
        assert_close(answers["logvar"], model.encode(images_for(model))[1])
        assert_close(answers["pixels"], model.decode(codes_for(model)))


def test_the_card_says_what_goes_in_what_comes_out_and_what_each_file_is(tmp_path: Path) -> None:
    model = model_of("conv_encoder", "deconv_decoder", 3, activation="tanh")
    paths = export_model(model, tmp_path / "new", ["safetensors"], about={"step_key": "a.b.c", "results": {"loss": 1}})
    card = json.loads((tmp_path / "new" / "model_card.json").read_text())
    assert sorted(path.name for path in paths) == ["load_model.py", "model.safetensors", "model_card.json"]
    assert set(card["files"]) == {"load_model.py", "model.safetensors"}
    assert card["use"]["images"] == "float32 [B, 64, 64, 3], channels last, in [0, 1]"
    assert card["use"]["intensities"] == "pixels = tanh(outputs) / 2 + 0.5"
    assert (card["step_key"], card["results"]) == ("a.b.c", {"loss": 1})
    assert card["spec"]["architecture"]["num_latent"] == card["networks"]["num_latent"] == 6


def test_exported_weights_are_the_bytes_that_the_store_keeps(tmp_path: Path) -> None:
    model = model_of("test_encoder", "test_decoder", 1)
    export_model(model, tmp_path, ["safetensors"])
    assert (
        hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).digest()
        == hashlib.sha256(model.to_bytes()).digest()
    )


def test_a_program_keeps_the_names_of_the_weights() -> None:
    model = model_of("conv_encoder", "deconv_decoder", 1)
    names = {name for name, _ in EncoderProgram(model.networks).named_parameters()}
    assert names == {name for name in model.networks.weights if name.startswith("encoder.")}


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"format: wanted some of safetensors, torch, onnx, got pickle"):
        export_model(model_of("test_encoder", "test_decoder", 1), tmp_path / "out", ["torch", "pickle"])
    assert not (tmp_path / "out").exists()


class Halved(Dense):
    """A plugin's layer, of which nobody else knows what it computes."""

    def apply(self, x: Tensor, weights: Weights, ops: Ops) -> Tensor:
        """Half of what a dense layer gives."""
        return super().apply(x, weights, ops) / 2


@pytest.fixture
def plugin_model() -> Model:
    """Its encoder has a layer that is none of ours, and variables under names of their own."""
    model = model_of("test_encoder", "test_decoder", 1)
    encoder = Encoder((Reshape((64, 64, 1), (4096,)), Halved("a", 4096, 5)), Dense("b", 5, 6), Dense("c", 5, 6))
    networks = Architecture(encoder, model.networks.architecture.decoder)
    model.networks = Networks(networks, networks.initial_weights(0))
    return model


def test_networks_of_a_plugin_are_exported_as_programs_with_a_card_without_layers(
    plugin_model: Model, tmp_path: Path
) -> None:
    export_model(plugin_model, tmp_path, ["torch"])
    images = images_for(plugin_model)
    mean, _ = torch.export.load(tmp_path / "encoder.pt2").module()(torch.from_numpy(images))
    assert_close(mean.detach(), plugin_model.encode(images)[0])
    card = json.loads((tmp_path / "model_card.json").read_text())
    assert card["networks"] == {"image_shape": [64, 64, 1], "num_latent": 6, "activation": "logits"}


def test_networks_of_a_plugin_have_no_loader(plugin_model: Model, tmp_path: Path) -> None:
    with pytest.raises(NotBuiltYet, match="plugin: export torch or onnx instead"):
        export_model(plugin_model, tmp_path, ["safetensors"])


def test_what_needs_a_library_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disentanglement.models.export.programs.find_spec", lambda name: None)
    with pytest.raises(NotBuiltYet, match=r"pip install 'disentanglement\[export\]'"):
        export_model(model_of("test_encoder", "test_decoder", 1), tmp_path, ["onnx"])
