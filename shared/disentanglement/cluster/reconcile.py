"""What to do next about a study: one pure function of what is wanted, of what the store holds and of the Jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from disentanglement.cluster.actions import Action
from disentanglement.cluster.state import CellState, JobView
from disentanglement.specs import Step

MAX_GROUPS = 500
"""Indexes of one Job."""


@dataclass(frozen=True)
class Wanted:
    """What is wanted: a study and its plan, as far as Jobs depend on it."""

    study: str
    """Name of the resource."""
    plan: str
    """Digest."""
    cells: Mapping[str, tuple[int, ...]]
    """Numbers of the models of each cell, ascending, in the order in which cells are worked off."""
    has_scores: bool = True
    """False: models are only trained."""
    pack: int = 1
    parallelism: int = 8
    is_paused: bool = False
    is_deleting: bool = False
    queue: str = ""
    generation: int = 0
    """`spec.retryGeneration`."""
    cleared_generation: int = 0
    """Up to which generation failures were forgotten, as the store says."""
    evicts_codes: bool = False
    finished_jobs_s: int = 3600
    images: Mapping[Step, str] = field(default_factory=dict)


def reconcile(wanted: Wanted, cells: Mapping[str, CellState], jobs: Iterable[JobView]) -> list[Action]:
    """The next actions, to be done in this order.

    `jobs` have to be seen before `cells` are listed in the store, so that what an ended Job has committed is known.
    """
    raise NotImplementedError
