"""Random numbers of the next iterations, in tensors on the device that stay where they are.

A recorded iteration can't take numbers from the host. It reads them from *windows*, which the host fills every so often
from pinned memory, at a cursor on the device. Nothing waits for the device but the host, when it is a window ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from disentanglement.models.streams import ITERATIONS_PER_BLOCK, Streams

Numbers = Callable[[int], Tensor]
"""From a position, counted from 0, to a tensor on the host."""


class Windows:
    """Tensors of consecutive positions, several kinds of them, all read at one cursor."""

    def __init__(self, device: torch.device, *, length: int = ITERATIONS_PER_BLOCK) -> None:
        self._device, self._length = device, length
        self._cursor = torch.zeros(1, dtype=torch.int64, device=device)
        self._next = 0
        self._windows: dict[Hashable, _Window] = {}
        self._copied: list[torch.cuda.Event | None] = [None, None]
        self._is_sealed = False

    def prepare(self) -> None:
        """Before each iteration, on the host: fills the windows where the cursor has come to their end."""
        position, self._next = self._next, self._next + 1
        if position % self._length == 0:
            turn = position // self._length % 2
            self._wait_for(turn)
            for window in self._windows.values():
                window.fill(position, turn)
            self._cursor.zero_()
            self._remember(turn)

    def now(self, kind: Hashable, numbers: Numbers) -> Tensor:
        """What `numbers` gives for the position of this iteration; equal kinds have equal numbers."""
        if kind not in self._windows:
            if self._is_sealed:
                raise LookupError(f"{kind} was not asked for before the iteration was recorded")
            self._windows[kind] = _Window(numbers, self._length, self._device)
            begun = (self._next - 1) // self._length
            self._windows[kind].fill(begun * self._length, begun % 2)
        return self._windows[kind].values.index_select(0, self._cursor).squeeze(0)

    def advance(self) -> None:
        """At the end of each iteration, on the device."""
        self._cursor.add_(1)

    def seal(self) -> None:
        """From now on only kinds that are known."""
        self._is_sealed = True

    def _wait_for(self, turn: int) -> None:
        """Until the host memory of this turn was copied: two windows ago, so the device is never left without work."""
        if (copied := self._copied[turn]) is not None:
            copied.synchronize()

    def _remember(self, turn: int) -> None:
        if self._device.type == "cuda":
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self._device))
            self._copied[turn] = event


class _Window:
    """The numbers of one kind, on the device, and two turns of memory on the host that they are copied from."""

    def __init__(self, numbers: Numbers, length: int, device: torch.device) -> None:
        first = numbers(0)
        shape = (length, *first.shape)
        self.values = torch.empty(shape, dtype=first.dtype, device=device)
        pinned = device.type == "cuda"
        self._host = [torch.empty(shape, dtype=first.dtype, pin_memory=pinned) for _ in range(2)]
        self._numbers = numbers

    def fill(self, begin: int, turn: int) -> None:
        host = self._host[turn]
        for offset in range(len(host)):
            host[offset] = self._numbers(begin + offset)
        self.values.copy_(host, non_blocking=True)


class WindowStreams(Streams):
    """The streams of a training, read from windows: whichever iteration is asked for, it is the one at the cursor.

    `numbers` are streams on the host; position 0 is their iteration `begin`.
    """

    def __init__(self, numbers: Streams, windows: Windows, *, begin: int) -> None:
        self._numbers, self._windows, self._begin = numbers, windows, begin

    def rows(self, iteration: int) -> Tensor:
        """Rows of the batch, int64 `[B]`."""
        return self._now("rows", self._numbers.rows)

    def observations(self, iteration: int, draw: int = 0) -> Tensor:
        """Draws of the images, int64 `[B]`."""
        return self._now(("observations", draw), lambda at: self._numbers.observations(at, draw))

    def latent(self, iteration: int, draw: int) -> Tensor:
        """Standard normal noise `[B, Z]`."""
        return self._now(("latent", draw), lambda at: self._numbers.latent(at, draw))

    def permutations(self, iteration: int, count: int, length: int, draw: int) -> Tensor:
        """Uniformly random permutations of 0 to length - 1, int64 `[count, length]`."""
        kind = ("permutations", count, length, draw)
        return self._now(kind, lambda at: self._numbers.permutations(at, count, length, draw))

    def _now(self, kind: Hashable, numbers: Numbers) -> Tensor:
        begin = self._begin
        return self._windows.now((id(self), kind), lambda position: numbers(begin + position))
