"""Which models of a group are trained as packs, where the device gains from it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from disentanglement.errors import DisentanglementError, StepNotCommitted
from disentanglement.specs import TrainSpec
from disentanglement.steps.context import StepContext
from disentanglement.studies.pending import WorkItem

if TYPE_CHECKING:
    from disentanglement.models.training.pack import Way

log = logging.getLogger(__name__)


def way_of(context: StepContext) -> Way | None:
    """The setting, else what suits the device; None: no packs."""
    from disentanglement.models.training.pack import way_for  # needs torch

    if context.pack is None:
        return way_for(context.device)
    return None if context.pack == "off" else context.pack


def train_as_pack(
    items: Sequence[WorkItem], context: StepContext, way: Way
) -> Iterator[tuple[WorkItem, DisentanglementError]]:
    """Trains models as one pack; gives those that can't succeed as specified, with the reason.

    What is not committed afterwards, for a reason that nobody foresaw, is left to be trained alone.

    Raises:
        Interrupted: asked to stop, with checkpoints in place.
        DisentanglementError: whatever may succeed when it is tried again.
    """
    from disentanglement.steps.train_pack import train_pack  # needs torch

    try:
        outcomes = train_pack([spec_of(item) for item in items], [context] * len(items), way)
    except DisentanglementError:
        raise
    except Exception:  # alone they may do better, and alone each has its own end
        log.exception("pack crashed", extra={"models": [item.number for item in items]})
        return
    for item, outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, DisentanglementError) and not isinstance(outcome, StepNotCommitted):
            yield item, outcome


def packs_of(items: Sequence[WorkItem]) -> list[list[WorkItem]]:
    """The items that can be trained together, two at least."""
    from disentanglement.models.training.pack import what_is_shared  # needs torch

    alike: dict[TrainSpec, list[WorkItem]] = {}
    for item in items:
        if (shared := what_is_shared(spec_of(item))) is not None:
            alike.setdefault(shared, []).append(item)
    return [members for members in alike.values() if len(members) > 1]


def spec_of(item: WorkItem) -> TrainSpec:
    """Of an item that is a training."""
    assert isinstance(item.spec, TrainSpec), "asked for before"
    return item.spec
