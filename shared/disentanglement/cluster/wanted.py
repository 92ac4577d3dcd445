"""What is wanted of the cluster: a study and its plan, as far as Jobs depend on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from disentanglement.cluster.state import JobView
from disentanglement.specs import Step


@dataclass(frozen=True)
class Wanted:
    """A study as `reconcile` sees it."""

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
    """What Jobs made now would run."""

    def asks_for(self, job: JobView) -> bool:
        """Whether a Job is about what is wanted now, and not about an earlier plan or before a retry."""
        return job.generation >= self.generation and job.plan == self.plan

    @cached_property
    def _ranks(self) -> Mapping[str, int]:
        return {cell: rank for rank, cell in enumerate(self.cells)}

    def rank(self, cell: str) -> int:
        """The place of a cell in the order of work; those of no longer wanted plans come last."""
        return self._ranks.get(cell, len(self._ranks))
