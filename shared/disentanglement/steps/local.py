"""A study on this machine, without services: the driver over a pool of worker processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from disentanglement.specs import STEPS
from disentanglement.steps.context import DEVICE_VARIABLE
from disentanglement.steps.driver import Driver, StudyEvent
from disentanglement.steps.ledger import StudyLedger
from disentanglement.steps.messages import StepResult
from disentanglement.steps.pool import WorkerPool
from disentanglement.steps.progress import Report
from disentanglement.studies.pending import WorkItem
from disentanglement.studies.plan import Plan
from disentanglement.studies.progress import StudySnapshot


async def run_study(
    plan: Plan,
    ledger: StudyLedger,
    *,
    workers: int,
    env: Mapping[str, str],
    watch: Callable[[StudyEvent], None],
    devices: Sequence[str] = (),
) -> StudySnapshot:
    """Runs what is pending of a study in `workers` processes; cancelling it leaves checkpoints.

    `env` tells the workers where the store is (see `StepContext.from_env`). With `devices` (`cuda:0`, ...), there are
    `workers` processes for each of them.
    """
    pools = [WorkerPool(workers, env={**env, DEVICE_VARIABLE: device}) for device in devices]
    pools = pools or [WorkerPool(workers, env=env)]
    running = dict.fromkeys(pools, 0)

    async def run_item(item: WorkItem, report: Report) -> StepResult:
        pool = min(pools, key=running.__getitem__)
        running[pool] += 1
        try:
            return await pool.run(item, report=report)
        finally:
            running[pool] -= 1

    at_once = workers * len(pools)
    driver = Driver(plan, ledger, run_item, capacity=dict.fromkeys(STEPS, at_once), watch=watch, workers=at_once)
    try:
        return await driver.run()
    finally:
        for pool in pools:
            await pool.close()
