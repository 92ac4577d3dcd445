"""What is shown while something runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from disentanglement.cli.progress_bar import Bar
from disentanglement.cli.running_steps import RunningStep, RunningSteps, steps_of_view
from disentanglement.cli.study_view import Count, Running, StudyState, StudyView, as_line, panel
from disentanglement.jobs.states import JobState

STATE = StudyState(
    counts={"train": Count(4, 1, 0), "postprocess": Count(8, 0, 0), "evaluate": Count(32, 0, 2)},
    fraction=0.25,
    eta_s=130.0,
    elapsed_s=40.0,
    running=(Running("model 1: train", 0.5, "900 images/s"), Running("model 0: extract (mean)", None)),
    at=0.0,
)


class Clock:
    """Seconds that stand still until they are moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_line_has_counts_time_to_go_and_what_runs() -> None:
    assert as_line(STATE) == (
        "[ 25%] trained 1/4, extracted 0/8, scored 0/32, 2 failed, about 2:10 to go"
        " | model 1: train 50% 900 images/s; model 0: extract (mean)"
    )


def test_a_finished_study_has_no_time_to_go() -> None:
    assert "to go" not in as_line(replace(STATE, eta_s=None, running=()))


def test_lines_come_every_few_seconds_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with StudyView("study tiny", clock=clock) as view:
        for second in range(12):
            clock.now = float(second)
            view.show(replace(STATE, fraction=second / 100))
    lines = capsys.readouterr().err.splitlines()
    assert [line[:6] for line in lines] == ["study ", "[  0%]", "[  5%]", "[ 10%]", "[ 11%]"]


def test_what_is_important_is_shown_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with StudyView("study tiny", clock=clock) as view:
        view.show(STATE)
        clock.now = 1.5
        view.show(replace(STATE, fraction=0.5), important=True)
    assert "[ 50%]" in capsys.readouterr().err


def test_the_moving_part_fits_into_a_hundred_columns() -> None:
    console = Console(width=100, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as captured:
        console.print(panel("study demo", STATE, now=30.0))
    lines = captured.get().splitlines()
    assert all(len(line) <= 100 for line in lines)
    assert any("about 1:40 to go" in line for line in lines)  # 30 s later than it was known
    assert any("900 images/s" in line for line in lines)


def test_many_running_steps_are_summed_up() -> None:
    console = Console(width=100)
    many = replace(STATE, running=tuple(Running(f"model {i}: train", 0.1) for i in range(20)))
    with console.capture() as captured:
        console.print(panel("study demo", many, now=0.0))
    assert "and 12 more" in captured.get()


def test_a_bar_prints_lines_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Bar("rendering", clock=clock) as bar:
        clock.now = 1.0
        bar.update(0.1)
        clock.now = 6.0
        bar.update(0.5, "5 of 10 images")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["rendering ...", "rendering:  50% about 0:06 to go 5 of 10 images", "rendering: done in 0:06"]


def test_a_bar_that_was_left_by_an_error_does_not_say_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), Bar("rendering"):
        raise RuntimeError
    assert "done" not in capsys.readouterr().err


def test_running_steps_follow_events() -> None:
    from disentanglement.cli.remote_study import Server
    from disentanglement.rpc.views import EventView

    running = RunningSteps(Server("127.0.0.1:1", None, "default"), "tiny")
    running.note([EventView("projects/p/studies/s/models/3", "train", "k", "running", "")])
    assert [row.text for row in running.rows()] == ["model 3: train"]
    running.note([EventView("projects/p/studies/s/models/3", "train", "k", "succeeded", "")])
    assert running.rows() == ()


def test_a_rate_is_that_between_two_changes() -> None:
    from disentanglement.rpc.views import JobView

    def seen(done: int) -> JobView:
        return JobView("job", "key", JobState.RUNNING, done, 600, {})

    step = RunningStep("train", "model 0: train").after(seen(50), 10.0)
    assert step.rate == 0.0  # it may have stood there for long
    step = step.after(seen(50), 20.0).after(seen(100), 35.0)
    assert step.rate == 2.0
    assert step.after(seen(100), 99.0).rate == 2.0
    assert step.after(seen(0), 99.0).done == 0  # begun again


def test_every_step_of_a_model_has_a_text() -> None:
    from disentanglement.rpc.views import ModelView

    paths = ("train", "mean", "mean/dci")
    view = ModelView("m", 2, "c", "k", "running", dict.fromkeys(paths, "queued"), {p: f"key {p}" for p in paths}, {})
    texts = [(step.step, step.text) for _, _, step in steps_of_view(view)]
    assert texts == [
        ("train", "model 2: train"),
        ("postprocess", "model 2: extract (mean)"),
        ("evaluate", "model 2: dci (mean)"),
    ]
