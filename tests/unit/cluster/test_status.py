"""The status of a Study: from the store and the Jobs alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from disentanglement.cluster.conditions import LONGEST_MESSAGE, Problem
from disentanglement.cluster.resource import MAX_FAILURES, Counts, Failure, StudyStatus
from disentanglement.cluster.state import POD_FAILURE_POLICY, CellState, JobView
from disentanglement.cluster.status import invalid_status, progress, study_status
from disentanglement.cluster.wanted import Wanted

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CELL = "dsprites_full.beta_vae"
ALL = frozenset(range(4))
WANTED = Wanted(study="study", plan="p", cells={CELL: (0, 1, 2, 3)})
EMPTY = CellState(to_score=ALL)
DONE = CellState(trained=ALL, extracted=ALL, scored=ALL)
JOB = JobView(
    name="job", uid="u", study="study", step="train", cell=CELL, models=(0, 1, 2, 3), pack=1, plan="p", generation=0,
    parallelism=4, active=2, image="trainer:2",
)  # fmt: skip


def status(state: CellState, *jobs: JobView, wanted: Wanted = WANTED, **options: Any) -> StudyStatus:
    found = progress(wanted, {CELL: state}, jobs)
    given: dict[str, Any] = {"generation": 3, "before": {}, "now": NOW, **options}
    return study_status(wanted, found, **given)


def condition(found: StudyStatus, type_: str) -> tuple[str, str]:
    return next((each.status, each.reason) for each in found.conditions if each.type == type_)


def test_counts_are_those_of_the_store() -> None:
    state = CellState(
        trained=frozenset({0, 1, 2}),
        extracted=frozenset({0, 1}),
        scored=frozenset({0}),
        to_score=frozenset({1, 3}),
        failed={"train": frozenset({3}), "evaluate": frozenset({2})},
    )
    assert status(state).counts == Counts(total=4, trained=3, evaluated=1, failed=2)


@pytest.mark.parametrize(
    ("state", "jobs", "changes", "phase"),
    [
        (EMPTY, (), {}, "Pending"),
        (EMPTY, (replace(JOB, active=0),), {}, "Pending"),
        (EMPTY, (JOB,), {}, "Running"),
        (EMPTY, (JOB,), {"is_paused": True}, "Paused"),
        (DONE, (), {}, "Succeeded"),
        (DONE, (), {"is_paused": True}, "Succeeded"),
        (CellState(failed={"train": ALL}, to_score=ALL), (), {}, "Failed"),
        (CellState(failed={"train": ALL}, to_score=ALL), (), {"generation": 1}, "Pending"),
        (CellState(trained=ALL), (), {"has_scores": False}, "Succeeded"),
    ],
)
def test_the_phase_follows_from_the_store_and_the_jobs(
    state: CellState, jobs: tuple[JobView, ...], changes: dict[str, Any], phase: str
) -> None:
    assert status(state, *jobs, wanted=replace(WANTED, **changes)).phase == phase


def test_an_end_with_failures_is_complete_and_degraded() -> None:
    found = status(replace(DONE, scored=ALL - {3}, failed={"evaluate": frozenset({3})}))
    assert found.phase == "Failed"
    assert condition(found, "Complete") == ("True", "SomeFailed")
    assert condition(found, "Degraded") == ("True", "ModelsFailed")
    assert condition(found, "Progressing") == ("False", "NothingLeft")


def test_another_contract_version_says_what_to_do() -> None:
    given_up = replace(JOB, end="Failed", end_reason=POD_FAILURE_POLICY, active=0)
    found = status(EMPTY, given_up)
    assert found.phase == "Failed"
    assert condition(found, "Degraded") == ("True", "OtherContract")
    [message] = [each.message for each in found.conditions if each.type == "Degraded"]
    assert "trainer:2" in message
    assert "worker-images" in message
    assert condition(status(EMPTY, replace(given_up, plan="old")), "Degraded")[0] == "False"


def test_what_the_cluster_tells_degrades_a_study_that_goes_on() -> None:
    found = status(EMPTY, JOB, problems=[Problem("ImageNotPulled", "no image x: correct worker-images")])
    assert (found.phase, condition(found, "Degraded")) == ("Running", ("True", "ImageNotPulled"))


@pytest.mark.parametrize(("pods", "told"), [(1, "1 pod works"), (2, "2 pods work")])
def test_one_pod_works_and_two_pods_work(pods: int, told: str) -> None:
    found = status(EMPTY, replace(JOB, active=pods))
    assert told in [each.message for each in found.conditions]


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    first = status(EMPTY, JOB)
    later = status(EMPTY, JOB, before=first.to_plain(), now=NOW + timedelta(hours=1))
    assert later.conditions == first.conditions
    ended = status(DONE, before=first.to_plain(), now=NOW + timedelta(hours=1))
    changed = {each.type for each in ended.conditions if each.last_transition_time != NOW}
    assert changed == {"Progressing", "Complete"}


def test_a_status_that_nobody_can_read_is_written_anew() -> None:
    found = status(DONE, before={"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "?"}]})
    assert condition(found, "Complete")[0] == "True"


def test_an_invalid_study_says_why_and_keeps_what_was_counted() -> None:
    before = status(DONE).to_plain()
    found = invalid_status(Problem("UnknownPool", "pool x"), generation=4, before=before, now=NOW)
    assert (found.phase, condition(found, "Accepted")) == ("Invalid", ("False", "UnknownPool"))
    assert found.counts == Counts(total=4, trained=4, evaluated=4, failed=0)
    assert found.observed_generation == 4


def test_a_status_stays_small() -> None:
    failures = [Failure(step="train", model=number, reason="LOST", message="x" * 512) for number in range(500)]
    found = status(EMPTY, problems=[Problem("Trouble", "y" * 9999)] * 9, failures=failures)
    assert len(found.failures) == MAX_FAILURES
    assert all(len(each.message) <= LONGEST_MESSAGE for each in found.conditions)
    assert len(str(found.to_plain())) < 20_000


def test_the_retry_that_is_observed_is_the_one_whose_failures_are_forgotten() -> None:
    assert status(EMPTY, wanted=replace(WANTED, generation=2, cleared_generation=1)).observed_retry_generation == 1
