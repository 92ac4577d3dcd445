"""The processes beside the control plane that play a cluster: kwok, and the test writer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from minio_server import free_port

STAGES = Path(__file__).parent / "stages.yaml"
TOOLS = Path(__file__).parent.parent
STOP_WITHIN_S = 20.0


@contextmanager
def running_kwok(program: Path, kubeconfig: Path, folder: Path) -> Iterator[None]:
    """Keeps fake nodes ready and plays their pods until the block ends."""
    address = f"--server-address=127.0.0.1:{free_port()}"
    command = [str(program), f"--kubeconfig={kubeconfig}", f"--config={STAGES}", address, "-v=WARN"]
    with _running(command, {"HOME": str(folder)}, folder / "kwok.log"):
        yield


class WriterProcess:
    """The test writer, in a process of its own; `counts` are there once it has ended."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}


@contextmanager
def running_writer(kubeconfig: Path, store: Mapping[str, str], namespace: str, folder: Path) -> Iterator[WriterProcess]:
    """Commits for the pods of a namespace until the block ends."""
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "PYTHONPATH": str(TOOLS)}
    environment |= {"KUBECONFIG": str(kubeconfig), **store}
    command = [sys.executable, "-m", "kwok.writer", f"--namespace={namespace}"]
    writer, log = WriterProcess(), folder / "writer.log"
    with _running(command, environment, log):
        yield writer
    lines = log.read_text().splitlines()
    writer.counts = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}


@contextmanager
def _running(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} has ended: {log.read_text()[-2000:]}")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
