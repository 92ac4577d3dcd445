"""A trained model: arrays in, arrays out. Shapes: B batch, H, W, C image, Z latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from disentanglement.models.networks.architectures import architecture
from disentanglement.models.networks.layers import ImageShape
from disentanglement.models.networks.network import Networks
from disentanglement.models.networks.weights import check_same_tensors, tensors_from_bytes, tensors_to_bytes
from disentanglement.models.objectives.reconstruction import activation_of, intensities
from disentanglement.specs import TrainSpec


class Model:
    """Encodes images and decodes codes."""

    def __init__(
        self,
        spec: TrainSpec,
        weights: Mapping[str, Tensor],
        *,
        image_shape: ImageShape,
        device: torch.device | str = "cpu",
    ) -> None:
        """Raises `CorruptArtifact` when the weights are not those of the spec's networks."""
        networks = architecture(spec.architecture, image_shape)
        check_same_tensors({variable.name: variable.placeholder() for variable in networks.variables()}, weights)
        self.spec = spec
        self.networks = Networks(networks, {name: w.detach().to(device) for name, w in weights.items()})
        self.image_shape = image_shape
        self._device = torch.device(device)
        self._activation = activation_of(spec.reconstruction)

    @classmethod
    def from_bytes(
        cls, spec: TrainSpec, content: bytes, *, image_shape: ImageShape, device: torch.device | str = "cpu"
    ) -> Self:
        """From what `to_bytes` wrote. Raises `CorruptArtifact` for anything else."""
        return cls(spec, tensors_from_bytes(content), image_shape=image_shape, device=device)

    def to_bytes(self) -> bytes:
        """The weights as safetensors."""
        return tensors_to_bytes(self.networks.weights)

    def encode(self, images_BHWC: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and log-variance `[B, Z]` of images in [0, 1]. Raises `ValueError` for another image shape."""
        if images_BHWC.shape[1:] != self.image_shape:
            raise ValueError(f"images: wanted [B, *{self.image_shape}], got {images_BHWC.shape}")
        with torch.inference_mode():
            posterior = self.networks.encode(self._tensor(images_BHWC))
        return posterior.mean_BZ.cpu().numpy(), posterior.logvar_BZ.cpu().numpy()

    def decode(self, codes_BZ: NDArray[np.floating]) -> NDArray[np.float32]:
        """Images `[B, H, W, C]` in [0, 1]. Raises `ValueError` for another number of latents."""
        num_latent = self.spec.architecture.num_latent
        if codes_BZ.ndim != 2 or codes_BZ.shape[1] != num_latent:
            raise ValueError(f"codes: wanted [B, {num_latent}], got {codes_BZ.shape}")
        with torch.inference_mode():
            images: NDArray[np.float32] = (
                intensities(self.networks.decode(self._tensor(codes_BZ)), self._activation).cpu().numpy()
            )
        return images

    def _tensor(self, array: NDArray[np.floating]) -> Tensor:
        return torch.tensor(array, dtype=torch.float32, device=self._device)
