"""The end of a run's log is in the store, whatever became of the step."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from disentanglement.errors import Interrupted, NonFiniteLoss, Unavailable
from disentanglement.specs import EvaluateSpec, StepKey, parse_spec
from disentanglement.specs.canonical import step_key
from disentanglement.steps.context import StepContext
from disentanglement.steps.once import Computed, compute_once
from disentanglement.steps.progress import Progress
from disentanglement.steps.run_log import REPORT_EVERY_S, RunLog
from disentanglement.storage.commit import Attempt, find_manifest
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.log_tails import KEPT_BYTES, find_log

log = logging.getLogger("a.step")

UPSTREAM = (StepKey.parse(f"dummy_data.mean.{'a' * 52}"),)
SPEC = parse_spec(EvaluateSpec, {"metric": {"mig": {"num_train": 100}}, "random_seed": 0})
KEY = step_key(SPEC, UPSTREAM)


@pytest.fixture
def run_log() -> Iterator[RunLog]:
    """Hears everything that is logged."""
    handler, root = RunLog(clock=lambda: 0.0), logging.getLogger()
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.INFO)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.fixture
def context(tmp_path: Path, run_log: RunLog) -> StepContext:
    return StepContext(DirectoryStore(tmp_path / "store"), tmp_path / "cache", keep_log=run_log.keep)


def told(context: StepContext) -> str:
    found = find_log(context.store, "evaluate", KEY)
    return "" if found is None else found.decode()


def test_a_committed_step_keeps_its_log_among_its_files(context: StepContext) -> None:
    def compute(attempt: Attempt) -> Computed:
        log.info("half way")
        return Computed(results={"score": 1.0})

    compute_once(SPEC, UPSTREAM, context, compute)
    manifest = find_manifest(context.store, "evaluate", KEY)
    assert manifest is not None
    assert list(manifest.files) == ["log.txt"]
    assert "half way" in told(context)


@pytest.mark.parametrize("error", [NonFiniteLoss(7), Interrupted("asked to stop"), ZeroDivisionError("a defect")])
def test_what_ended_an_attempt_is_the_end_of_its_log(context: StepContext, error: Exception) -> None:
    def compute(attempt: Attempt) -> Computed:
        log.info("half way")
        raise error

    with pytest.raises(type(error)):
        compute_once(SPEC, UPSTREAM, context, compute)
    lines = told(context)
    assert lines.index("half way") < lines.index("attempt")


def test_the_traceback_of_a_defect_is_kept(context: StepContext) -> None:
    def compute(attempt: Attempt) -> Computed:
        raise ZeroDivisionError("a defect")

    with pytest.raises(ZeroDivisionError):
        compute_once(SPEC, UPSTREAM, context, compute)
    assert "ZeroDivisionError: a defect" in told(context)


def test_the_newest_of_several_attempts_is_found(context: StepContext) -> None:
    for word in ("first", "second"):

        def compute(attempt: Attempt, word: str = word) -> Computed:
            log.info("the %s attempt", word)
            raise Interrupted(word)

        with pytest.raises(Interrupted):
            compute_once(SPEC, UPSTREAM, context, compute)
    assert "the second attempt" in told(context)


def test_a_step_without_a_log_has_none(context: StepContext) -> None:
    assert find_log(context.store, "evaluate", KEY) is None


def test_no_more_than_the_end_is_remembered(run_log: RunLog) -> None:
    for number in range(3000):
        log.info("line %d %s", number, "x" * 50)
    contents = run_log.contents()
    assert KEPT_BYTES // 2 < len(contents) <= KEPT_BYTES
    assert contents.splitlines()[-1].startswith(b"line 2999")
    assert b"line 0 " not in contents


def test_progress_is_logged_every_ten_seconds_at_most() -> None:
    seconds = iter([0.0, 1.0, REPORT_EVERY_S, REPORT_EVERY_S + 1])
    handler, logger = RunLog(clock=lambda: next(seconds)), logging.getLogger("disentanglement.steps.run_log")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        for done in range(4):
            handler.report(Progress(done, 100, "steps"))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert len(handler.contents().splitlines()) == 2


def test_a_store_that_is_away_harms_no_step_by_its_log(
    context: StepContext, run_log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unavailable("the store is away")

    attempt = Attempt(context.store, "evaluate", KEY)
    monkeypatch.setattr(Attempt, "put", away)
    run_log.keep(attempt, None)


@pytest.mark.parametrize(("note", "has_field"), [("", False), ("900 images/s", True)])
def test_a_note_is_logged_where_there_is_one(
    caplog: pytest.LogCaptureFixture, run_log: RunLog, note: str, has_field: bool
) -> None:
    run_log.report(Progress(1, 2, "steps", note))
    [record] = [record for record in caplog.records if record.message == "progress"]
    assert hasattr(record, "note") is has_field
