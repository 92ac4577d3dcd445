"""Models that are trained side by side over one data set: equal networks, any mix of unsupervised objectives.

A *pack* advances all its members, iteration by iteration, in one of two ways:

- `in_turn`: each member makes its own iterations. The numbers are those of the member alone, bit for bit.
- `stacked`: one iteration of all members at once, see `stacked.py`. The numbers differ from those of the
  member alone by rounding: sums run in another order. Random numbers are the same.

Members keep their own seeds, strengths, learning rates, budgets, checkpoints and failures. One leaves with `drop`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch

from disentanglement.errors import SpecError
from disentanglement.models.machine.graphs import Graph, graphs_of
from disentanglement.models.machine.precision import precision_switches
from disentanglement.models.networks.ops import Ops
from disentanglement.models.training.captured import can_be_recorded
from disentanglement.models.training.stacked import StackedTraining, shared_part
from disentanglement.models.training.training import Training, denormals_as_zero
from disentanglement.specs import TrainSpec

Way = Literal["in_turn", "stacked"]


def way_for(device: str) -> Way | None:
    """How models are trained together where a device gains from it; None where it gains nothing.

    A GPU is idle most of the time that one of these models trains: its kernels are too small, and K models at once
    make them K times as big. A CPU core is busy with one model already; there stacking only costs copies and cache,
    and models in turn take each other's cache (the measurements are in `packs.md` beside this file).
    """
    return "stacked" if device.partition(":")[0] == "cuda" else None


def what_is_shared(spec: TrainSpec) -> TrainSpec | None:
    """Models go into one pack where this is equal; None for one that goes into no pack.

    A plugin's layers may do what is right for one model alone.
    """
    if "plugin" in (spec.architecture.encoder.word, spec.architecture.decoder.word):
        return None
    if spec.optimizer.adam is None or spec.objective.word not in PACKED:
        return None
    return spec.replace(
        objective={"beta_vae": {"beta": 1.0}},
        optimizer=shared_part(spec.optimizer),
        random_seed=0,
        training_steps=1,
        eval_steps=1,
        init_from="",
    )


PACKED = ("beta_vae", "annealed_vae", "factor_vae", "dip_vae", "beta_tc_vae")


class Pack:
    """Trainings that advance together."""

    def __init__(
        self,
        members: Sequence[Training],
        way: Way,
        *,
        graphs: Callable[[], Graph] | None = None,
        ops: Ops | None = None,
    ) -> None:
        """`graphs` record the iterations of a stacked pack and `ops` run its networks, else what the device has.

        Raises:
            SpecError: members that can't be in one pack.
        """
        self.members = list(members)
        self.way = way
        check_alike(self.members)
        self._ops = ops
        self._graphs = graphs or graphs_of(self.members[0].data.device)
        self._stacked: StackedTraining | None = None

    def advance(self, num_iterations: int) -> None:
        """So many iterations of every member, without ever waiting for the device."""
        if self.way == "in_turn" or len(self.members) == 1:
            for member in self.members:
                member.advance(num_iterations)
            return
        if self._stacked is None or not self._stacked.is_at(self.members):
            self._stacked = StackedTraining(self.members, self._graphs(), self._ops)
        with denormals_as_zero(), precision_switches(self.members[0].spec.precision):
            self._stacked.run(num_iterations)

    def drop(self, member: Training) -> None:
        """Lets a member go, done or failed; it has memory of its own again. Waits for the device."""
        if member.data.device.type == "cuda":  # the recording is given up, and must not be running then
            torch.cuda.synchronize(member.data.device)
        self.members.remove(member)
        member.take_own_memory()
        self._stacked = None


def check_alike(members: Sequence[Training]) -> None:
    """Raises `SpecError` unless the members can be in one pack."""
    kinds = [what_is_shared(member.spec) for member in members]
    for member, kind in zip(members, kinds, strict=True):
        if kind is None or not can_be_recorded(member) or member.data is not members[0].data:
            method = member.spec.objective.method
            raise SpecError.of("pack", "unsupervised objectives trained with Adam over one data set", method)
        if kind != kinds[0]:
            raise SpecError.of("pack", "equal networks, batch sizes, precision and losses", "others")
