"""Work of a device that is recorded once and then done again, so that the host only says "again"."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch


class Graph(Protocol):
    """Records what a function does on a device and does it again."""

    def warm_up(self, function: Callable[[], None]) -> None:
        """Calls it where it will be recorded."""
        ...

    def record(self, function: Callable[[], None]) -> None:
        """Calls it without the device doing anything, or so that the first replay is that call."""
        ...

    def replay(self) -> None:
        """Does on the device what was recorded."""
        ...


class CudaGraph:
    """CUDA's. All graphs of a process share one pool of memory: none of them leaves anything in it for another."""

    _pool: Any = None

    def __init__(self, device: torch.device) -> None:
        self._device = device
        with torch.cuda.device(device):
            self._graph = torch.cuda.CUDAGraph()
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def warm_up(self, function: Callable[[], None]) -> None:
        """On the stream of the recording, between what was asked of the device before and what is afterwards."""
        with torch.cuda.device(self._device):
            outside = torch.cuda.current_stream()
            self._stream.wait_stream(outside)
            with torch.cuda.stream(self._stream):
                function()
            outside.wait_stream(self._stream)

    def record(self, function: Callable[[], None]) -> None:
        """Waits for the device, this once."""
        if CudaGraph._pool is None:
            CudaGraph._pool = torch.cuda.graph_pool_handle()
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(self._graph, pool=CudaGraph._pool, stream=self._stream),
        ):
            function()

    def replay(self) -> None:
        """One launch."""
        self._graph.replay()


class Unrecorded:
    """For devices that record nothing: calls the function each time."""

    def __init__(self) -> None:
        self._function: Callable[[], None] | None = None

    def warm_up(self, function: Callable[[], None]) -> None:
        """Calls it."""
        function()

    def record(self, function: Callable[[], None]) -> None:
        """Keeps it."""
        self._function = function

    def replay(self) -> None:
        """Calls it."""
        assert self._function is not None, "recorded before"
        self._function()


def graphs_of(device: torch.device) -> Callable[[], Graph]:
    """How a device records iterations."""
    return partial(CudaGraph, device) if device.type == "cuda" else Unrecorded
