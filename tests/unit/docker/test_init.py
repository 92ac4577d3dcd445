"""docker/init.py, the first process of a container, run as a process."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from pathlib import Path

import pytest

INIT = Path(__file__).parents[3] / "docker" / "init.py"
LINUX = sys.platform.startswith("linux")
PR_SET_CHILD_SUBREAPER = 36

WAITS = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print("ready", flush=True)
signal.pause()
"""

LEAVES_AN_ORPHAN = """
import os, pathlib, time
read, write = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:  # nobody waits for this one but the first process
        os.write(write, str(os.getpid()).encode())
    os._exit(0)
os.wait()
orphan = pathlib.Path("/proc") / os.read(read, 20).decode()
until = time.monotonic() + 20
while orphan.exists() and time.monotonic() < until:
    time.sleep(0.01)
raise SystemExit(7 if orphan.exists() else 0)
"""


def command(program: str) -> list[str]:
    return [sys.executable, "-I", str(INIT), sys.executable, "-c", program]


@pytest.mark.parametrize("code", [0, 1, 75, 78])
def test_it_ends_with_the_exit_code_of_the_command(code: int) -> None:
    assert subprocess.run(command(f"raise SystemExit({code})"), timeout=30).returncode == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_command_that_a_signal_ended_is_told_as_shells_do(number: signal.Signals) -> None:
    killed = subprocess.run(command(f"import os; os.kill(os.getpid(), {int(number)})"), timeout=30)
    assert killed.returncode == 128 + number


def test_a_signal_reaches_the_command_and_its_answer_comes_back() -> None:
    with subprocess.Popen(command(WAITS), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 75


@pytest.mark.skipif(not LINUX, reason="orphans are given to another process on Linux alone")
def test_orphans_do_not_stay_as_zombies() -> None:
    def adopt_orphans() -> None:  # as process 1 does
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    done = subprocess.run(command(LEAVES_AN_ORPHAN), preexec_fn=adopt_orphans, timeout=60)
    assert done.returncode == 0
