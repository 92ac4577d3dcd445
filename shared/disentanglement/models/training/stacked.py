"""The iterations of K trainings as one: the networks stacked, the small rest of each objective member by member.

All members' variables lie in tensors `[K, ...]`, and the members' own tensors are views of them: weights, moments,
counters and sums. So whatever one asks of a member, its state, its evaluation, its model, is answered as ever.

Nothing of one member enters a sum of another: the gradient of the sum of all losses is, for each member, that of its
own loss, and what is not finite stays where it is.

Shapes: K members, B batch, N = K B, Z latents.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from disentanglement.models.machine.graphs import Graph
from disentanglement.models.networks.network import Networks
from disentanglement.models.networks.ops import Ops, in_precision
from disentanglement.models.networks.posterior import Posterior
from disentanglement.models.networks.stacked_ops import stacked_ops
from disentanglement.models.objectives.protocol import Terms
from disentanglement.models.objectives.unsupervised import Latents, Unsupervised
from disentanglement.models.training.captured import (
    CapturedIterations,
    can_be_recorded,
    device_adam,
    optimizer_specs,
    step_size,
)
from disentanglement.models.training.device_adam import DeviceAdam
from disentanglement.models.training.meter import NEVER, pieces, watched
from disentanglement.models.training.training import Training
from disentanglement.models.training.windows import Windows, WindowStreams
from disentanglement.specs.networks import OptimizerSpec


@dataclass(frozen=True, slots=True)
class Stack:
    """What one optimiser of several members updates."""

    members: tuple[int, ...]
    player: int
    """Which of their optimisers: 0 is the networks'."""
    weights: dict[str, Tensor]
    """Leaves `[k, ...]` by the names of the variables."""
    adam: DeviceAdam


class StackedTraining:
    """Trainings of equal networks, batch size and data, from where each of them is."""

    def __init__(self, members: Sequence[Training], graph: Graph, ops: Ops | None = None) -> None:
        """The members' tensors become views. `ops` are for K models at once; the device's own where none are given."""
        assert all(can_be_recorded(member) for member in members), "asked for before"
        self._members = tuple(members)
        self._begins = tuple(member.iteration for member in members)
        self._num_run = 0
        first = members[0]
        self._data, device = first.data, first.data.device
        windows = self._windows = Windows(device)
        self._numbers = [m.make_streams(evaluation=False, device=torch.device("cpu")) for m in members]
        self._streams = [
            WindowStreams(numbers, windows, begin=begin)
            for numbers, begin in zip(self._numbers, self._begins, strict=True)
        ]
        self._stacks = list(stacks_of(self._members))
        precise = in_precision(ops or stacked_ops(device), first.spec.precision, device)
        self._networks = Networks(first.networks.architecture, self._stacks[0].weights, precise)
        self._steps_K = joined([member.device_step for member in members])
        counted = [member.objective.steps_per_iteration for member in members]
        self._steps_per_iteration_K = torch.tensor(counted, device=device)
        self._sums: Tensor | None = None
        self._counts_K = joined([member.meter.tensors()["count"] for member in members])
        self._first_bad = torch.zeros(0, dtype=torch.int64, device=device)
        self._owners = torch.zeros(0, dtype=torch.int64, device=device)
        self._iterations = CapturedIterations(self._iterate, windows, graph)

    def is_at(self, members: Sequence[Training]) -> bool:
        """Whether it goes on where these trainings are."""
        here = tuple(begin + self._num_run for begin in self._begins)
        return self._members == tuple(members) and here == tuple(member.iteration for member in members)

    def run(self, num_iterations: int) -> None:
        """So many iterations of every member."""
        self._iterations.run(num_iterations)
        self._num_run += num_iterations
        for member in self._members:
            member.iteration += num_iterations

    def _iterate(self) -> None:
        """All gradients are taken at the current weights, then all optimisers step."""
        terms = self._terms()
        gradients = [self._gradients(stack, terms) for stack in self._stacks]
        for stack, own in zip(self._stacks, gradients, strict=True):
            stack.adam.update(own, self._sizes(stack))
        self._add(terms)
        self._windows.advance()

    def _terms(self) -> list[Terms]:
        images = self._data.images(self._of_all("rows", lambda k, at: self._numbers[k].rows(at)), self._draws())
        noise_NZ = self._of_all("latent", lambda k, at: self._numbers[k].latent(at, 0))
        posterior, codes_NZ, outputs = self._networks.autoencode(images, noise_NZ)
        reconstruction_KB = self._apart(objective_of(self._members[0]).reconstruction(images, outputs))
        mean_KBZ, logvar_KBZ = self._apart(posterior.mean_BZ), self._apart(posterior.logvar_BZ)
        kl_KZ = Posterior(mean_KBZ, logvar_KBZ).kl_per_latent()
        posteriors = [Posterior(*parts) for parts in zip(mean_KBZ.unbind(), logvar_KBZ.unbind(), strict=True)]
        latents = map(Latents, posteriors, self._apart(codes_NZ).unbind(), kl_KZ.unbind())
        per_member = zip(self._members, self._own_networks(), self._streams, self._steps_K.unbind(), strict=True)
        return [
            objective_of(member).terms(reconstruction_B, own, networks, streams.at(member.iteration), step)
            for (member, networks, streams, step), own, reconstruction_B in zip(
                per_member, latents, reconstruction_KB.unbind(), strict=True
            )
        ]

    def _draws(self) -> Tensor | None:
        """How all members' images are observed."""
        if not self._data.is_drawn:
            return None
        return self._of_all("observations", lambda k, at: self._numbers[k].observations(at))

    def _own_networks(self) -> list[Networks]:
        """Each member's, with weights whose gradients arrive in the stacks."""
        weights: list[dict[str, Tensor]] = [{} for _ in self._members]
        for stack in self._stacks:
            for name, stacked in stack.weights.items():
                for k, own in zip(stack.members, stacked.unbind(), strict=True):
                    weights[k][name] = own
        return [
            Networks(member.networks.architecture, own, member.networks.ops)
            for member, own in zip(self._members, weights, strict=True)
        ]

    def _gradients(self, stack: Stack, terms: Sequence[Terms]) -> tuple[Tensor, ...]:
        losses = [(terms[k].loss, *terms[k].player_losses)[stack.player] for k in stack.members]
        return torch.autograd.grad(
            torch.stack(losses).sum(),
            list(stack.weights.values()),
            retain_graph=stack is not self._stacks[-1],
            materialize_grads=True,
        )

    def _sizes(self, stack: Stack) -> Tensor:
        def numbers(position: int) -> Tensor:
            return torch.stack(
                [step_size(self._members[k], stack.player, self._begins[k] + position) for k in stack.members]
            )

        return self._windows.now(("step sizes", stack.player, stack.members), numbers)

    def _add(self, terms: Sequence[Terms]) -> None:
        """To the members' meters, all at once."""
        if self._sums is None:
            for member, own in zip(self._members, terms, strict=True):
                member.meter.expect(own)
            self._sums = in_a_row([member.meter.tensors()["sums"] for member in self._members])
            first_bad = [member.meter.tensors()["first_bad"] for member in self._members]
            self._first_bad = in_a_row(first_bad)
            self._owners = torch.cat([torch.full_like(of_one, k) for k, of_one in enumerate(first_bad)])
        self._sums += torch.cat([piece for own in terms for piece in pieces(own)]).double()
        self._counts_K += 1
        finite = torch.stack([value for own in terms for value in watched(own)]).isfinite()
        bad = self._steps_K[self._owners].masked_fill(finite, NEVER)
        torch.minimum(self._first_bad, bad, out=self._first_bad)
        self._steps_K += self._steps_per_iteration_K

    def _of_all(self, kind: Hashable, numbers: Callable[[int, int], Tensor]) -> Tensor:
        """Numbers of (member, iteration) for all members, one after another."""
        begins = self._begins
        return self._windows.now(
            kind, lambda position: torch.cat([numbers(k, begin + position) for k, begin in enumerate(begins)])
        )

    def _apart(self, x_N: Tensor) -> Tensor:
        """`[K, B, ...]`."""
        return x_N.view(len(self._members), -1, *x_N.shape[1:])


def objective_of(member: Training) -> Unsupervised:
    """Of a member, which can be no other."""
    assert isinstance(member.objective, Unsupervised), "asked for before"
    return member.objective


def stacks_of(members: Sequence[Training]) -> Iterable[Stack]:
    """The networks of all members, then each kind of player."""
    names = [variable.name for variable in members[0].networks.architecture.variables()]
    yield stack_of(members, range(len(members)), 0, names)
    kinds: dict[tuple[int, str], list[int]] = {}
    for k, member in enumerate(members):
        for player, described in enumerate(member.objective.players):
            alike = shared_part(described.optimizer).model_dump_json(), described.variables
            kinds.setdefault((player + 1, str(alike)), []).append(k)
    for (player, _), alike_members in kinds.items():
        variables = members[alike_members[0]].objective.players[player - 1].variables
        yield stack_of(members, alike_members, player, [variable.name for variable in variables])


def stack_of(members: Sequence[Training], which: Iterable[int], player: int, names: Sequence[str]) -> Stack:
    """One optimiser of some of the members."""
    which = tuple(which)
    spec = optimizer_specs(members[which[0]])[player]
    own = [device_adam(members[k].optimizers[player], spec) for k in which]
    weights = [joined(same).requires_grad_() for same in zip(*(adam.weights for adam in own), strict=True)]
    first = [joined(same) for same in zip(*(adam.first for adam in own), strict=True)]
    second = [joined(same) for same in zip(*(adam.second for adam in own), strict=True)]
    assert spec.adam is not None, "asked for before"
    return Stack(which, player, dict(zip(names, weights, strict=True)), DeviceAdam(weights, first, second, spec.adam))


def shared_part(spec: OptimizerSpec) -> OptimizerSpec:
    """What an optimiser must have in common with those of the other members: all but its learning rate."""
    assert spec.adam is not None, "asked for before"
    return spec.replace(adam=spec.adam.replace(learning_rate=1.0, schedule=None))


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of equal shape as one, `[K, ...]`; from now on they are views of it."""
    together = torch.stack([tensor.detach() for tensor in tensors])
    for tensor, view in zip(tensors, together.unbind(), strict=True):
        tensor.data = view  # the tensor stays the object that optimisers, networks and meters hold
    return together


def in_a_row(tensors: Sequence[Tensor]) -> Tensor:
    """Vectors as one; from now on they are views of it."""
    together = torch.cat(list(tensors))
    for tensor, view in zip(tensors, torch.split(together, [len(tensor) for tensor in tensors]), strict=True):
        tensor.data = view
    return together
