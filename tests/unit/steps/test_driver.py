"""The driver works a plan off through one callable, whatever happens behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from disentanglement.errors import (
    CodesMissing,
    DeviceUnusable,
    DisentanglementError,
    NonFiniteLoss,
    PermissionDenied,
    StoreRefused,
    Unauthenticated,
    Unavailable,
    WorkerDied,
)
from disentanglement.specs import STEPS, StudySpec, parse_spec
from disentanglement.steps import driver as driver_module
from disentanglement.steps.driver import Driver, StudyEvent
from disentanglement.steps.messages import StepResult
from disentanglement.steps.progress import Progress, Report
from disentanglement.studies.pending import StepId, WorkItem, steps_of
from disentanglement.studies.plan import Plan, expand_study
from disentanglement.studies.progress import StudySnapshot

RESULT = StepResult("0" * 16, "0" * 64, computed=True)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(driver_module, "LONGEST_PAUSE_S", 0.0)


def small_plan() -> Plan:
    plain = {
        "name": "small",
        "model": {"dataset": "dsprites_full", "objective": {"beta_vae": {"beta": 1}}},
        "grid": {"sweep": {"random_seed": [0, 1]}},
        "representations": ["mean", "sampled"],
        "metrics": ["mig"],
    }
    return expand_study(parse_spec(StudySpec, plain), {"dsprites_full": "0" * 64})


class Records:
    """What a store would know, in memory."""

    def __init__(self, committed: set[StepId] | None = None) -> None:
        self.done = committed or set()
        self.lost: dict[StepId, DisentanglementError] = {}

    def committed(self, plan: Plan) -> set[StepId]:
        return set(self.done)

    def failed(self, plan: Plan) -> set[StepId]:
        return set(self.lost)

    def record_failure(self, item: WorkItem, error: DisentanglementError) -> None:
        self.lost[item.id] = error


Behaviour = Callable[[WorkItem, int], None]


def drive(
    plan: Plan, records: Records, behave: Behaviour = lambda item, attempt: None, **settings: Any
) -> tuple[StudySnapshot, list[StepId], list[StudyEvent]]:
    """The last snapshot, the steps that were run in order, and the events."""
    ran: list[StepId] = []
    events: list[StudyEvent] = []

    async def run_item(item: WorkItem, report: Report) -> StepResult:
        ran.append(item.id)
        report(Progress(1, 2, "steps"))
        behave(item, ran.count(item.id))
        records.done.add(item.id)
        return RESULT

    settings = {"capacity": dict.fromkeys(STEPS, 2), **settings}
    driver = Driver(plan, records, run_item, watch=events.append, **settings)
    return asyncio.run(driver.run()), ran, events


def all_ids(plan: Plan) -> set[StepId]:
    return {item.id for model in plan.models for item in steps_of(model)}


def test_every_step_is_run_once_with_its_inputs_before_it() -> None:
    plan = small_plan()
    snapshot, ran, _ = drive(plan, Records())
    assert len(ran) == len(set(ran))
    assert set(ran) == all_ids(plan)
    for model in plan.models:
        for representation in model.representations:
            order = [("train", model.key), ("postprocess", representation.key)]
            order += [("evaluate", key) for key in representation.evaluation_keys]
            positions = [ran.index(step_id) for step_id in order]  # type: ignore[arg-type]
            assert positions == sorted(positions)
    assert snapshot.fraction == pytest.approx(1.0)


def test_what_is_committed_is_not_run_again() -> None:
    plan = small_plan()
    _, ran, _ = drive(plan, Records(all_ids(plan)))
    assert ran == []


def test_a_failed_step_is_recorded_and_the_others_go_on() -> None:
    plan, records = small_plan(), Records()

    def behave(item: WorkItem, attempt: int) -> None:
        if item.step == "train" and item.number == 0:
            raise NonFiniteLoss(7)

    snapshot, ran, events = drive(plan, records, behave)
    assert list(records.lost) == [("train", plan.models[0].key)]
    assert snapshot.steps["train"].failed == 1
    assert snapshot.steps["evaluate"].committed == 2
    assert [str(event.error) for event in events if event.kind == "failed"] == [str(NonFiniteLoss(7))]
    assert not any(step_id[1] == plan.models[0].representations[0].key for step_id in ran)


def test_a_service_that_was_away_is_tried_again() -> None:
    def behave(item: WorkItem, attempt: int) -> None:
        if attempt < 3:
            raise Unavailable("restarting")

    records = Records()
    snapshot, _, events = drive(small_plan(), records, behave)
    assert records.lost == {}
    assert snapshot.fraction == pytest.approx(1.0)
    assert sum(event.kind == "retrying" for event in events) == 2 * len(all_ids(small_plan()))


def test_a_service_that_stays_away_ends_the_drive() -> None:
    now = [0.0]

    def behave(item: WorkItem, attempt: int) -> None:
        now[0] += 10.0
        raise Unavailable("gone")

    with pytest.raises(Unavailable, match="gone"):
        drive(small_plan(), Records(), behave, clock=lambda: now[0], patience_s=60.0)


def test_a_step_that_had_run_for_long_before_its_worker_was_lost_is_tried_again() -> None:
    now = [0.0]

    def behave(item: WorkItem, attempt: int) -> None:
        if attempt == 1:
            now[0] += 1000.0
            raise Unavailable("the trainer was restarted")

    records = Records()
    drive(small_plan(), records, behave, clock=lambda: now[0], patience_s=60.0, capacity=dict.fromkeys(STEPS, 1))
    assert records.done == all_ids(small_plan())


def test_patience_is_counted_from_the_last_time_that_a_step_came_further() -> None:
    now = [0.0]
    position = [0]

    async def run_item(item: WorkItem, report: Report) -> StepResult:
        now[0] += 40.0
        position[0] += 1
        report(Progress(min(position[0], 5), 10, "steps"))
        raise Unavailable("the worker died")

    driver = Driver(
        small_plan(),
        Records(),
        run_item,
        capacity={"train": 1, "postprocess": 1, "evaluate": 1},
        watch=lambda event: None,
        patience_s=60.0,
        clock=lambda: now[0],
    )
    with pytest.raises(Unavailable):
        asyncio.run(driver.run())
    assert position[0] == 7  # five times further, then not within 60 s


def test_an_extraction_that_is_interrupted_is_tried_again() -> None:
    plan, interrupted = small_plan(), list[StepId]()
    lost = plan.models[0].representations[0]
    ready: set[StepId] = {("train", model.key) for model in plan.models}
    ready |= {("postprocess", r.key) for model in plan.models for r in model.representations}
    is_missing = [True]

    def behave(item: WorkItem, attempt: int) -> None:
        if item.key in lost.evaluation_keys and is_missing[0]:
            raise CodesMissing("evicted")
        if item.step == "postprocess" and not interrupted:
            interrupted.append(item.id)
            raise Unavailable("the postprocessor was restarted")
        if item.step == "postprocess":
            is_missing[0] = False

    snapshot, ran, _ = drive(plan, Records(ready), behave)
    assert snapshot.fraction == pytest.approx(1.0)
    assert [step for step, _ in ran].count("postprocess") == 2


def test_an_unforeseen_crash_is_tried_three_times_and_then_recorded() -> None:
    def behave(item: WorkItem, attempt: int) -> None:
        if item.step == "train" and item.number == 1:
            raise DisentanglementError("KeyError: 'x'")

    records = Records()
    _, ran, _ = drive(small_plan(), records, behave)
    [(step_id, error)] = records.lost.items()
    assert ran.count(step_id) == 3
    assert "KeyError" in str(error)


def test_evicted_codes_are_extracted_again() -> None:
    plan = small_plan()
    missing = {key for model in plan.models for key in model.representations[0].evaluation_keys}

    def behave(item: WorkItem, attempt: int) -> None:
        if item.step == "postprocess":
            missing.difference_update(
                key for m in plan.models for r in m.representations if r.key == item.key for key in r.evaluation_keys
            )
        if item.step == "evaluate" and item.key in missing:
            raise CodesMissing("evicted")

    extracted: set[StepId] = {("train", model.key) for model in plan.models}
    extracted |= {("postprocess", r.key) for model in plan.models for r in model.representations}
    snapshot, ran, _ = drive(plan, Records(extracted), behave)
    assert snapshot.fraction == pytest.approx(1.0)
    assert sum(step == "postprocess" for step, _ in ran) == 2


def test_no_more_steps_run_at_once_than_there_is_capacity() -> None:
    running, most = 0, 0

    async def run_item(item: WorkItem, report: Report) -> StepResult:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return RESULT

    capacity = dict.fromkeys(STEPS, 1)
    asyncio.run(Driver(small_plan(), Records(), run_item, capacity=capacity, watch=lambda event: None).run())
    assert most <= sum(capacity.values())


def test_cancelling_the_drive_cancels_what_runs_and_waits_for_it() -> None:
    running: list[StepId] = []
    stopped: list[StepId] = []

    async def run_item(item: WorkItem, report: Report) -> StepResult:
        running.append(item.id)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            stopped.append(item.id)
        return RESULT

    async def scenario() -> None:
        driver = Driver(
            small_plan(), Records(), run_item, capacity=dict.fromkeys(STEPS, 2), watch=lambda event: started.set()
        )
        started = asyncio.Event()
        task = asyncio.create_task(driver.run())
        await started.wait()
        while len(running) < 2:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert len(stopped) == 2


def test_every_event_carries_an_eta_from_the_first_on() -> None:
    _, _, events = drive(small_plan(), Records())
    assert events[0].kind == "checked"
    assert events[0].snapshot.eta_s is not None


def test_a_step_whose_worker_always_dies_is_recorded_and_the_others_go_on() -> None:
    def behave(item: WorkItem, attempt: int) -> None:
        if item.step == "train" and item.number == 0:
            raise WorkerDied("exit code -9")

    plan, records = small_plan(), Records()
    snapshot, ran, _ = drive(plan, records, behave)
    assert ran.count(("train", plan.models[0].key)) == 3
    [(step_id, error)] = records.lost.items()
    assert step_id == ("train", plan.models[0].key)
    assert "exit code -9" in str(error)
    assert snapshot.steps["evaluate"].committed == 2


@pytest.mark.parametrize("kind", [DeviceUnusable, StoreRefused, Unauthenticated, PermissionDenied])
def test_what_would_stop_every_step_ends_the_drive_and_blames_no_model(kind: type[DisentanglementError]) -> None:
    def behave(item: WorkItem, attempt: int) -> None:
        raise kind("no")

    records = Records()
    with pytest.raises(kind):
        drive(small_plan(), records, behave)
    assert records.lost == {}
