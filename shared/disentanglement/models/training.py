"""The training loop: many steps without waiting for the device, then one read of what happened.

Shapes: B batch, Z latents. A training is a value that can be saved between any two steps: its state is the weights,
the optimiser's moments, the step, and the terms that have not been read yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from disentanglement.errors import NotBuiltYet
from disentanglement.models.adam import optimizer_of
from disentanglement.models.architectures import architecture
from disentanglement.models.catalog import objective_of
from disentanglement.models.data import TrainingData
from disentanglement.models.meter import MeanTerms, TermsMeter
from disentanglement.models.model import Model
from disentanglement.models.networks import Networks
from disentanglement.models.objectives.protocol import Batch, Terms
from disentanglement.models.streams import Streams
from disentanglement.models.weights import check_same_tensors
from disentanglement.specs import TrainSpec


class Training:
    """One model in training. Raises `NotBuiltYet` for what this release can't train, before any work."""

    def __init__(self, spec: TrainSpec, data: TrainingData) -> None:
        """Initial weights are a function of the spec's seed; the data decides the device."""
        check_built(spec)
        self.spec = spec
        self.step = 0
        self._data = data
        self._objective = objective_of(spec)
        if self._objective.players:
            raise NotBuiltYet(f"objective.{spec.objective.word}: auxiliary players")
        networks = architecture(spec.architecture, data.image_shape)
        initial = networks.initial_weights(spec.random_seed)
        self._weights = {name: w.to(data.device).requires_grad_() for name, w in initial.items()}
        self._parameters = list(self._weights.values())
        self._optimizer = optimizer_of(self._weights, spec.optimizer)
        self._device_step = torch.zeros((), dtype=torch.int64, device=data.device)
        self._meter = TermsMeter(spec.architecture.num_latent, data.device)
        self._streams = self._make_streams(evaluation=False)
        self.networks = Networks(networks, self._weights)

    def advance(self, num_steps: int) -> None:
        """Makes updates without ever waiting for the device; their terms are read with `read_terms`."""
        with denormals_as_zero():
            for _ in range(num_steps):
                self._update()

    def read_terms(self) -> MeanTerms:
        """Means since the last read, waiting once. Raises `NonFiniteLoss` naming the step that went wrong."""
        return self._meter.read(self.step)

    def evaluate(self, num_batches: int) -> dict[str, float]:
        """The reference's train results but for `elapsed_time` and `uuid`: means over batches of their own stream."""
        streams = self._make_streams(evaluation=True)
        meter = TermsMeter(self.spec.architecture.num_latent, self._data.device)
        with torch.no_grad():
            for batch in range(num_batches):
                meter.add(self._terms(streams, batch), self._device_step)
        means = meter.read(self.step)
        return {**means.reported, "loss": means.loss, "global_step": self.step}

    def model(self) -> Model:
        """The model as trained so far; later steps do not change it."""
        copies = {name: w.clone() for name, w in self.weights().items()}
        return Model(self.spec, copies, image_shape=self._data.image_shape, device=self._data.device)

    def weights(self) -> dict[str, Tensor]:
        """The trained weights, sharing memory with the training."""
        return {name: w.detach() for name, w in self._weights.items()}

    def state(self) -> dict[str, Tensor]:
        """A copy on the host of everything that the next step depends on. Read the terms first."""
        tensors = {name: tensor.cpu().clone() for name, tensor in self._tensors().items()}
        return tensors | {"step": torch.tensor(self.step)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continues where `state` was taken. Raises `CorruptArtifact` when it is not a state of this spec."""
        own = self._tensors()
        check_same_tensors(own | {"step": torch.tensor(0)}, state)
        for name, tensor in own.items():
            tensor.copy_(state[name])
        self.step = int(state["step"])
        self._device_step.fill_(self.step)
        self._meter = TermsMeter(self.spec.architecture.num_latent, self._data.device)

    def _tensors(self) -> dict[str, Tensor]:
        weights = {f"weights.{name}": w for name, w in self.weights().items()}
        return weights | {f"optimizer.{name}": m for name, m in self._optimizer.state().items()}

    def _update(self) -> None:
        terms = self._terms(self._streams, self.step)
        gradients = torch.autograd.grad(terms.loss, self._parameters)
        self._optimizer.update(list(gradients), self.step)
        self._meter.add(terms, self._device_step)
        self.step += 1
        self._device_step = self._device_step + 1

    def _terms(self, streams: Streams, step: int) -> Terms:
        batch = Batch(self._data.images(streams.rows(step)))
        return self._objective.loss(self.networks, batch, streams.at(step), self._device_step)

    def _make_streams(self, *, evaluation: bool) -> Streams:
        return Streams(
            self.spec.random_seed,
            num_rows=len(self._data),
            batch_size=self.spec.batch_size,
            num_latent=self.spec.architecture.num_latent,
            device=self._data.device,
            evaluation=evaluation,
        )


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Adam's moments of weights that get no gradient decay below 1e-38, where a CPU is up to 25 times slower."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def check_built(spec: TrainSpec) -> None:
    """Raises `NotBuiltYet` for parts of a spec that are not built at all."""
    if spec.precision != "fp32":
        raise NotBuiltYet(f"precision.{spec.precision}")
    if spec.dataset.options:
        raise NotBuiltYet(f"dataset.options.{spec.dataset.options[0].word}")
