"""A study that is driven elsewhere, as those see it who watch it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import tiny_steps

from disentanglement.errors import NonFiniteLoss
from disentanglement.rpc.study_messages import events_between, study_message
from disentanglement.rpc.study_runs import items_of
from disentanglement.rpc.study_status import StudyStatus
from disentanglement.specs import canonical
from disentanglement.steps.ledger import failure_record
from disentanglement.studies.records import StudyRecord
from disentanglement.v1 import job_pb2, study_pb2

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = tiny_steps.plan("0" * 64)
ITEMS = items_of(PLAN)
RECORD = StudyRecord(
    project="default",
    study="tiny",
    spec=canonical(tiny_steps.study()),
    plan=PLAN.digest,
    cells=tuple(PLAN.cells),
    num_models=len(PLAN.models),
    created=NOW,
)
NOTHING = StudyStatus(RECORD, PLAN, ITEMS, frozenset(), frozenset())
TRAINED, OTHER = (item for item in ITEMS if item.step == "train")
EVERYTHING = frozenset(item.id for item in ITEMS)


def test_what_was_committed_or_failed_between_two_looks_is_told_once() -> None:
    failed = failure_record(OTHER, NonFiniteLoss(7), NOW)
    after = replace(NOTHING, committed=frozenset({TRAINED.id}), failed=frozenset({OTHER.id}), failures=(failed,))
    first, second = events_between(NOTHING, after, NOW)
    assert (first.model, first.state) == ("projects/default/studies/tiny/models/0", job_pb2.JOB_STATE_SUCCEEDED)
    assert (second.state, second.failure.reason) == (job_pb2.JOB_STATE_FAILED, "NON_FINITE_LOSS")
    assert events_between(after, after, NOW) == []


def test_a_study_that_is_refused_has_failed_with_the_words_of_whom_refused_it() -> None:
    message = study_message(replace(NOTHING, refused="UnknownPool: no pool a100"))
    assert message.state == study_pb2.STUDY_STATE_FAILED
    assert (message.failure.reason, message.failure.message) == ("REFUSED", "UnknownPool: no pool a100")


def test_a_paused_study_may_go_on() -> None:
    paused = replace(NOTHING, is_paused=True)
    assert paused.state == study_pb2.STUDY_STATE_PAUSED
    assert not paused.is_final


def test_a_study_that_is_done_is_neither_paused_nor_refused() -> None:
    done = replace(NOTHING, committed=EVERYTHING, is_paused=True, refused="anything")
    assert done.state == study_pb2.STUDY_STATE_SUCCEEDED
