"""What a process that runs steps and ends tells: its progress as log lines, and the end of its log in the store.

The log of a pod is gone with the pod; what is kept under the attempt is there when somebody asks why a model failed.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from disentanglement.errors import DisentanglementError
from disentanglement.steps.progress import Progress
from disentanglement.storage.commit import Attempt
from disentanglement.storage.log_tails import KEPT_BYTES, put_log

log = logging.getLogger(__name__)

REPORT_EVERY_S = 10.0


class RunLog(logging.Handler):
    """Remembers the last `KEPT_BYTES` of what is logged."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last_report = float("-inf")
        self._lines: deque[bytes] = deque()
        self._size = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Remembers one line, and forgets the oldest ones."""
        line = (self.format(record) + "\n").encode(errors="replace")
        self._lines.append(line)
        self._size += len(line)
        while self._size > KEPT_BYTES and len(self._lines) > 1:
            self._size -= len(self._lines.popleft())

    def contents(self) -> bytes:
        """What is remembered, as text in UTF-8."""
        self.acquire()
        try:
            return b"".join(self._lines)
        finally:
            self.release()

    def report(self, progress: Progress) -> None:
        """Logs how far the step is, every ten seconds at most."""
        now = self._clock()
        if now - self._last_report >= REPORT_EVERY_S:
            self._last_report = now
            note = {"note": progress.note} if progress.note else {}
            log.info("progress", extra={"at": f"{progress.done}/{progress.total} {progress.unit}", **note})

    def keep(self, attempt: Attempt, error: BaseException | None = None) -> None:
        """Writes what is remembered under the attempt, with what ended it."""
        if isinstance(error, DisentanglementError):
            log.warning(
                "attempt ended", extra={"step_key": str(attempt.step_key), "reason": error.reason, "cause": error}
            )
        elif error is not None:
            log.error("attempt crashed", extra={"step_key": str(attempt.step_key)}, exc_info=error)
        put_log(attempt, self.contents())
