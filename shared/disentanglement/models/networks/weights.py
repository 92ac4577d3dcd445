"""Weights as bytes: safetensors, never pickle."""

from __future__ import annotations

from collections.abc import Mapping

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from disentanglement.errors import CorruptArtifact


def tensors_to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Named tensors, e.g. weights or a training state; equal tensors give equal bytes."""
    return safetensors.torch.save({name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)})


def tensors_from_bytes(content: bytes) -> dict[str, Tensor]:
    """The inverse. Raises `CorruptArtifact` when the bytes are not safetensors."""
    try:
        return safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise CorruptArtifact(f"not a safetensors file: {error}") from error


def check_same_tensors(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Raises `CorruptArtifact` unless names, shapes and types are equal."""
    want, have = described(wanted), described(given)
    differing = sorted(name for name in want.keys() | have.keys() if want.get(name) != have.get(name))
    if differing:
        name = differing[0]
        raise CorruptArtifact(f"{name}: wanted {want.get(name, 'nothing')}, got {have.get(name, 'nothing')}")


def described(tensors: Mapping[str, Tensor]) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Shape and type of each."""
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
