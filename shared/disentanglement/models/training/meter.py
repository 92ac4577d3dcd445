"""Terms of many steps, summed on the device and read at once. Shapes: Z latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from disentanglement.errors import NonFiniteLoss
from disentanglement.models.objectives.protocol import Terms

NEVER = 2**62
DERIVED = ("elbo",)
"""Reported terms that are made of others, which are named themselves."""


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
    """Sums of terms on the device, and of each loss and term the first step where it was not finite.

    It changes its tensors in place, so that a recorded iteration finds them where they were.
    """

    def __init__(self, num_latent: int, device: torch.device, players: Sequence[str] = ()) -> None:
        """`players` are the names of those whose losses are watched, in their order."""
        self._num_latent = num_latent
        self._players = tuple(players)
        self._names: tuple[str, ...] | None = None
        self._sums = torch.zeros(0, dtype=torch.float64, device=device)
        self._count = torch.zeros((), dtype=torch.float64, device=device)
        self._first_bad = torch.full((0,), NEVER, dtype=torch.int64, device=device)

    def add(self, terms: Terms, step: Tensor) -> None:
        """Without waiting for the device."""
        self.expect(terms)
        self._sums += vector(terms)
        self._count += 1
        torch.minimum(self._first_bad, bad_steps(terms, step), out=self._first_bad)

    def read(self, step: int) -> MeanTerms:
        """Waits for the device once and starts again. Raises `NonFiniteLoss`: the first bad step, and whose it was."""
        numbers = torch.cat([self._first_bad.double(), self._sums, self._count[None]]).tolist()
        first_bad, (*sums, count) = numbers[: len(self._first_bad)], numbers[len(self._first_bad) :]
        if not count:
            raise ValueError("no step since the last read")
        self._check_finite(first_bad)
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
            self._first_bad = self._first_bad.new_full((len(watched(terms)),), NEVER)

    def tensors(self) -> dict[str, Tensor]:
        """What it changes in place, once it knows what to expect."""
        return {"sums": self._sums, "count": self._count, "first_bad": self._first_bad}

    def clear(self) -> None:
        """Forgets what was not read yet."""
        self._sums.zero_()
        self._count.zero_()
        self._first_bad.fill_(NEVER)

    def _check_finite(self, first_bad: Sequence[float]) -> None:
        """A term alone is no failure: it may have no part in the loss."""
        names = self._names or ()
        of_loss, of_terms, of_players = first_bad[0], first_bad[1 : 1 + len(names)], first_bad[1 + len(names) :]
        first = min([of_loss, *of_players])
        if first >= NEVER:
            return
        terms = [name for name, step in zip(names, of_terms, strict=True) if step <= first and name not in DERIVED]
        bad = [f"the model's loss ({', '.join(terms)})" if terms else "the model's loss"] if of_loss == first else []
        bad += [f"the {name}'s loss" for name, step in zip(self._players, of_players, strict=True) if step == first]
        raise NonFiniteLoss(int(first), " and ".join(bad))


def vector(terms: Terms) -> Tensor:
    """Loss, reported terms and divergences, float64 `[1 + reported + Z]`."""
    return torch.cat(pieces(terms)).double()


def pieces(terms: Terms) -> list[Tensor]:
    """What makes up the vector: vectors themselves, on the device."""
    scalars = (terms.loss, *terms.reported.values())
    return [*(value.detach().view(1) for value in scalars), terms.kl_Z.detach()]


def watched(terms: Terms) -> list[Tensor]:
    """The loss, the reported terms and the players' losses: scalars on the device."""
    return [value.detach().view(()) for value in (terms.loss, *terms.reported.values(), *terms.player_losses)]


def bad_steps(terms: Terms, step: Tensor) -> Tensor:
    """For each of `watched` the `step` where it is not finite, else `NEVER`; int64 `[1 + reported + players]`."""
    finite = torch.stack(watched(terms)).isfinite()
    return step.expand(finite.shape).masked_fill(finite, NEVER)
