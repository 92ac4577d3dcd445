"""A bounded pool of worker processes, spawned and never forked, driven from one event loop."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from disentanglement.errors import ResourceExhausted, Unavailable, WorkerDied
from disentanglement.specs import THREADS_PER_STEP, EvaluateSpec, StepKey
from disentanglement.steps.messages import StepResult, error_from_plain, item_to_plain, line
from disentanglement.steps.progress import Progress, Report, silent
from disentanglement.steps.turns import Turns
from disentanglement.studies.pending import WorkItem

log = logging.getLogger(__name__)

STOP_GRACE_S = 20.0
LINE_LIMIT = 1 << 22
QUICK_METRICS = frozenset(
    {
        *("beta_vae_sklearn", "factor_vae_score", "irs", "mig", "mig_validation", "modularity_explicitness"),
        *("sap_score", "sap_score_validation", "unsupervised_metrics"),
    }
)
"""Metrics that take seconds at most; no number depends on it."""
ONE_THREAD = {
    name: str(THREADS_PER_STEP)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
}


class WorkerPool:
    """Runs work items in `size` processes; at most `queue_limit` more may wait. Callers take turns.

    One process more is started where a caller with nothing running asks for a quick step while all others are busy.
    """

    def __init__(
        self, size: int, *, env: Mapping[str, str], queue_limit: int | None = None, quick_places: int = 0
    ) -> None:
        self.size = size
        self._env = {**env, **ONE_THREAD}
        self._queue_limit = queue_limit
        self._turns = Turns(size, quick_places)
        self._idle: dict[asyncio.subprocess.Process, tuple[StepKey, ...]] = {}
        """With the steps before the one that each computed last: it may have read what the next one needs."""

    def check_room(self, accepted: int) -> None:
        """Raises `ResourceExhausted` where `accepted` steps fill workers and queue already."""
        if self._queue_limit is not None and accepted >= self.size + self._queue_limit:
            raise ResourceExhausted(f"{accepted} steps are running or waiting, which is the limit")

    async def run(
        self,
        item: WorkItem,
        *,
        report: Report = silent,
        started: Callable[[], Awaitable[None]] | None = None,
        recompute: bool = False,
        grace_s: float = STOP_GRACE_S,
        callers: Collection[str] = ("",),
    ) -> StepResult:
        """Runs one item once it is its callers' turn, and then calls `started`.

        Cancelling the call asks the step to checkpoint and stop, and waits `grace_s` for it.

        Raises:
            WorkerDied: the worker process died.
            Unavailable: no worker process can be started.
            DisentanglementError: whatever the step raised.
        """
        async with self._turns.turn(callers, is_quick=is_quick(item)):
            if started is not None:
                await started()
            return await self._run_in_worker(item, report, recompute, grace_s)

    async def close(self) -> None:
        """Ends idle workers; call it when no item runs any more."""
        idle, self._idle = self._idle, {}
        for process in idle:
            await _end(process)

    async def _run_in_worker(self, item: WorkItem, report: Report, recompute: bool, grace_s: float) -> StepResult:
        process = await self._worker(item)
        try:
            _send(process, {"run": item_to_plain(item), "recompute": recompute})
            answer = await _answer(process, report)
        except asyncio.CancelledError:
            await _stop(process, grace_s)
            raise
        if answer is None:
            code = await process.wait()
            raise WorkerDied(f"the worker process died with exit code {code} while running {item.step} {item.key}")
        self._idle[process] = item.upstream
        if "error" in answer:
            raise error_from_plain(answer["error"])
        return StepResult(**answer["result"])

    async def _worker(self, item: WorkItem) -> asyncio.subprocess.Process:
        """One that has just scored the same representation, if one is free."""
        for process in sorted(self._idle, key=lambda process: self._idle[process] != item.upstream):
            del self._idle[process]
            if process.returncode is None:
                return process
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "disentanglement.steps.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=self._env,
                limit=LINE_LIMIT,
            )
        except OSError as error:  # no memory, or too many files or processes: later there may be fewer
            raise Unavailable(f"no worker process can be started: {error}") from error


def is_quick(item: WorkItem) -> bool:
    """Whether a step takes seconds at most."""
    return isinstance(item.spec, EvaluateSpec) and item.spec.metric.word in QUICK_METRICS


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with some settings replaced."""
    return {**os.environ, **settings}


def _send(process: asyncio.subprocess.Process, message: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(line(message))


async def _answer(process: asyncio.subprocess.Process, report: Report) -> dict[str, Any] | None:
    """The result or error; None when the process ended without one."""
    assert process.stdout is not None
    while text := await process.stdout.readline():
        message: dict[str, Any] = json.loads(text)
        if "progress" not in message:
            return message
        report(Progress.from_plain(message["progress"]))
    return None


async def _stop(process: asyncio.subprocess.Process, grace_s: float) -> None:
    """Asks a busy worker to stop, then ends it; kills it when it does not listen."""
    if process.returncode is None:
        _send(process, {"stop": True})
    await _end(process, grace_s)


async def _end(process: asyncio.subprocess.Process, grace_s: float = STOP_GRACE_S) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(grace_s):
            await process.communicate()
    except TimeoutError:
        log.warning("worker did not stop in time", extra={"pid": process.pid, "grace_s": grace_s})
        process.kill()
        await process.wait()
