"""A model's encoder and decoder as programs: `torch.export` and ONNX, with any number of images at once.

Images are `[B, H, W, C]` in [0, 1], as everywhere here; the encoder returns the mean and the log-variance `[B, Z]`, the
decoder raw outputs `[B, H, W, C]`, as the reference exports them: its reader applies the activation.
Shapes: B batch, H, W, C image, Z latents.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from disentanglement.errors import NotBuiltYet
from disentanglement.models.model import Model
from disentanglement.models.networks.layers import Layer
from disentanglement.models.networks.network import Networks
from disentanglement.models.networks.ops import PLAIN

BATCH_EXAMPLE = 2
"""Of the traced example; one would be taken for a constant."""


class Program(nn.Module):
    """One network of a model, with its weights as parameters of the names that they have in the store."""

    def __init__(self, networks: Networks, layers: Iterable[Layer]) -> None:
        super().__init__()
        self._architecture = networks.architecture
        self._names = [variable.name for layer in layers for variable in layer.variables()]
        for name in self._names:
            _put(self, name, networks.weights[name])

    def networks(self) -> Networks:
        """The networks, computing with PyTorch's own functions: ours are quicker, but mean nothing elsewhere."""
        return Networks(self._architecture, {name: self.get_parameter(name) for name in self._names}, PLAIN)


class EncoderProgram(Program):
    """Images to mean and log-variance."""

    def __init__(self, networks: Networks) -> None:
        super().__init__(networks, networks.architecture.encoder.layers)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, H, W, C]` to `[B, Z]` twice."""
        posterior = self.networks().encode(images)
        return posterior.mean_BZ, posterior.logvar_BZ


class DecoderProgram(Program):
    """Codes to raw outputs."""

    def __init__(self, networks: Networks) -> None:
        super().__init__(networks, networks.architecture.decoder.layers)

    def forward(self, codes: Tensor) -> Tensor:
        """`[B, Z]` to `[B, H, W, C]`."""
        return self.networks().decode(codes)


def _put(root: nn.Module, name: str, tensor: Tensor) -> None:
    """`encoder.e1.kernel` as the parameter `kernel` of the module `e1` of the module `encoder`."""
    *path, leaf = name.split(".")
    for part in path:
        if part not in dict(root.named_children()):
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.register_parameter(leaf, nn.Parameter(tensor.detach().cpu().clone(), requires_grad=False))


def torch_programs(model: Model, folder: Path) -> dict[str, str]:
    """Writes `encoder.pt2` and `decoder.pt2`; what each file is, by name."""
    for name, program, example, shapes in _parts(model):
        exported = torch.export.export(program.eval(), (example,), dynamic_shapes=shapes, strict=False)
        exported.example_inputs = None  # would be pickled into the file
        torch.export.save(exported, folder / f"{name}.pt2")
    return {
        "encoder.pt2": "torch.export program: images [B, H, W, C] -> (mean [B, Z], log-variance [B, Z])",
        "decoder.pt2": "torch.export program: codes [B, Z] -> raw outputs [B, H, W, C]",
    }


def onnx_graphs(model: Model, folder: Path) -> dict[str, str]:
    """Writes `encoder.onnx` and `decoder.onnx`; what each file is, by name.

    Raises:
        NotBuiltYet: the extra `export` is not installed.
    """
    require_extra("onnx", "onnxscript")
    for name, program, example, shapes in _parts(model):
        with _quiet("torch.onnx"):
            torch.onnx.export(
                program.eval(),
                (example,),
                folder / f"{name}.onnx",
                dynamo=True,
                input_names=list(shapes),
                output_names=OUTPUTS[name],
                dynamic_shapes=shapes,
                external_data=False,
                verbose=False,
            )
    return {
        "encoder.onnx": "ONNX: images [B, H, W, C] float32 -> mean [B, Z], logvar [B, Z]",
        "decoder.onnx": "ONNX: codes [B, Z] float32 -> outputs [B, H, W, C], raw",
    }


OUTPUTS = {"encoder": ["mean", "logvar"], "decoder": ["outputs"]}


def _parts(model: Model) -> list[tuple[str, Program, Tensor, dict[str, dict[int, torch.export.Dim]]]]:
    batch = torch.export.Dim("batch", min=1)
    num_latent = model.spec.architecture.num_latent
    images, codes = torch.zeros(BATCH_EXAMPLE, *model.image_shape), torch.zeros(BATCH_EXAMPLE, num_latent)
    return [
        ("encoder", EncoderProgram(model.networks), images, {"images": {0: batch}}),
        ("decoder", DecoderProgram(model.networks), codes, {"codes": {0: batch}}),
    ]


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Without the warnings that this logger and those below it write: they are about libraries that we do not use."""
    loggers = [logging.getLogger(known) for known in list(logging.root.manager.loggerDict) if known.startswith(name)]
    before = [(logger, logger.level) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in before:
            logger.setLevel(level)


def require_extra(*modules: str) -> None:
    """Raises `NotBuiltYet` where libraries of the extra `export` are missing, saying how to get them."""
    if missing := [module for module in modules if find_spec(module) is None]:
        raise NotBuiltYet(f"{' and '.join(missing)} not installed: pip install 'disentanglement[export]'")
