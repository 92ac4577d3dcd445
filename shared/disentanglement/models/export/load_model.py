"""Loads the model beside this file; needs torch and safetensors, and nothing else.

    from load_model import load
    model = load()                      # or load("folder of model_card.json and model.safetensors")
    mean, logvar = model.encoder(images)        # images: float32 [B, H, W, C] in [0, 1]
    outputs = model.decoder(codes)              # codes: float32 [B, Z]; raw outputs [B, H, W, C]
    pixels = model.intensities(outputs)         # in [0, 1]

`python load_model.py` says what the model is. Everything is plain torch.nn: train it further as you like.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

CARD, WEIGHTS = "model_card.json", "model.safetensors"
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "tanh": nn.Tanh,
}


class ChannelsFirst(nn.Module):
    """A layer of PyTorch's on images that lie channels last."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return y


class Reshape(nn.Module):
    """Another shape of each example."""

    def __init__(self, shape: list[int]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self.shape)


class Encoder(nn.Module):
    """Images to the mean and the log-variance of every latent."""

    def __init__(self, trunk: nn.Module, mean: nn.Module, logvar: nn.Module) -> None:
        super().__init__()
        self.trunk, self.mean, self.logvar = trunk, mean, logvar

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(images)
        return self.mean(features), self.logvar(features)


class Model(nn.Module):
    """Encoder, decoder, and the function that makes pixels of what the decoder returns."""

    def __init__(self, card: dict[str, Any], weights: dict[str, Tensor]) -> None:
        super().__init__()
        networks = card["networks"]
        encoder = networks["encoder"]
        heads = (sequence([encoder[head]], weights) for head in ("mean", "logvar"))
        self.encoder = Encoder(sequence(encoder["trunk"], weights), *heads)
        self.decoder = sequence(networks["decoder"], weights)
        self.card = card

    def intensities(self, outputs: Tensor) -> Tensor:
        """Pixels in [0, 1] of raw outputs."""
        is_tanh = self.card["networks"]["activation"] == "tanh"
        return torch.tanh(outputs) / 2 + 0.5 if is_tanh else torch.sigmoid(outputs)

    def sample(self, images: Tensor) -> Tensor:
        """Codes drawn from the posterior of images."""
        mean, logvar = self.encoder(images)
        codes: Tensor = mean + torch.exp(logvar / 2) * torch.randn_like(mean)
        return codes


def load(folder: str | Path | None = None) -> Model:
    """The model in a folder, by default the folder of this file."""
    where = Path(folder) if folder is not None else Path(__file__).parent
    card = json.loads((where / CARD).read_text(encoding="utf-8"))
    return Model(card, load_file(where / WEIGHTS)).eval()


def sequence(layers: list[dict[str, Any]], weights: dict[str, Tensor]) -> nn.Sequential:
    """Layers with their weights, one after the other."""
    return nn.Sequential(*(module for layer in layers for module in modules(layer, weights)))


def modules(layer: dict[str, Any], weights: dict[str, Tensor]) -> list[nn.Module]:
    """A layer of the model card, and its activation."""
    if layer["kind"] == "reshape":
        return [Reshape(layer["shape"])]
    made = {"dense": dense, "conv": conv, "deconv": deconv}[layer["kind"]](
        layer, weights[f"{layer['name']}.kernel"], weights[f"{layer['name']}.bias"]
    )
    activation = layer["activation"]
    return [made, ACTIVATIONS[activation]()] if activation else [made]


def dense(layer: dict[str, Any], kernel: Tensor, bias: Tensor) -> nn.Module:
    """Stored [inputs, outputs]."""
    return filled(nn.Linear(layer["inputs"], layer["outputs"]), kernel.T, bias)


def conv(layer: dict[str, Any], kernel: Tensor, bias: Tensor) -> nn.Module:
    """Stride 2; stored [outputs, height, width, inputs]."""
    size = layer["kernel"]
    made = nn.Conv2d(layer["inputs"], layer["outputs"], size, stride=2, padding=size // 2 - 1)
    return ChannelsFirst(filled(made, kernel.permute(0, 3, 1, 2), bias))


def deconv(layer: dict[str, Any], kernel: Tensor, bias: Tensor) -> nn.Module:
    """Stride 2; stored [inputs, height, width, outputs]."""
    made = nn.ConvTranspose2d(layer["inputs"], layer["outputs"], layer["kernel"], stride=2, padding=1)
    return ChannelsFirst(filled(made, kernel.permute(0, 3, 1, 2), bias))


def filled(module: nn.Module, weight: Tensor, bias: Tensor) -> nn.Module:
    """The module with these weights."""
    module.load_state_dict({"weight": weight, "bias": bias})
    return module


if __name__ == "__main__":
    loaded = load()
    count = sum(parameter.numel() for parameter in loaded.parameters())
    print(f"{loaded.card['step_key']}: {count:,} parameters, images {loaded.card['networks']['image_shape']}")
    print(loaded)
