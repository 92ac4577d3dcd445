"""Terms of many steps, summed on the device and read at once. Shapes: Z latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from disentanglement.errors import NonFiniteLoss
from disentanglement.models.objectives.protocol import Terms

NEVER = 2**62


@dataclass(frozen=True, slots=True)
class MeanTerms:
    """Means over the steps since the last read."""

    step: int
    """Updates made so far."""
    num_iterations: int
    """How many of them these are the means of."""
    loss: float
    reported: Mapping[str, float]
    """By the reference's keys; `elbo` is minus (reconstruction + KL)."""
    kl_Z: tuple[float, ...]
    """Divergence of each latent from the prior, in nats."""


class TermsMeter:
    """Sums of terms on the device, and the first step where the loss or a player's was not finite."""

    def __init__(self, num_latent: int, device: torch.device) -> None:
        self._names: tuple[str, ...] = ()
        self._num_latent = num_latent
        self._sums = torch.zeros(0, dtype=torch.float64, device=device)
        self._num_iterations = 0
        self._first_bad = torch.full((), NEVER, dtype=torch.int64, device=device)

    def add(self, terms: Terms, step: Tensor) -> None:
        """Without waiting for the device."""
        self._names = tuple(terms.reported)
        loss = terms.loss.detach()
        scalars = torch.stack([loss, *(value.detach() for value in terms.reported.values())])
        values = torch.cat([scalars, terms.kl_Z.detach()]).double()
        self._sums = values if self._num_iterations == 0 else self._sums + values
        self._num_iterations += 1
        finite = loss.isfinite()
        for of_player in terms.player_losses:
            finite = finite & of_player.detach().isfinite()
        bad = torch.where(finite, NEVER, step)
        self._first_bad = torch.minimum(self._first_bad, bad)

    def read(self, step: int) -> MeanTerms:
        """Waits for the device once and starts again. Raises `NonFiniteLoss` with the first bad step."""
        if self._num_iterations == 0:
            raise ValueError("no step since the last read")
        *means, first_bad = torch.cat([self._sums / self._num_iterations, self._first_bad.double()[None]]).tolist()
        if first_bad < NEVER:
            raise NonFiniteLoss(int(first_bad))
        loss, *scalars = means[: -self._num_latent]
        num_iterations, self._num_iterations = self._num_iterations, 0
        reported = dict(zip(self._names, scalars, strict=True))
        return MeanTerms(step, num_iterations, loss, reported, tuple(means[-self._num_latent :]))
