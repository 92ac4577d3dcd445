"""Small random batches of latents for tests of objectives, and regularizers run on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from disentanglement.models.networks.posterior import Posterior
from disentanglement.models.objectives.unsupervised import Latents, Regularized, Regularizer


@dataclass(frozen=True)
class LatentBatch:
    """Means, log-variances, noise and the codes sampled with it, `[B, Z]`, in float64 so that oracles are exact."""

    means: NDArray[np.float64]
    logvars: NDArray[np.float64]
    noise: NDArray[np.float64]

    @classmethod
    def drawn(cls, seed: int, batch_size: int, num_latent: int, *, logvar: float = 0.0) -> LatentBatch:
        """Standard normal means and noise; log-variances spread around `logvar`."""
        rng = np.random.default_rng(seed)
        means, spread, noise = rng.standard_normal((3, batch_size, num_latent))
        return cls(means, logvar + spread, noise)

    @property
    def codes(self) -> NDArray[np.float64]:
        """mean + exp(logvar / 2) * noise."""
        return self.means + np.exp(self.logvars / 2) * self.noise

    def posterior(self) -> Posterior:
        """As tensors."""
        return Posterior(torch.tensor(self.means), torch.tensor(self.logvars))

    def latents(self) -> Latents:
        """As a regularizer sees them."""
        posterior = self.posterior()
        return Latents.of(posterior, posterior.sample(torch.tensor(self.noise)))


LATENT_BATCHES = st.builds(
    LatentBatch.drawn,
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.integers(1, 4),
    logvar=st.sampled_from([-20.0, -3.0, 0.0, 2.0]),
)


def regularized(regularizer: Regularizer, latents: Latents, step: int = 0) -> Regularized:
    """By a regularizer without players, which asks neither networks nor noise."""
    nothing: Any = None
    return regularizer.value(latents, nothing, nothing, torch.tensor(step))


def value(regularizer: Regularizer, batch: LatentBatch, step: int = 0) -> float:
    """The same as a number."""
    return regularized(regularizer, batch.latents(), step).value.item()


def gradients(regularizer: Regularizer, batch: LatentBatch, step: int = 0) -> tuple[Tensor, ...]:
    """By means and log-variances."""
    mean, logvar = torch.tensor(batch.means).requires_grad_(), torch.tensor(batch.logvars).requires_grad_()
    posterior = Posterior(mean, logvar)
    latents = Latents.of(posterior, posterior.sample(torch.tensor(batch.noise)))
    return torch.autograd.grad(regularized(regularizer, latents, step).value, (mean, logvar))
