"""Server processes of a test: each with a log, started again at will, killed at will, all gone at the end."""

from __future__ import annotations

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

STOP_WITHIN_S = 20.0


class Running(ABC):
    """Something that is up for the time of a `with` block, and taken down even if it only came up in part."""

    @abstractmethod
    def start(self) -> None:
        """Brings it up."""

    @abstractmethod
    def stop(self) -> None:
        """Takes down what is up."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Processes:
    """Named processes below one folder: `<name>.log` and `<name>.pid` (so that a later run can clean up)."""

    def __init__(self, folder: Path, *, prefix: Sequence[str] = ()) -> None:
        """`prefix` goes in front of every command, e.g. to enter a network namespace."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._prefix = list(prefix)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[object], env: Mapping[str, str] | None = None) -> None:
        """Starts a process in a session of its own; one that runs already is left alone."""
        if self.is_running(name):
            return
        words = [*self._prefix, *map(str, command)]
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
            )
        self._running[name] = process
        self._pid_file(name).write_text(str(process.pid))

    def is_running(self, name: str) -> bool:
        """Whether it was started and has not ended."""
        process = self._running.get(name)
        return process is not None and process.poll() is None

    def pid(self, name: str) -> int:
        """The process id; KeyError for a name that was never started."""
        return self._running[name].pid

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal and waits for the end."""
        process = self._running.pop(name, None)
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_WITHIN_S)
        self._pid_file(name).unlink(missing_ok=True)

    def stop(self) -> None:
        """Ends all, the last started first."""
        for name in list(reversed(self._running)):
            self.kill(name, signal.SIGTERM)

    def log(self, name: str) -> Path:
        """What the process said."""
        return self.folder / f"{name}.log"

    def tail(self, name: str, length: int = 3000) -> str:
        """The end of what it said."""
        path = self.log(name)
        return path.read_text(errors="replace")[-length:] if path.exists() else ""

    def _pid_file(self, name: str) -> Path:
        return self.folder / f"{name}.pid"


def kill_recorded(folder: Path) -> None:
    """Kills what an earlier run left behind: the processes of pid files that are still what the files say."""
    for file in folder.rglob("*.pid"):
        text = file.read_text().strip()
        if text.isdecimal() and _mentions(int(text), folder):
            os.kill(int(text), signal.SIGKILL)
        file.unlink(missing_ok=True)


def _mentions(pid: int, folder: Path) -> bool:
    try:
        return str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
