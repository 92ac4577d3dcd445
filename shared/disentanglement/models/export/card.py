"""The model card: what a model is, in strict JSON, for people and for the loader beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from disentanglement.models.export.layers import plain_architecture
from disentanglement.models.model import Model
from disentanglement.models.objectives.reconstruction import activation_of

CARD = "model_card.json"
FORMAT = "disentanglement-model-card-1"

INTENSITIES = {
    "logits": "pixels = sigmoid(outputs)",
    "tanh": "pixels = tanh(outputs) / 2 + 0.5",
}
"""How raw outputs of a decoder become pixels in [0, 1], by the activation of the loss that it was trained with."""


def model_card(model: Model, about: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """What is known of a model (`about`), how to use it, what its networks are, and the files beside the card."""
    return {"format": FORMAT, **about, "use": use(model), "networks": networks(model), "files": dict(files)}


def use(model: Model) -> dict[str, str]:
    """What goes in and what comes out. Shapes: B batch, H, W, C image, Z latents."""
    height, width, channels = model.image_shape
    latents = model.spec.architecture.num_latent
    return {
        "images": f"float32 [B, {height}, {width}, {channels}], channels last, in [0, 1]",
        "encoder": f"images -> mean [B, {latents}], log-variance [B, {latents}]; a code is "
        "mean + exp(log-variance / 2) * standard normal noise, and `mean` is the usual representation",
        "decoder": f"codes float32 [B, {latents}] -> raw outputs [B, {height}, {width}, {channels}]",
        "intensities": INTENSITIES[activation_of(model.spec.reconstruction)],
    }


def networks(model: Model) -> dict[str, Any]:
    """Layer by layer, as the stand-alone loader builds them; without layers where a plugin's are among them."""
    known = {
        "image_shape": list(model.image_shape),
        "num_latent": model.spec.architecture.num_latent,
        "activation": activation_of(model.spec.reconstruction),
    }
    layers = plain_architecture(model.networks.architecture)
    return known if layers is None else known | layers
