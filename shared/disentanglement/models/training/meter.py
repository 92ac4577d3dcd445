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
    """Sums of terms on the device, and the first step where the loss or a player's was not finite.

    It changes its tensors in place, so that a recorded iteration finds them where they were.
    """

    def __init__(self, num_latent: int, device: torch.device) -> None:
        self._num_latent = num_latent
        self._names: tuple[str, ...] | None = None
        self._sums = torch.zeros(0, dtype=torch.float64, device=device)
        self._count = torch.zeros((), dtype=torch.float64, device=device)
        self._first_bad = torch.full((), NEVER, dtype=torch.int64, device=device)

    def add(self, terms: Terms, step: Tensor) -> None:
        """Without waiting for the device."""
        self.expect(terms)
        self._sums += vector(terms)
        self._count += 1
        torch.minimum(self._first_bad, bad_step(terms, step), out=self._first_bad)

    def read(self, step: int) -> MeanTerms:
        """Waits for the device once and starts again. Raises `NonFiniteLoss` with the first bad step."""
        *sums, count, first_bad = torch.cat([self._sums, self._count[None], self._first_bad.double()[None]]).tolist()
        if not count:
            raise ValueError("no step since the last read")
        if first_bad < NEVER:
            raise NonFiniteLoss(int(first_bad))
        self._sums.zero_()
        self._count.zero_()
        loss, *scalars = (total / count for total in sums[: -self._num_latent])
        reported = dict(zip(self._names or (), scalars, strict=True))
        kl_Z = tuple(total / count for total in sums[-self._num_latent :])
        return MeanTerms(step, int(count), loss, reported, kl_Z)

    def expect(self, terms: Terms) -> None:
        """Makes room for terms of this kind, where there is none yet."""
        if self._names is None:
            self._names = tuple(terms.reported)
            self._sums = torch.zeros_like(vector(terms))

    def tensors(self) -> dict[str, Tensor]:
        """What it changes in place, once it knows what to expect."""
        return {"sums": self._sums, "count": self._count, "first_bad": self._first_bad}

    def clear(self) -> None:
        """Forgets what was not read yet."""
        self._sums.zero_()
        self._count.zero_()
        self._first_bad.fill_(NEVER)


def vector(terms: Terms) -> Tensor:
    """Loss, reported terms and divergences, float64 `[1 + reported + Z]`."""
    return torch.cat(pieces(terms)).double()


def pieces(terms: Terms) -> list[Tensor]:
    """What makes up the vector: vectors themselves, on the device."""
    scalars = (terms.loss, *terms.reported.values())
    return [*(value.detach().view(1) for value in scalars), terms.kl_Z.detach()]


def bad_step(terms: Terms, step: Tensor) -> Tensor:
    """`step` where a loss is not finite, else `NEVER`."""
    finite = terms.loss.detach().isfinite()
    for of_player in terms.player_losses:
        finite = finite & of_player.detach().isfinite()
    return step.masked_fill(finite, NEVER)
