"""What a service that computes is made of: an executor over a pool of worker processes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from disentanglement.errors import ResourceExhausted, Unavailable
from disentanglement.specs import Step
from disentanglement.steps.executor import Executor
from disentanglement.steps.pool import WorkerPool
from disentanglement.storage.store import Store

log = logging.getLogger(__name__)


@dataclass
class Executing:
    """An executor, started and drained with its server."""

    executor: Executor
    _resuming: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self, projects: Sequence[str]) -> None:
        """Goes on with what a former process left unfinished, while the server answers already."""
        self._resuming.append(asyncio.create_task(self._resume(list(projects))))

    async def drain(self) -> None:
        """Running steps checkpoint and stop."""
        for task in self._resuming:
            task.cancel()
        await asyncio.gather(*self._resuming, return_exceptions=True)
        await self.executor.drain()

    async def _resume(self, projects: list[str]) -> None:
        try:
            await self.executor.resume(projects)
        except (ResourceExhausted, Unavailable) as error:
            log.warning("unfinished jobs wait until somebody asks", extra={"cause": str(error)})


def executing(
    step: Step, store: Store, *, workers: int, queue: int, env: Mapping[str, str], quick_places: int = 0
) -> Executing:
    """An executor of one step; `quick_places` more workers than `workers` are for quick steps."""
    pool = WorkerPool(workers, env=env, queue_limit=queue, quick_places=quick_places)
    return Executing(Executor(store, pool, steps=(step,)))
