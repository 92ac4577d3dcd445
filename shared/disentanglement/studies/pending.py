"""What is still to do: one pure function of a plan and of what the store holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from disentanglement.specs import EvaluateSpec, PostprocessSpec, Step, StepKey, StepSpec, TrainSpec
from disentanglement.specs.canonical import StepIdentity, step_key
from disentanglement.studies.plan import PlannedModel

StepId = tuple[Step, StepKey]
STEP_OF: dict[type[StepSpec], Step] = {TrainSpec: "train", PostprocessSpec: "postprocess", EvaluateSpec: "evaluate"}


@dataclass(frozen=True)
class WorkItem:
    """One step to run: its spec and the keys of the steps before it, nearest first."""

    number: int
    spec: StepSpec
    upstream: tuple[StepKey, ...]
    identity: StepIdentity | None = field(default=None, compare=False, repr=False)
    """That of the spec, where it is known."""

    @property
    def step(self) -> Step:
        """`train`, `postprocess` or `evaluate`."""
        return STEP_OF[type(self.spec)]

    @cached_property
    def key(self) -> StepKey:
        """The step key."""
        return step_key(self.spec, self.upstream[:1], identity=self.identity)

    @property
    def id(self) -> StepId:
        """Step and key."""
        return self.step, self.key


def pending(
    models: Iterable[PlannedModel], committed: Collection[StepId], failed: Collection[StepId]
) -> Iterator[WorkItem]:
    """The steps that can run now: not committed, not failed, with their input committed.

    One representation of a model is extracted at a time, because all of them read the same codes.
    """
    for model in models:
        yield from _pending_of(model, committed, failed)


def steps_of(model: PlannedModel) -> Iterator[WorkItem]:
    """Every step of a model, inputs before outputs."""
    number, identity_of = model.number, model.identities.of
    yield WorkItem(number, model.train, (), model.identity)
    for representation in model.representations:
        yield WorkItem(number, representation.spec, (model.key,), identity_of(representation.spec))
        upstream = (representation.key, model.key)
        for evaluation in representation.evaluations:
            yield WorkItem(number, evaluation, upstream, identity_of(evaluation))


def _pending_of(model: PlannedModel, committed: Collection[StepId], failed: Collection[StepId]) -> Iterator[WorkItem]:
    extracting = False
    for item in steps_of(model):
        if item.id in committed or item.id in failed:
            continue
        match item.spec:
            case TrainSpec():
                yield item
                return
            case PostprocessSpec() if not extracting and ("train", model.key) in committed:
                extracting = True
                yield item
            case EvaluateSpec() if ("postprocess", item.upstream[0]) in committed:
                yield item
