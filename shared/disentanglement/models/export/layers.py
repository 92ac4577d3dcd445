"""Networks as plain data, so that they can be built again without this package."""

from __future__ import annotations

from typing import Any

from disentanglement.models.networks.architectures import Architecture
from disentanglement.models.networks.layers import Conv, Deconv, Dense, Layer, Reshape

Plain = dict[str, Any]


def plain_architecture(networks: Architecture) -> Plain | None:
    """Encoder (trunk and two heads) and decoder, layer by layer.

    None where a layer is a plugin's: only the plugin knows what it computes.
    """
    encoder, decoder = networks.encoder, networks.decoder
    if not all(type(layer) in KNOWN for layer in (*encoder.layers, *decoder.layers)):
        return None
    heads = {"mean": plain_layer(encoder.mean), "logvar": plain_layer(encoder.logvar)}
    trunk = [plain_layer(layer) for layer in encoder.trunk]
    return {"encoder": {"trunk": trunk, **heads}, "decoder": [plain_layer(layer) for layer in decoder.layers]}


def plain_layer(layer: Layer) -> Plain:
    """Kind, name, sizes and activation of a layer of ours."""
    match layer:
        case Dense():
            return _sized("dense", layer.name, layer.inputs, layer.outputs, activation=layer.activation)
        case Conv():
            return _sized("conv", layer.name, layer.inputs, layer.outputs, kernel=layer.size, activation="relu")
        case Deconv():
            activation = "relu" if layer.rectified else None
            return _sized("deconv", layer.name, layer.inputs, layer.outputs, kernel=4, activation=activation)
        case Reshape():
            return {"kind": "reshape", "shape": list(layer.after)}
        case _:
            raise AssertionError(f"{type(layer).__name__} is not in KNOWN")


KNOWN = (Dense, Conv, Deconv, Reshape)


def _sized(kind: str, name: str, inputs: int, outputs: int, **rest: object) -> Plain:
    return {"kind": kind, "name": name, "inputs": inputs, "outputs": outputs, **rest}
