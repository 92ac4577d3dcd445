"""Iterations that are recorded once and then replayed, so that the host only says "again".

On a GPU the kernels of these small networks are shorter than the time it takes to launch them. A recorded iteration
reads and writes nothing but tensors that stay where they are, its random numbers and step sizes among them
(`windows.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from disentanglement.models.data.batches import batches_of
from disentanglement.models.machine.graphs import Graph, Unrecorded
from disentanglement.models.objectives.unsupervised import Unsupervised
from disentanglement.models.training.device_adam import DeviceAdam
from disentanglement.models.training.optimizers import Adam, Optimizer
from disentanglement.models.training.windows import Windows, WindowStreams
from disentanglement.specs.networks import OptimizerSpec

if TYPE_CHECKING:
    from disentanglement.models.training.training import Training

log = logging.getLogger(__name__)

WARM_UPS = 3
"""Iterations before the recording: libraries choose their algorithms and allocate their workspaces in them."""


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
