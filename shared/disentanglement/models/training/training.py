"""The training loop: many iterations without waiting for the device, then one read of what happened.

A training is a value that can be saved between any two iterations: its state is the weights, the optimisers' moments,
the step, and the terms that have not been read yet.

A *step* is what the reference counts, one for each optimiser's update, and what budgets, annealers and schedules are
measured in. An *iteration* is one pass of the loop; it counts two steps where a discriminator is trained too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from disentanglement.datasets.ground_truth import GroundTruth
from disentanglement.errors import NotBuiltYet
from disentanglement.models.catalog import objective_of
from disentanglement.models.data.batches import batches_of, factor_sizes, num_evaluation_batches
from disentanglement.models.data.images import TrainingData
from disentanglement.models.machine.graphs import Graph, graphs_of
from disentanglement.models.machine.precision import precision_switches
from disentanglement.models.model import Model
from disentanglement.models.networks.architectures import Architecture, architecture
from disentanglement.models.networks.layers import Variable
from disentanglement.models.networks.network import Networks
from disentanglement.models.networks.ops import ops_for
from disentanglement.models.networks.weights import check_same_tensors
from disentanglement.models.objectives.protocol import Batch, Noise, Objective, Terms
from disentanglement.models.streams import Streams
from disentanglement.models.training.captured import CapturedIterations, can_be_recorded, recorded_training
from disentanglement.models.training.meter import MeanTerms, TermsMeter
from disentanglement.models.training.optimizers import Optimizer, optimizer_of
from disentanglement.specs import TrainSpec
from disentanglement.specs.networks import OptimizerSpec
from disentanglement.specs.plugins import plugins_of
from disentanglement.specs.sources import WRONG, blamed, unfit

Update = Callable[[int, Sequence[Tensor]], None]
"""(which optimiser, its gradients): the networks' is 0, the players' follow."""


class Training:
    """One model in training. Raises `NotBuiltYet` for what this release can't train, before any work."""

    def __init__(self, spec: TrainSpec, data: TrainingData, truth: GroundTruth | None = None) -> None:
        """Weights begin as a function of the spec's seed; the data decides the device.

        `truth` says what the images show, for objectives that learn from labels or pairs.
        """
        check_built(spec)
        self.spec = spec
        self.iteration = 0
        self.data, self.truth = data, truth
        self.objective = objective_of(spec, factor_sizes(spec, truth))
        networks = architecture(spec.architecture, data.image_shape)
        self._weights = {
            variable.name: variable.initial(spec.random_seed).to(data.device)
            for variable in all_variables(networks, self.objective)
        }
        self.optimizers = [self._optimizer(networks.variables(), self.objective.variables, spec=spec.optimizer)]
        self.optimizers += [self._optimizer(p.variables, spec=p.optimizer) for p in self.objective.players]
        self.device_step = torch.zeros((), dtype=torch.int64, device=data.device)
        players = [player.name for player in self.objective.players]
        self.meter = TermsMeter(spec.architecture.num_latent, data.device, players)
        self._streams = self.make_streams(evaluation=False)
        self._batches = batches_of(spec, data, truth, self._streams, evaluation=False)
        self.networks = Networks(networks, self._weights, ops_for(spec.precision, data.device))
        self._graphs: Callable[[], Graph] | None = None
        self._recorded: CapturedIterations | None = None
        if data.device.type == "cuda" and can_be_recorded(self):
            self.record_with(graphs_of(data.device))

    @property
    def step(self) -> int:
        """Steps counted so far."""
        return self.iteration * self.objective.steps_per_iteration

    @property
    def num_steps(self) -> int:
        """Steps counted when it is done.

        The reference stops once it has seen `training_steps` counted, and where an iteration counts two it looks
        after the first: 10 make 6 iterations and end at 12.
        """
        per_iteration = self.objective.steps_per_iteration
        return (self.spec.training_steps + 2 * per_iteration - 2) // per_iteration * per_iteration

    def advance(self, num_iterations: int) -> None:
        """Makes updates without ever waiting for the device; their terms are read with `read_terms`."""
        with denormals_as_zero(), precision_switches(self.spec.precision):
            if self._graphs is not None:
                self._recorded = self._recorded or recorded_training(self, self._graphs())
                self._recorded.run(num_iterations)
                self.iteration += num_iterations
            else:
                for _ in range(num_iterations):
                    self._update()

    def record_with(self, graphs: Callable[[], Graph] | None) -> None:
        """Iterations are recorded in such a graph and replayed from here on, or made one by one."""
        self._graphs, self._recorded = graphs, None

    def take_own_memory(self) -> None:
        """Out of a pack, whose tensors hold those of all its members."""
        mine = [*self._weights.values(), *(m for o in self.optimizers for m in o.state().values())]
        for tensor in (*mine, self.device_step, *self.meter.tensors().values()):
            tensor.data = tensor.detach().clone()
        self._recorded = None

    def advance_to(self, step: int) -> None:
        """Makes the iterations that it takes to count `step`."""
        self.advance(-((self.step - step) // self.objective.steps_per_iteration))

    def read_terms(self) -> MeanTerms:
        """Means since the last read, waiting once. Raises `NonFiniteLoss` naming the step that went wrong."""
        return self.meter.read(self.step)

    def evaluate(self) -> dict[str, float]:
        """The reference's train results but for `elapsed_time` and `uuid`: means over batches of their own stream.

        Without a batch (nothing validates where all labels are trained on) all of them are 0, as in the reference.
        """
        num_batches = num_evaluation_batches(self.spec)
        streams = self.make_streams(evaluation=True)
        batches = batches_of(self.spec, self.data, self.truth, streams, evaluation=num_batches > 0)
        players = [player.name for player in self.objective.players]
        meter = TermsMeter(self.spec.architecture.num_latent, self.data.device, players)
        with torch.no_grad(), precision_switches(self.spec.precision):
            for iteration in range(max(num_batches, 1)):
                terms = self.objective.loss(
                    self.networks, batches.at(iteration), streams.at(iteration), self.device_step
                )
                meter.add(terms, self.device_step)
        means = meter.read(self.step)
        results = {**means.reported, "loss": means.loss}
        return {name: value if num_batches else 0.0 for name, value in results.items()} | {"global_step": self.step}

    def model(self) -> Model:
        """The model as trained so far; later steps do not change it."""
        copies = {name: w.clone() for name, w in self.weights().items()}
        return Model(self.spec, copies, image_shape=self.data.image_shape, device=self.data.device)

    def weights(self) -> dict[str, Tensor]:
        """The networks' weights, sharing memory with the training; those of objective and players are left out."""
        names = (variable.name for variable in self.networks.architecture.variables())
        return {name: self._weights[name].detach() for name in names}

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
        self.iteration = int(state["step"]) // self.objective.steps_per_iteration
        self.device_step.fill_(self.step)
        self.meter.clear()
        self._recorded = None

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"weights.{name}": w.detach() for name, w in self._weights.items()}
        for optimizer in self.optimizers:
            tensors |= {f"optimizer.{name}": m for name, m in optimizer.state().items()}
        return tensors

    def _update(self) -> None:
        iteration, step = self.iteration, self.step

        def update(player: int, gradients: Sequence[Tensor]) -> None:
            self.optimizers[player].update(gradients, iteration, step)

        self.iterate(self._batches.at(iteration), self._streams.at(iteration), update)
        self.iteration += 1

    def iterate(self, batch: Batch, noise: Noise, update: Update) -> None:
        """What an iteration does on the device: all gradients at the current weights, then all optimisers step."""
        terms = self._terms(batch, noise)
        losses = (terms.loss, *terms.player_losses)
        gradients = [
            torch.autograd.grad(loss, optimizer.weights, retain_graph=loss is not losses[-1], materialize_grads=True)
            for loss, optimizer in zip(losses, self.optimizers, strict=True)
        ]
        for player, own in enumerate(gradients):
            update(player, own)
        self.meter.add(terms, self.device_step)
        self.device_step += self.objective.steps_per_iteration

    def _terms(self, batch: Batch, noise: Noise) -> Terms:
        try:
            return self.objective.loss(self.networks, batch, noise, self.device_step)
        except WRONG as error:
            if own := blamed(plugins_of([self.spec]), error):
                raise unfit(own[1], own[0], error) from error
            raise

    def _optimizer(self, *variables: Iterable[Variable], spec: OptimizerSpec) -> Optimizer:
        names = [variable.name for some in variables for variable in some]
        return optimizer_of({name: self._weights[name].requires_grad_() for name in names}, spec)

    def make_streams(self, *, evaluation: bool, device: torch.device | None = None) -> Streams:
        """The random numbers of this training or of its evaluation, on the data's device unless another is given."""
        labelled = self.spec.labelled
        return Streams(
            self.spec.random_seed,
            num_rows=len(self.data),
            batch_size=self.spec.batch_size,
            num_latent=self.spec.architecture.num_latent,
            device=device or self.data.device,
            evaluation=evaluation,
            rows_seed=None if labelled is None else labelled.unsupervised_data_seed,
        )


def all_variables(networks: Architecture, objective: Objective) -> Iterator[Variable]:
    """The networks', the objective's own, and the players'."""
    yield from networks.variables()
    yield from objective.variables
    yield from objective.untrained
    for player in objective.players:
        yield from player.variables


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
    if spec.dataset.options:
        raise NotBuiltYet(f"dataset.options.{spec.dataset.options[0].word}")
