"""Real worker processes: killed, asked to stop, left alone by their parents."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import tiny_steps
from tiny_steps import Place

from disentanglement.errors import Unavailable
from disentanglement.specs import TrainSpec
from disentanglement.steps.messages import item_to_plain, line
from disentanglement.steps.pool import WorkerPool, environment
from disentanglement.steps.progress import Progress
from disentanglement.steps.run import run_step
from disentanglement.storage import prefixes
from disentanglement.storage.checking import check_store
from disentanglement.storage.checkpoints import latest_checkpoint
from disentanglement.storage.commit import committed
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.pending import WorkItem

pytestmark = pytest.mark.timeout(300)

SOON_S, POLL_S = 60.0, 0.05
LENGTH = 160
"""Training steps: a second and more, so that there is a middle to be stopped in."""


@pytest.fixture(scope="module")
def item(digest: str) -> WorkItem:
    return tiny_steps.items(tiny_steps.plan(digest, model__training_steps=LENGTH))[0]


@pytest.fixture(scope="module")
def undisturbed(item: WorkItem, imported: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The content digest of the model that nobody interrupts."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(imported, folder / "store")
    return run_step(item, Place(folder / "store", folder / "cache").context()).content_digest


class WorkerProcess:
    """A worker as the pool starts it, spoken to line by line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line(message))
        self.process.stdin.flush()

    def next(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def outcome(self) -> dict[str, Any]:
        while "progress" in (answer := self.next()):
            pass
        return answer


@contextmanager
def worker_process(place: Place) -> Iterator[WorkerProcess]:
    command = [sys.executable, "-m", "disentanglement.steps.worker"]
    env = environment(**place.env(), OMP_NUM_THREADS="1")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as process:
        try:
            yield WorkerProcess(process)
        finally:
            process.kill()


def waited_for(condition: Callable[[], bool]) -> bool:
    """Whether a condition came true soon."""
    deadline = time.monotonic() + SOON_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(POLL_S)
    return True


def checkpoint_of(place: Place, item: WorkItem) -> int:
    """How far the best checkpoint is; 0 without one."""
    checkpoint = latest_checkpoint(DirectoryStore(place.store), "train", item.key)
    return checkpoint.position if checkpoint else 0


def test_sigterm_makes_a_worker_checkpoint_and_the_next_run_goes_on_bit_for_bit(
    place: Place, item: WorkItem, undisturbed: str
) -> None:
    task = {"run": item_to_plain(item), "recompute": False}
    with worker_process(place) as worker:
        worker.send(task)
        assert worker.next()["progress"]["done"] > 0
        worker.process.send_signal(signal.SIGTERM)
        assert worker.outcome()["error"]["type"] == "Interrupted"
        assert 0 < checkpoint_of(place, item) < LENGTH
        assert committed(DirectoryStore(place.store), "train", item.key) is None

        worker.send(task)  # the same process takes the next task
        first = worker.next()["progress"]["done"]
        result = worker.outcome()["result"]
    assert first > 50
    assert result["computed"]
    assert result["content_digest"] == undisturbed
    assert check_store(DirectoryStore(place.store)).findings == ()


TALKATIVE = """
import os
from disentanglement.steps import worker
worker.REPORT_INTERVAL_S = 0.0  # so that it reports once more after its parent is gone
worker.main(os.environ)
"""
PARENT = """
import subprocess, sys
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(worker.pid, flush=True)
worker.stdin.write(sys.stdin.buffer.readline())
worker.stdin.flush()
while True:
    print(worker.stdout.readline().decode(), end="", flush=True)
"""


def test_a_worker_whose_parent_is_killed_checkpoints_and_ends_by_itself(
    place: Place, item: WorkItem, undisturbed: str
) -> None:
    env = environment(**place.env(), OMP_NUM_THREADS="1")
    command = [sys.executable, "-c", PARENT, TALKATIVE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as parent:
        spoken = WorkerProcess(parent)
        assert parent.stdout is not None
        worker_pid = int(parent.stdout.readline())
        spoken.send({"run": item_to_plain(item)})
        spoken.next()  # it trains
        parent.kill()
        parent.wait()
        try:
            assert waited_for(lambda: has_ended(worker_pid))
        finally:
            with suppress(ProcessLookupError):
                os.kill(worker_pid, signal.SIGKILL)
    assert 0 < checkpoint_of(place, item) < LENGTH
    assert run_step(item, place.context()).content_digest == undisturbed


def has_ended(pid: int) -> bool:
    """Whether a process that is not ours is gone, or dead and not buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def test_a_pool_survives_a_killed_worker_and_a_cancelled_run_leaves_a_checkpoint(
    place: Place, item: WorkItem, undisturbed: str
) -> None:
    pool = WorkerPool(1, env=environment(**place.env()))
    running = asyncio.Event()

    def report(progress: Progress) -> None:
        running.set()

    task = asyncio.create_task(pool.run(item, report=report))
    async with asyncio.timeout(SOON_S):
        await running.wait()
    (worker_pid,) = children_of(os.getpid(), "disentanglement.steps.worker")
    os.kill(worker_pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match="exit code -9"):
        await task
    assert committed(DirectoryStore(place.store), "train", item.key) is None

    running.clear()
    task = asyncio.create_task(pool.run(item, report=report))
    async with asyncio.timeout(SOON_S):
        await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children_of(os.getpid(), "disentanglement.steps.worker") == []
    assert 0 < checkpoint_of(place, item) < LENGTH

    result = await pool.run(item)
    await pool.close()
    assert result.content_digest == undisturbed
    assert children_of(os.getpid(), "disentanglement.steps.worker") == []
    assert len(list(DirectoryStore(place.store).list(prefixes.manifests("train")))) == 1


def children_of(pid: int, words: str) -> list[int]:
    """Living children of a process whose command line has these words."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with suppress(OSError):
                if words in Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode():
                    found.append(int(child))
    return found


def test_the_spec_is_long_enough_to_be_stopped_in_its_middle(item: WorkItem) -> None:
    assert isinstance(item.spec, TrainSpec)
    assert item.spec.training_steps == LENGTH
