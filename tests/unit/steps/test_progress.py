"""How fast a step is, from its reports."""

from __future__ import annotations

import pytest

from disentanglement.steps.progress import Progress, Speed


def test_the_speed_is_that_of_the_last_reports() -> None:
    now = [0.0]
    speed = Speed(lambda: now[0], window_s=10.0)

    def report(at: float, done: int) -> float | None:
        now[0] = at
        return speed.after(Progress(done, 1000, "steps"))

    assert report(0.0, 0) is None
    assert report(2.0, 10) == pytest.approx(5.0)
    for second in range(3, 30):
        rate = report(float(second), 10 + 20 * (second - 2))
    assert rate == pytest.approx(20.0)


def test_a_step_that_began_anew_has_no_speed_yet() -> None:
    now = [0.0]
    speed = Speed(lambda: now[0])
    speed.after(Progress(500, 1000, "steps"))
    now[0] = 1.0
    assert speed.after(Progress(100, 1000, "steps")) is None
