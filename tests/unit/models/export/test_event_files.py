"""Histories as TensorBoard's event files, read back with TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from disentanglement.models.export.event_files import EventFiles, tag_of, times_of

ROWS = [
    {"step": 50, "loss": 30.5, "kl_0": 0.25, "kl_12": 1.5, "images_per_second": 100.0},
    {"step": 100, "loss": 20.25, "kl_0": 0.5, "kl_12": 2.0, "images_per_second": 50.0},
]


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def write(folder: Path, rows: list[Any], times: list[float] | None = None) -> None:
    with EventFiles(folder) as events:
        events.add(rows, times)


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    write(tmp_path, ROWS, [1000.0, 1007.5])
    events = read(tmp_path)
    assert set(events.Tags()["scalars"]) == {
        "train/loss",
        "kl_per_latent/00",
        "kl_per_latent/12",
        "speed/images_per_second",
    }
    loss = events.Scalars("train/loss")
    assert [(event.step, event.value, event.wall_time) for event in loss] == [(50, 30.5, 1000.0), (100, 20.25, 1007.5)]
    assert [event.value for event in events.Scalars("kl_per_latent/12")] == [1.5, 2.0]


def test_rows_that_were_written_before_are_not_written_again(tmp_path: Path) -> None:
    with EventFiles(tmp_path) as events:
        assert events.add(ROWS[:1]) == 1
        assert events.add(ROWS) == 1
        assert events.add(ROWS) == 0
    assert [event.step for event in read(tmp_path).Scalars("train/loss")] == [50, 100]


def test_a_value_that_is_missing_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, [{"step": 1, "loss": 1.0, "elbo": None}])
    assert read(tmp_path).Tags()["scalars"] == ["train/loss"]


def test_terms_latents_and_speed_have_places_of_their_own() -> None:
    assert tag_of("kl_3") == "kl_per_latent/03"
    assert tag_of("kl_loss") == "train/kl_loss"
    assert tag_of("images_per_second") == "speed/images_per_second"


def test_rows_share_a_trainings_time_by_their_speeds() -> None:
    """50 steps at 100 a second, then 50 at half of that: a third and two thirds of the time."""
    assert times_of(ROWS, started_s=10.0, seconds=9.0) == approx([13.0, 19.0])
    assert times_of([], started_s=10.0, seconds=9.0) == []


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0.1, 1e6)), min_size=1, max_size=20), st.floats(0.1, 1e6))
def test_times_rise_from_the_start_to_the_end(steps: list[tuple[int, float]], seconds: float) -> None:
    rows = [
        {"step": float(sum(count for count, _ in steps[: i + 1])), "images_per_second": rate}
        for i, (_, rate) in enumerate(steps)
    ]
    times = times_of(rows, started_s=100.0, seconds=seconds)
    assert sorted(times) == times
    assert times[0] >= 100.0
    assert times[-1] == approx(100.0 + seconds)
