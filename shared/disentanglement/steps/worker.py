"""A worker process: reads work items from standard input, runs them one by one, answers on standard output.

It stops at the end of its input, so it never outlives its pool: a running step is asked to checkpoint and stop.
Started as `python -m disentanglement.steps.worker`, with the store in its environment.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from disentanglement.errors import DisentanglementError
from disentanglement.steps.context import StepContext
from disentanglement.steps.messages import error_to_plain, item_from_plain, line
from disentanglement.steps.progress import Progress
from disentanglement.steps.run import run_step

log = logging.getLogger(__name__)

REPORT_INTERVAL_S = 0.2


class Worker:
    """One task at a time; `stop` may arrive at any moment."""

    def __init__(self, answers: BinaryIO, context: StepContext) -> None:
        self._answers = answers
        self._context = context
        self._tasks: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._last_report = 0.0

    def listen(self, requests: BinaryIO) -> None:
        """Reads requests until the input ends; runs in a thread of its own."""
        for text in requests:
            message = json.loads(text)
            if "stop" in message:
                self._stop.set()
            else:
                self._tasks.put(message)
        self._stop.set()
        self._tasks.put(None)

    def work(self) -> None:
        """Runs tasks until the input ends."""
        with suppress(BrokenPipeError):  # nobody listens any more
            while (task := self._tasks.get()) is not None:
                self._answers.write(line(self._answer(task)))
                self._answers.flush()
                self._stop.clear()

    def stop(self) -> None:
        """Asks the running task to stop."""
        self._stop.set()

    def _answer(self, task: dict[str, Any]) -> dict[str, Any]:
        try:
            context = self._context.replace(
                report=self._report, should_stop=self._stop.is_set, recompute=task.get("recompute", False)
            )
            result = run_step(item_from_plain(task["run"]), context)
        except DisentanglementError as error:
            return {"error": error_to_plain(error)}
        except Exception as error:  # the outermost loop of this process: the pool decides what to do
            log.exception("step crashed")
            return {"error": {"type": "DisentanglementError", "message": f"{type(error).__name__}: {error}"}}
        return {
            "result": {
                "attempt": result.attempt,
                "content_digest": result.content_digest,
                "computed": result.computed,
                "determinism_violation": result.determinism_violation,
            }
        }

    def _report(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last_report >= REPORT_INTERVAL_S:
            self._last_report = now
            with suppress(BrokenPipeError):  # the pool is gone: its end of the input asks the step to stop
                self._answers.write(line({"progress": progress.to_plain()}))
                self._answers.flush()


def main(env: Mapping[str, str]) -> None:
    """The process: answers go to the real standard output, everything that prints goes to standard error."""
    logging.basicConfig(level=env.get("DISENTANGLEMENT_LOG_LEVEL", "WARNING"), stream=sys.stderr)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    sys.stdout = sys.stderr
    worker = Worker(answers, StepContext.from_env(env))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the pool says when to stop
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    threading.Thread(target=worker.listen, args=(sys.stdin.buffer,), daemon=True).start()
    worker.work()


if __name__ == "__main__":
    main(os.environ)
