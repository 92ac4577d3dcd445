"""The train steps of several models as one pack; each model has an attempt, checkpoints and an end of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from threadpoolctl import threadpool_limits

from disentanglement.errors import DisentanglementError, Interrupted, StepNotCommitted
from disentanglement.models.machine.threads import contract_threads
from disentanglement.models.training.pack import Pack, Way
from disentanglement.specs import THREADS_PER_STEP, TrainSpec
from disentanglement.steps.context import StepContext
from disentanglement.steps.driver import TERMINAL
from disentanglement.steps.messages import StepResult
from disentanglement.steps.once import Begun, begin
from disentanglement.steps.train import OpenedData, TrainingAttempt

log = logging.getLogger(__name__)

Outcome = StepResult | DisentanglementError
"""A committed step, or why that model can't succeed as specified, or not yet: the model it starts from is missing."""

ITERATIONS_PER_LOOK = 4
"""Iterations of all members between two looks at whether somebody asked to stop."""


def train_pack(specs: Sequence[TrainSpec], contexts: Sequence[StepContext], way: Way) -> list[Outcome]:
    """Trains models that can be in one pack (`pack.what_is_shared`), those that are committed aside; how each ended.

    A member goes on from its furthest checkpoint, whoever wrote it, a pack or a training alone, and so may another
    pack from this one's. One that fails for good leaves the pack, and the others go on.

    Raises:
        Interrupted: one of the contexts asks to stop; every member has a checkpoint.
        DisentanglementError: whatever may succeed when it is tried again; members may have been committed before.
    """
    with contract_threads(), threadpool_limits(THREADS_PER_STEP):
        return _PackStep(specs, contexts, way).run()


@dataclass(frozen=True, slots=True)
class _Member:
    """One model of the pack, in training."""

    number: int
    begun: Begun
    attempt: TrainingAttempt


class _PackStep:
    """One go at the models that are not committed yet."""

    def __init__(self, specs: Sequence[TrainSpec], contexts: Sequence[StepContext], way: Way) -> None:
        self._specs, self._contexts, self._way = specs, contexts, way
        self._outcomes: dict[int, Outcome] = {}
        self._begun: dict[int, Begun] = {}
        self._members: list[_Member] = []

    def run(self) -> list[Outcome]:
        """Every model's end, in the order of the specs."""
        for number, (spec, context) in enumerate(zip(self._specs, self._contexts, strict=True)):
            with self._alone(number):
                begun = begin(spec, (), context)
                if isinstance(begun, StepResult):
                    self._outcomes[number] = begun
                else:
                    self._begun[number] = begun
        try:
            self._open()
            self._train()
        except BaseException as error:
            for begun in self._begun.values():
                begun.fail(error)
            raise
        return [self._outcomes[number] for number in range(len(self._specs))]

    def _open(self) -> None:
        """Finds out where every model is."""
        if not self._begun:
            return
        number, first = next(iter(self._begun.items()))
        opened = OpenedData.of(self._specs[number], first.context)
        keys = {number: str(begun.attempt.step_key) for number, begun in self._begun.items()}
        for number, begun in list(self._begun.items()):
            mates = [key for other, key in keys.items() if other != number]
            with self._alone(number):
                attempt = TrainingAttempt(
                    self._specs[number],
                    begun.context,
                    begun.attempt,
                    opened=opened,
                    provenance={"pack": {"way": self._way, "mates": mates}},
                    engine=self._way,
                )
                self._members.append(_Member(number, begun, attempt))

    def _train(self) -> None:
        """Until the last member has come to its end."""
        if not self._members:
            return
        pack = Pack([member.attempt.training for member in self._members], self._way)
        while True:
            if any(member.begun.context.should_stop() for member in self._members):
                self._stop()
            for member in [member for member in self._members if member.attempt.is_done]:
                pack.drop(member.attempt.training)
                with self._alone(member.number):
                    self._outcomes[member.number] = member.begun.finish(member.attempt.finish())
                    self._forget(member.number)
            if not self._members:
                return
            pack.advance(min(ITERATIONS_PER_LOOK, *map(_iterations_to_read, self._members)))
            self._look(pack)

    def _look(self, pack: Pack) -> None:
        for member in list(self._members):
            with self._alone(member.number):
                member.attempt.look()
            if member not in self._members:
                pack.drop(member.attempt.training)

    def _stop(self) -> None:
        """Leaves a checkpoint of everybody."""
        for member in list(self._members):
            with self._alone(member.number):
                member.attempt.stop()
        raise Interrupted(f"a pack of {len(self._specs)} stopped, with checkpoints: run it again to go on")

    @contextmanager
    def _alone(self, number: int) -> Iterator[None]:
        """What can't succeed as specified ends this model, and no other."""
        try:
            yield
        except (*TERMINAL, StepNotCommitted) as error:
            log.warning("failed in a pack", extra={"model": number, "reason": error.reason})
            if number in self._begun:
                self._begun[number].fail(error)
            self._outcomes[number] = error
            self._forget(number)

    def _forget(self, number: int) -> None:
        self._begun.pop(number, None)
        self._members = [member for member in self._members if member.number != number]


def _iterations_to_read(member: _Member) -> int:
    return -(-member.attempt.steps_to_read // member.attempt.training.objective.steps_per_iteration)
