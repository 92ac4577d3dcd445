"""Iterations that are recorded once and then replayed, so that the host only says "again".

On a GPU the kernels of these small networks are shorter than the time it takes to launch them. A recorded iteration
reads and writes nothing but tensors that stay where they are: the random numbers of the next iterations lie in
*windows* on the device, which the host fills every so often from pinned memory, and a cursor on the device says which
of them is the next. Nothing waits for the device but the host, when it is a window ahead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from disentanglement.models.batches import batches_of
from disentanglement.models.device_adam import DeviceAdam
from disentanglement.models.objectives.unsupervised import Unsupervised
from disentanglement.models.optimizers import Adam, Optimizer
from disentanglement.models.streams import ITERATIONS_PER_BLOCK, Streams
from disentanglement.specs.networks import OptimizerSpec

if TYPE_CHECKING:
    from disentanglement.models.training import Training

log = logging.getLogger(__name__)

WARM_UPS = 3
"""Iterations before the recording: libraries choose their algorithms and allocate their workspaces in them."""

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


class CapturedIterations:
    """Runs an iteration again and again: a few times as it is, then from its recording."""

    def __init__(self, iteration: Callable[[], None], windows: Windows, graph: Graph) -> None:
        """`iteration` ends with `windows.advance()`."""
        self._iteration, self._windows = iteration, windows
        self._graph: Graph = graph
        self._warm_ups_left, self._is_recorded = WARM_UPS, False

    def run(self, num_iterations: int) -> None:
        """So many more of them."""
        for _ in range(num_iterations):
            self._windows.prepare()
            if self._warm_ups_left:
                self._warm_ups_left -= 1
                self._graph.warm_up(self._iteration)
            else:
                self._replay()

    def _replay(self) -> None:
        if not self._is_recorded:
            self._windows.seal()
            self._record()
            self._is_recorded = True
        self._graph.replay()

    def _record(self) -> None:
        """What a device can't record, whatever the reason, is launched each time."""
        try:
            self._graph.record(self._iteration)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            log.warning("iterations are not recorded", exc_info=True)
            self._graph = Unrecorded()
            self._graph.record(self._iteration)


def can_be_recorded(training: Training) -> bool:
    """Whether all that an iteration needs of the host comes from random streams and step sizes of Adam.

    Labelled batches and pairs are chosen by numbers on the host, and who knows what a plugin does.
    """
    built_in = training.spec.objective.word != "plugin" and isinstance(training.objective, Unsupervised)
    return built_in and all(isinstance(optimizer, Adam) for optimizer in training.optimizers)


def recorded_training(training: Training, graph: Graph) -> CapturedIterations:
    """The iterations of a training from where it is, on its own tensors; counting them is left to the caller."""
    windows, begin = Windows(training.data.device), training.iteration
    numbers = training.make_streams(evaluation=False, device=torch.device("cpu"))
    streams = WindowStreams(numbers, windows, begin=begin)
    batches = batches_of(training.spec, training.data, training.truth, streams, evaluation=False)
    adams = [
        device_adam(optimizer, spec)
        for optimizer, spec in zip(training.optimizers, optimizer_specs(training), strict=True)
    ]

    def update(player: int, gradients: Sequence[Tensor]) -> None:
        sizes = windows.now(("step size", player), lambda position: step_size(training, player, begin + position))
        adams[player].update(gradients, sizes)

    def iteration() -> None:
        training.iterate(batches.at(begin), streams.at(begin), update)
        windows.advance()

    return CapturedIterations(iteration, windows, graph)


def step_size(training: Training, player: int, iteration: int) -> Tensor:
    """Of one optimiser's update in that iteration, float32."""
    optimizer = training.optimizers[player]
    assert isinstance(optimizer, Adam), "only these are recorded"
    return torch.tensor(optimizer.step_size(iteration, iteration * training.objective.steps_per_iteration))


def optimizer_specs(training: Training) -> list[OptimizerSpec]:
    """In the order of the training's optimisers."""
    return [training.spec.optimizer, *(player.optimizer for player in training.objective.players)]


def device_adam(optimizer: Optimizer, spec: OptimizerSpec) -> DeviceAdam:
    """On the weights and moments of an optimiser of the host's."""
    assert spec.adam is not None, "only these are recorded"
    state = optimizer.state()
    first, second = ([m for name, m in state.items() if name.startswith(kind)] for kind in ("first.", "second."))
    return DeviceAdam(optimizer.weights, first, second, spec.adam)
