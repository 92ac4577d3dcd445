"""An architecture with weights: what an objective and an extraction run. Shapes: B batch, H, W, C image, Z latents."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from disentanglement.models.networks.architectures import Architecture
from disentanglement.models.networks.layers import Layer, Weights
from disentanglement.models.networks.ops import FUSED, Ops
from disentanglement.models.networks.posterior import Posterior


@dataclass(frozen=True, slots=True)
class Networks:
    """Pure functions of images and codes, given the weights."""

    architecture: Architecture
    weights: Weights
    ops: Ops = field(default=FUSED)

    def encode(self, images_BHWC: Tensor) -> Posterior:
        """The posterior of float32 images in [0, 1]."""
        encoder = self.architecture.encoder
        features = self.run(encoder.trunk, images_BHWC)
        return Posterior(self.run((encoder.mean,), features), self.run((encoder.logvar,), features))

    def decode(self, codes_BZ: Tensor) -> Tensor:
        """Raw outputs `[B, H, W, C]`: the loss and the reader apply the activation."""
        return self.run(self.architecture.decoder.layers, codes_BZ)

    def autoencode(self, images_BHWC: Tensor, noise_BZ: Tensor) -> tuple[Posterior, Tensor, Tensor]:
        """Posterior, a code sampled from it `[B, Z]`, and the raw outputs for that code `[B, H, W, C]`."""
        posterior = self.encode(images_BHWC)
        codes_BZ = posterior.sample(noise_BZ)
        return posterior, codes_BZ, self.decode(codes_BZ)

    def run(self, layers: tuple[Layer, ...], x: Tensor) -> Tensor:
        """The layers one after another."""
        for layer in layers:
            x = layer.apply(x, self.weights, self.ops)
        return x
