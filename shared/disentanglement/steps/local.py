"""A study on this machine, without services: the driver over a pool of worker processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from disentanglement.specs import STEPS
from disentanglement.steps.driver import Driver, StudyEvent
from disentanglement.steps.ledger import StudyLedger
from disentanglement.steps.messages import StepResult
from disentanglement.steps.pool import WorkerPool
from disentanglement.steps.progress import Report
from disentanglement.studies.pending import WorkItem
from disentanglement.studies.plan import Plan
from disentanglement.studies.progress import StudySnapshot


async def run_study(
    plan: Plan, ledger: StudyLedger, *, workers: int, env: Mapping[str, str], watch: Callable[[StudyEvent], None]
) -> StudySnapshot:
    """Runs what is pending of a study in `workers` processes; cancelling it leaves checkpoints.

    `env` tells the workers where the store is (see `StepContext.from_env`).
    """
    pool = WorkerPool(workers, env=env)

    async def run_item(item: WorkItem, report: Report) -> StepResult:
        return await pool.run(item, report=report)

    driver = Driver(
        plan, ledger, run_item, capacity=dict.fromkeys(STEPS, workers), watch=watch, workers=workers
    )
    try:
        return await driver.run()
    finally:
        await pool.close()
