"""Writing a model into a folder, in one or several formats, with one card for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from disentanglement.errors import NotBuiltYet, SpecError
from disentanglement.models.export.card import CARD, model_card
from disentanglement.models.export.layers import plain_architecture
from disentanglement.models.export.programs import onnx_graphs, torch_programs
from disentanglement.models.model import Model

LOADER = "load_model.py"
WEIGHTS = "model.safetensors"

Writer = Callable[[Model, Path], Mapping[str, str]]
"""Writes files of a model into a folder; what each is, by name."""


def safetensors_files(model: Model, folder: Path) -> dict[str, str]:
    """Writes the weights and a loader that needs torch and safetensors alone; what each file is, by name.

    Raises:
        NotBuiltYet: networks of a plugin, which the loader can't build.
    """
    if plain_architecture(model.networks.architecture) is None:
        raise NotBuiltYet("a stand-alone loader for networks of a plugin: export torch or onnx instead")
    (folder / WEIGHTS).write_bytes(model.to_bytes())
    (folder / LOADER).write_text(loader_source(), encoding="utf-8")
    return {
        WEIGHTS: "the weights by name, as safetensors",
        LOADER: "builds encoder and decoder in plain torch.nn from the card and the weights: "
        "`from load_model import load`",
    }


def loader_source() -> str:
    """The text of the stand-alone loader."""
    return resources.files(__package__).joinpath(LOADER).read_text(encoding="utf-8")


FORMATS: Mapping[str, Writer] = {"safetensors": safetensors_files, "torch": torch_programs, "onnx": onnx_graphs}


def export_model(
    model: Model, folder: str | Path, formats: Iterable[str], *, about: Mapping[str, Any] | None = None
) -> list[Path]:
    """Writes a model and its card into a folder, which is made where it is missing; the files, the card last.

    `about` is what is known of the model beside its networks (step key, spec, data, results): it goes into the card.
    What the folder holds under other names stays.

    Raises:
        SpecError: a format that there is none of.
        NotBuiltYet: a library of the extra `export` is missing, or a plugin's networks in a format that can't have any.
    """
    wanted = list(dict.fromkeys(formats))
    for name in wanted:
        if name not in FORMATS:
            raise SpecError.of("format", f"some of {', '.join(FORMATS)}", name)
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    for name in wanted:
        files |= FORMATS[name](model, where)
    known = {"spec": model.spec.model_dump(mode="json", exclude_none=True), **(about or {})}
    text = json.dumps(model_card(model, known, files), indent=1, allow_nan=False)
    (where / CARD).write_text(text + "\n", encoding="utf-8")
    return [where / name for name in (*files, CARD)]
