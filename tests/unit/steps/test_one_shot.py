"""What an engine learns from the exit code of one group."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentanglement.errors import NonFiniteLoss, SpecError, Unavailable
from disentanglement.specs import StudySpec, parse_spec
from disentanglement.specs.canonical import CONTRACTS, contract_version, step_of
from disentanglement.steps.context import StepContext
from disentanglement.steps.ledger import StudyLedger
from disentanglement.steps.messages import StepResult
from disentanglement.steps.one_shot import MAX_TRIES, ExitCode, Group, parse_numbers, run_group
from disentanglement.storage.checkpoints import put_checkpoint
from disentanglement.storage.commit import Attempt, commit
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.failures import list_failed
from disentanglement.studies.pending import WorkItem, steps_of
from disentanglement.studies.plan import Plan, expand_study
from disentanglement.studies.records import submit_study

STUDY = {
    "name": "tiny",
    "model": {"dataset": "dummy_data", "objective": {"beta_vae": {"beta": 4}}},
    "grid": {"sweep": {"random_seed": [0, 1, 2]}},
    "representations": ["mean"],
    "metrics": ["mig"],
}


@pytest.fixture
def ledger(tmp_path: Path) -> StudyLedger:
    return StudyLedger(DirectoryStore(tmp_path / "store"), "default", "tiny")


@pytest.fixture
def plan(ledger: StudyLedger) -> Plan:
    study = parse_spec(StudySpec, STUDY)
    expanded = expand_study(study, {"dummy_data": "0" * 64})
    submit_study(ledger.store, study, expanded, project="default", now=datetime.now(UTC))
    return expanded


def group(plan: Plan, index: int, pack: int = 1) -> Group:
    return Group(plan.digest, "dummy_data.beta_vae", (0, 1, 2), pack, index)


def context(ledger: StudyLedger, tmp_path: Path) -> StepContext:
    return StepContext(ledger.store, tmp_path / "cache")


def test_an_input_that_is_not_there_yet_means_try_again(ledger: StudyLedger, plan: Plan, tmp_path: Path) -> None:
    for step in ("postprocess", "evaluate"):
        assert run_group(step, group(plan, 0), ledger, context(ledger, tmp_path)) == ExitCode.TRY_AGAIN
    assert not ledger.failed(plan)


def test_an_input_that_failed_fails_what_comes_after_it(ledger: StudyLedger, plan: Plan, tmp_path: Path) -> None:
    train, _, _ = steps_of(plan.model(1))
    ledger.record_failure(train, NonFiniteLoss(7))
    assert run_group("train", group(plan, 1), ledger, context(ledger, tmp_path)) == ExitCode.FAILED
    assert run_group("evaluate", group(plan, 1), ledger, context(ledger, tmp_path)) == ExitCode.FAILED
    assert len(list_failed(ledger.store, "default", "tiny", "evaluate")) == 1
    assert run_group("evaluate", group(plan, 0), ledger, context(ledger, tmp_path)) == ExitCode.TRY_AGAIN


def test_who_is_asked_to_stop_says_try_again(ledger: StudyLedger, plan: Plan, tmp_path: Path) -> None:
    stopped = context(ledger, tmp_path).replace(should_stop=lambda: True)
    assert run_group("train", group(plan, 0), ledger, stopped) == ExitCode.TRY_AGAIN


def test_another_contract_version_ends_at_once(
    ledger: StudyLedger, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONTRACTS, "evaluate.mig", 2)
    assert run_group("evaluate", group(plan, 0), ledger, context(ledger, tmp_path)) == ExitCode.OTHER_CONTRACT
    assert run_group("postprocess", group(plan, 0), ledger, context(ledger, tmp_path)) == ExitCode.TRY_AGAIN


def test_groups_are_cut_from_the_listed_models(plan: Plan) -> None:
    assert [group(plan, index, pack=2).numbers for index in (0, 1)] == [(0, 1), (2,)]
    with pytest.raises(SpecError, match="--index: wanted 0 to 1, got 2"):
        _ = group(plan, 2, pack=2).numbers


@given(numbers=st.lists(st.integers(0, 9999), min_size=1, max_size=10))
def test_a_list_of_numbers_is_read_as_written(numbers: list[int]) -> None:
    assert parse_numbers(",".join(map(str, numbers))) == tuple(numbers)


def test_ranges_include_both_ends() -> None:
    assert parse_numbers("3-5,9") == (3, 4, 5, 9)
    for wrong in ("", "a", "1-", "-1", "1--2", "1,,2", "²"):
        with pytest.raises(SpecError, match="--models"):
            parse_numbers(wrong)


Outcomes = dict[tuple[str, int], Exception]


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> Outcomes:
    """What becomes of steps, by kind and model; all others are committed without any computing."""
    table: Outcomes = {}

    def run_step(item: WorkItem, context: StepContext) -> StepResult:
        if error := table.get((item.step, item.number)):
            raise error
        attempt = Attempt(context.store, item.step, item.key)
        contract = contract_version(*step_of(item.spec))
        done = commit(context.store, attempt.manifest(spec={}, contract=contract, upstream=item.upstream[:1]))
        return StepResult(done.manifest.attempt, done.manifest.content_digest, computed=True)

    monkeypatch.setattr("disentanglement.steps.one_shot.run_step", run_step)
    return table


def test_the_extractions_follow_each_training_where_they_are_asked_for(
    ledger: StudyLedger, plan: Plan, tmp_path: Path, outcomes: Outcomes
) -> None:
    assert run_group("train", group(plan, 0), ledger, context(ledger, tmp_path)) == ExitCode.COMMITTED
    assert {step for step, _ in ledger.committed(plan)} == {"train"}
    end = run_group("train", group(plan, 0), ledger, context(ledger, tmp_path), with_codes=True)
    assert end == ExitCode.COMMITTED
    assert {step for step, _ in ledger.committed(plan)} == {"train", "postprocess"}


def test_nothing_follows_a_training_that_failed(
    ledger: StudyLedger, plan: Plan, tmp_path: Path, outcomes: Outcomes
) -> None:
    outcomes["train", 0] = NonFiniteLoss(7)
    end = run_group("train", group(plan, 0), ledger, context(ledger, tmp_path), with_codes=True)
    assert end == ExitCode.FAILED
    assert {step for step, _ in ledger.failed(plan)} == {"train"}


@pytest.mark.parametrize(
    ("error", "end"), [(NonFiniteLoss(7), ExitCode.FAILED), (RuntimeError("out of memory"), ExitCode.CRASHED)]
)
def test_a_member_that_fails_does_not_stop_the_others(
    ledger: StudyLedger, plan: Plan, tmp_path: Path, outcomes: Outcomes, error: Exception, end: ExitCode
) -> None:
    outcomes["train", 0] = error
    assert run_group("train", group(plan, 0, pack=3), ledger, context(ledger, tmp_path)) == end
    assert {plan.model(1).key, plan.model(2).key} == {key for _, key in ledger.committed(plan)}


def test_a_store_that_goes_away_means_try_again(
    ledger: StudyLedger, plan: Plan, tmp_path: Path, outcomes: Outcomes
) -> None:
    outcomes["train", 1] = Unavailable("no answer")
    assert run_group("train", group(plan, 0, pack=3), ledger, context(ledger, tmp_path)) == ExitCode.TRY_AGAIN
    assert not ledger.failed(plan)


def test_who_was_asked_to_stop_says_committed_only_when_everything_is(
    ledger: StudyLedger, plan: Plan, tmp_path: Path, outcomes: Outcomes
) -> None:
    asked = context(ledger, tmp_path).replace(should_stop=lambda: bool(ledger.committed(plan)))
    assert run_group("train", group(plan, 0, pack=3), ledger, asked) == ExitCode.TRY_AGAIN
    assert len(ledger.committed(plan)) == 1
    finished = context(ledger, tmp_path).replace(should_stop=lambda: len(ledger.committed(plan)) == 3)
    assert run_group("train", group(plan, 0, pack=3), ledger, finished) == ExitCode.COMMITTED


def test_who_never_gets_any_further_is_given_up_and_a_retry_counts_anew(
    ledger: StudyLedger, plan: Plan, tmp_path: Path, outcomes: Outcomes
) -> None:
    outcomes["train", 0] = Unavailable("preempted")
    for _ in range(MAX_TRIES):
        assert run_group("train", group(plan, 0), ledger, context(ledger, tmp_path)) == ExitCode.TRY_AGAIN
    assert run_group("train", group(plan, 0), ledger, context(ledger, tmp_path)) == ExitCode.FAILED
    [record] = ledger.failures(plan)
    assert "10 times" in record.message
    ledger.forget_failures(plan)
    assert run_group("train", group(plan, 0), ledger, context(ledger, tmp_path)) == ExitCode.TRY_AGAIN


def test_tries_before_the_last_checkpoint_do_not_count(
    ledger: StudyLedger, plan: Plan, tmp_path: Path, outcomes: Outcomes
) -> None:
    outcomes["train", 0] = Unavailable("preempted")
    for tried in range(2 * MAX_TRIES):
        if tried % 5 == 0:
            put_checkpoint(Attempt(ledger.store, "train", plan.model(0).key), 100 + tried, {"state": b"?"})
        assert run_group("train", group(plan, 0), ledger, context(ledger, tmp_path)) == ExitCode.TRY_AGAIN
