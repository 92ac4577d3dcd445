"""What clients send back to us: resource names, page tokens, cursors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from disentanglement.errors import SpecError
from disentanglement.rpc.cursors import changes, check_cursor, cursor_of
from disentanglement.rpc.listing import page
from disentanglement.rpc.names import (
    EVALUATIONS,
    STUDIES,
    TRAINING_JOBS,
    ModelName,
    name_of,
    parse_model_name,
    parse_name,
    parse_step_name,
    project_of,
)
from disentanglement.rpc.pages import offset_of, page_size, token_after
from disentanglement.rpc.study_cursors import StudyCursors
from disentanglement.rpc.waiting import wait_s
from disentanglement.v1 import job_pb2

KEY = f"dummy_data.beta_vae.{'a' * 52}"
SEGMENTS = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)


@given(project=SEGMENTS, member=SEGMENTS)
def test_a_name_survives_being_written_and_parsed(project: str, member: str) -> None:
    for collection in (STUDIES, EVALUATIONS):
        assert parse_name(name_of(project, collection, member), collection) == (project, member)
    model = ModelName(project, member, 42)
    assert parse_model_name(str(model)) == model


@given(text=st.text(max_size=60))
def test_any_other_text_is_refused_with_the_field(text: str) -> None:
    for parse in (project_of, parse_model_name):
        with pytest.raises(SpecError) as refused:
            parse(text, field="here")
        assert [violation.field for violation in refused.value.violations] == ["here"]


@pytest.mark.parametrize(
    "name", ["projects/../trainingJobs/x", f"projects/p/trainingJobs/{KEY}/", f"projects/p/studies/{KEY}"]
)
def test_no_name_climbs_out_of_its_collection(name: str) -> None:
    with pytest.raises(SpecError):
        parse_step_name(name, TRAINING_JOBS)


async def pages_of(names: list[str], size: int, *, wanted: str = "") -> list[list[str]]:
    async def all_names() -> list[str]:
        return names

    async def load(name: str) -> str:
        return name

    found, token = [], ""
    while True:
        request = SimpleNamespace(page_size=size, page_token=token)
        items, token = await page(request, "list", all_names, load, wanted=lambda name: wanted in name)
        found.append(items)
        if not token:
            return found


@given(names=st.lists(SEGMENTS, unique=True, max_size=20), size=st.integers(1, 7))
async def test_pages_put_together_are_the_list(names: list[str], size: int) -> None:
    pages = await pages_of(sorted(names), size)
    assert [name for one in pages for name in one] == sorted(names)
    assert all(len(one) == size for one in pages[:-1])


async def test_a_filter_fills_pages_with_what_passes() -> None:
    assert await pages_of(["a1", "b1", "a2", "b2", "a3"], 2, wanted="a") == [["a1", "a2"], ["a3"]]


async def test_a_token_of_another_list_or_none_at_all_is_refused() -> None:
    for token in (token_after("other", "a"), "?", "AAAA", "ü", "bnVsbA=="):
        with pytest.raises(SpecError, match="page_token"):
            offset_of("list", token)
    with pytest.raises(SpecError, match="page_token"):
        offset_of("list", token_after("list", "no number"))


def test_page_sizes_have_a_default_and_a_limit() -> None:
    assert (page_size(0), page_size(7), page_size(5000)) == (50, 7, 1000)
    with pytest.raises(SpecError, match="page_size"):
        page_size(-1)


async def test_a_watcher_who_comes_back_is_sent_only_what_he_has_not_seen() -> None:
    running = job_pb2.TrainingJob(name="n", state=job_pb2.JOB_STATE_RUNNING)
    queued = job_pb2.TrainingJob(name="n", state=job_pb2.JOB_STATE_QUEUED)
    done = job_pb2.TrainingJob(name="n", state=job_pb2.JOB_STATE_SUCCEEDED)
    states = [queued, running, running, done]

    async def stream(first: int) -> AsyncIterator[job_pb2.TrainingJob]:
        for job in states[first:]:
            yield job

    seen = [(cursor, job.state) async for cursor, job in changes("n", "", stream(0))]
    assert [state for _, state in seen] == [1, 2, 3]
    assert [job.state async for _, job in changes("n", seen[1][0], stream(1))] == [3]
    assert [job.state async for _, job in changes("n", seen[2][0], stream(3))] == []


def test_a_cursor_of_another_resource_is_refused() -> None:
    cursor = cursor_of("n", job_pb2.TrainingJob())
    check_cursor("n", cursor)
    check_cursor("n", "")
    for wrong in (cursor_of("m", job_pb2.TrainingJob()), "x", cursor[:-1]):
        with pytest.raises(SpecError, match="cursor"):
            check_cursor("n", wrong)


def test_a_place_in_a_studys_events_means_the_present_after_a_restart() -> None:
    cursors, restarted = StudyCursors(), StudyCursors()
    cursor = cursors.write("s", 12)
    assert cursors.read("s", cursor) == 12
    assert restarted.read("s", cursor) is None
    assert cursors.read("s", cursors.last("s")) is None
    for wrong in (cursors.write("t", 12), "12"):
        with pytest.raises(SpecError, match="cursor"):
            cursors.read("s", wrong)


def test_a_call_waits_a_minute_at_most() -> None:
    assert wait_s(Duration(seconds=2, nanos=500_000_000)) == 2.5
    assert wait_s(Duration(seconds=10**9)) == 60.0
    with pytest.raises(SpecError, match="wait"):
        wait_s(Duration(seconds=-1))
