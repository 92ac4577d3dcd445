"""What is looked at when: the queue and the rate limit, on a clock of the test's own."""

from __future__ import annotations

import threading

from disentanglement.cluster.work_queue import RateLimit, WorkQueue


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_key_that_was_added_twice_is_taken_once() -> None:
    queue = WorkQueue[str](Clock())
    queue.add("a")
    queue.add("a")
    assert queue.take() == "a"
    queue.add("b")
    assert queue.take() == "b"


def test_what_waits_longest_is_taken_first() -> None:
    clock = Clock()
    queue = WorkQueue[str](clock)
    queue.add("later", after_s=2)
    queue.add("sooner", after_s=1)
    clock.now += 3
    assert [queue.take(), queue.take()] == ["sooner", "later"]


def test_an_earlier_wish_beats_a_later_one() -> None:
    clock = Clock()
    queue = WorkQueue[str](clock)
    queue.add("a", after_s=1000)
    queue.add("a", after_s=1)
    queue.add("a", after_s=1000)
    clock.now += 1
    assert queue.take() == "a"


def test_a_key_that_rests_is_taken_after_its_rest() -> None:
    clock = Clock()
    queue = WorkQueue[str](clock)
    queue.rest("busy", 5)
    queue.add("busy")
    clock.now += 1
    queue.add("other")
    assert queue.take() == "other"
    clock.now += 4
    assert queue.take() == "busy"


def test_a_forgotten_key_is_not_taken() -> None:
    queue = WorkQueue[str](Clock())
    queue.add("gone")
    queue.forget("gone")
    queue.add("there")
    assert queue.take() == "there"


def test_a_closed_queue_wakes_who_waits() -> None:
    queue = WorkQueue[str]()
    taken: list[str | None] = []
    waiting = threading.Thread(target=lambda: taken.append(queue.take()))
    waiting.start()
    queue.close()
    waiting.join(10)
    assert taken == [None]


def test_what_is_added_wakes_who_waits() -> None:
    queue = WorkQueue[str]()
    taken: list[str | None] = []
    waiting = threading.Thread(target=lambda: taken.append(queue.take()))
    waiting.start()
    queue.add("a")
    waiting.join(10)
    assert taken == ["a"]


def test_a_few_are_granted_at_once_and_then_so_many_a_second() -> None:
    clock = Clock()
    limit = RateLimit(2.0, burst=3, clock=clock)
    assert [limit.take() for _ in range(4)] == [True, True, True, False]
    assert limit.wait_s() == 0.5
    clock.now += 0.5
    assert [limit.take(), limit.take()] == [True, False]
    clock.now += 1000
    assert sum(limit.take() for _ in range(10)) == 3
