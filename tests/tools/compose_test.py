"""`make compose-test`: the compose file on a real container engine, from images to a table, with two disasters.

Builds the images, brings everything up, runs a small study through the published ports, kills the trainer while it
trains (it is started again and goes on from its checkpoint), cuts MinIO off and connects it again, compares every
step and the table with a run over a directory, takes everything down, and looks whether the host is as it was.
The engine is a test's own, in a network namespace of its own (see container_engine.py). Needs root and Go.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import tiny_steps
from built_images import build_images
from chaos import Different, Folder, Numbers, compare, run_undisturbed, say
from compose_stack import PROJECT, SERVICES, Stack, brought_up, wait_for
from container_engine import EngineError, engine, what_is_missing
from host_state import differences, host_state

from disentanglement import Client
from disentanglement.errors import DeadlineExceeded, Unauthenticated, Unavailable
from disentanglement.specs import StudySpec
from disentanglement.storage.checkpoints import Checkpoint, latest_checkpoint
from disentanglement.storage.commit import find_manifest
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.keys import ArtifactKey
from disentanglement.storage.settings import open_store
from disentanglement.storage.store import Store
from disentanglement.studies.records import load_plan

STEPS_OF_THE_KILLED, STEPS_OF_THE_OTHER = 1200, 200
"""Checkpoints are a second apart here, and the longer training takes ten seconds where nothing else runs."""

CHECKPOINT_WITHIN_S, TRAINED_WITHIN_S, STUDY_WITHIN_S, RESTART_WITHIN_S = 900.0, 900.0, 900.0, 120.0
OUTAGE_S, TAKEN_DOWN_WITHIN_S = 15.0, 240.0
AGGREGATOR = "127.0.0.1:50050"
TAKEN_DOWN = ("container ls --all --quiet", "volume ls --quiet", "network ls --quiet --filter name=_default")


def study() -> StudySpec:
    """A long training, to be killed, and a short one; two representations, all metrics: trees are compiled there."""
    lengths = {"sweep": {"training_steps": [STEPS_OF_THE_KILLED, STEPS_OF_THE_OTHER]}}
    seeds = {"sweep": {"random_seed": [0, 1]}}
    return tiny_steps.study(grid={"zip": [seeds, lengths]}, model__batch_size=1)


class Flow:
    """What is done to the running stack, step by step; `figures` are for the last line."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.figures: dict[str, float] = {}
        self.client = Client(AGGREGATOR, stack.token)
        self.store: Store = open_store(env=stack.s3)

    def run(self) -> None:
        """All of it."""
        self.check_containers()
        self.stack.compose("exec", "-T", "aggregator", "disentangle", "data", "import", "dummy_data")
        began = time.monotonic()
        plan = load_plan(self.store, self.client.submit(study()).plan)
        killed, other = (model.key for model in plan.models)
        self.kill_while_training(killed)
        self.cut_off_minio()
        wait_for("the study is done", self.is_done, STUDY_WITHIN_S)
        self.figures["study_s"] = time.monotonic() - began
        assert self.is_committed(other)
        self.stop_gracefully()

    def check_containers(self) -> None:
        """As hardened as the file says, and reachable from this machine alone."""
        for service in SERVICES:
            found = self.stack.inspect(service)
            host = found["HostConfig"]
            assert found["Config"]["User"] == "65532:65532", service
            assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"]), service
            bindings: dict[str, list[dict[str, str]]] = host["PortBindings"] or {}
            assert all(b["HostIp"] == "127.0.0.1" for ports in bindings.values() for b in ports), service
        with Client(AGGREGATOR, "not-the-token") as stranger:
            expect_refusal(stranger)

    def kill_while_training(self, key: Any) -> None:
        """Kills the trainer's first process as soon as there is a checkpoint to go on from."""
        say("training until the first checkpoint")
        found: list[Checkpoint] = []

        def has_checkpoint() -> bool:
            self.is_done()
            checkpoint = latest_checkpoint(self.store, "train", key)
            found.extend([checkpoint] if checkpoint else [])
            return bool(found)

        wait_for("there is a checkpoint", has_checkpoint, CHECKPOINT_WITHIN_S)
        assert not self.is_committed(key), "trained before it could be killed"
        self.stack.kill("trainer")
        say(f"the trainer is killed; its checkpoint is at step {found[0].position}")
        self.figures["restart_s"] = wait_for("the trainer is back", self.is_trainer_back, RESTART_WITHIN_S)
        wait_for("the killed training is committed", lambda: self.is_committed(key), TRAINED_WITHIN_S)
        self.check_resumed(key, found[0])
        self.figures["checkpoint"] = found[0].position

    def is_trainer_back(self) -> bool:
        """Whether the engine has started it again."""
        return self.stack.inspect("trainer")["RestartCount"] >= 1 and self.stack.is_healthy("trainer")

    def is_committed(self, key: Any) -> bool:
        """Whether a training is; `Different` where the study has failed."""
        self.is_done()
        return find_manifest(self.store, "train", key) is not None

    def check_resumed(self, key: Any, checkpoint: Checkpoint) -> None:
        """The committed history begins with the killed attempt's rows, speeds included: it was not trained anew."""
        manifest = find_manifest(self.store, "train", key)
        assert manifest is not None
        assert manifest.attempt != checkpoint.attempt
        stored = self.store.get(ArtifactKey("train", key, manifest.attempt, "history.parquet"))
        rows = pq.read_table(io.BytesIO(stored)).to_pylist()
        before = json.loads(checkpoint.contents["history.json"])
        if rows[: len(before)] != before:
            raise Different("the training that was killed began anew instead of going on from its checkpoint")

    def cut_off_minio(self) -> None:
        """Nothing fails meanwhile; it only waits."""
        say(f"MinIO is cut off for {OUTAGE_S:.0f} s")
        with self.stack.cut_off("minio"):
            began = time.monotonic()
            with Client(AGGREGATOR, self.stack.token, timeout_s=5.0, patience_s=1.0) as client:
                expect_outage(lambda: client.status("tiny"))
            time.sleep(max(0.0, began + OUTAGE_S - time.monotonic()))
            self.figures["outage_s"] = time.monotonic() - began
        self.store = open_store(env=self.stack.s3)

    def is_done(self) -> bool:
        """Whether the study has succeeded; `Different` where it has failed."""
        try:
            view = self.client.status("tiny")
        except (Unavailable, DeadlineExceeded):
            return False
        if view.is_final and view.state != "succeeded":
            raise Different(f"the study is {view.state}: {view.failures}")
        return view.is_final

    def stop_gracefully(self) -> None:
        """SIGTERM ends every service by itself, with exit code 0."""
        self.stack.compose("stop", *SERVICES)
        for service in SERVICES:
            code = int(self.engine_state(service)["ExitCode"])
            assert code == 0, f"{service} ended with {code} on SIGTERM"

    def engine_state(self, service: str) -> dict[str, Any]:
        """Of a container that may have ended."""
        name = self.stack.engine.run(
            "container", "ls", "--all", "--quiet", "--filter", f"label=com.docker.compose.service={service}"
        )
        state: dict[str, Any] = json.loads(self.stack.engine.run("inspect", name.strip()))[0]["State"]
        return state


def expect_refusal(stranger: Client) -> None:
    """A wrong token opens nothing."""
    try:
        stranger.studies()
    except Unauthenticated:
        return
    raise Different("a wrong token was let in")


def expect_outage(call: Callable[[], object]) -> None:
    """The caller is told that the store is away, and nothing else."""
    try:
        call()
    except (Unavailable, DeadlineExceeded):
        return
    raise Different("MinIO was cut off, and nobody noticed")


def inside(folder: Path) -> int:
    """Everything but the build, in a network namespace of its own; figures go into a file."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    expected = run_undisturbed(directory_run(folder), study(), 2)
    with engine(has_bridge=True) as started:
        began = time.monotonic()
        with brought_up(started, folder) as stack:
            figures = {"up_s": time.monotonic() - began}
            flow = Flow(stack, folder)
            flow.run()
            compare(expected, Numbers.of_store(flow.store, "tiny"))
            figures |= {**flow.figures, "scores": expected.num_scores, "steps": len(expected.steps)}
        left = {command: started.run(*command.split()) for command in TAKEN_DOWN}
        assert not any(text.strip() for text in left.values()), f"{PROJECT} left {left}"
    (folder / "figures.json").write_text(json.dumps(figures))
    return 0


def directory_run(folder: Path) -> Folder:
    """A folder for the undisturbed run; its store holds the data."""
    path = folder / "directory"
    path.mkdir()
    tiny_steps.import_dummy_data(DirectoryStore(path / "store"))
    return Folder(path)


def outside() -> str:
    """Builds, runs `inside` in its namespace, compares the host; the line of figures."""
    before, began = host_state(), time.monotonic()
    with engine(has_bridge=False) as started:
        sizes = build_images(started)
    built_s = time.monotonic() - began
    with tempfile.TemporaryDirectory(prefix="compose-test-") as folder:
        command = ["unshare", "--net", sys.executable, __file__, "--inside", folder]
        if run_to_the_end(command):
            logs = sorted(Path(folder).glob("*.log"))
            raise EngineError("\n".join(log.read_text()[-6000:] for log in logs) or "see above")
        figures = json.loads((Path(folder) / "figures.json").read_text())
    if changed := differences(before, host_state()):
        raise Different(f"the host is not as it was: {'; '.join(changed)}")
    megabytes = ", ".join(f"{name.split('/')[-1].split(':')[0]} {size / 1e6:,.0f}" for name, size in sizes.items())
    return (
        f"compose-test: images {built_s:.0f} s (MB: {megabytes}); up and healthy {figures['up_s']:.0f} s; trainer "
        f"killed at checkpoint {figures['checkpoint']}, back in {figures['restart_s']:.0f} s, resumed; MinIO away "
        f"{figures['outage_s']:.0f} s; study {figures['study_s']:.0f} s; {figures['scores']} scores and "
        f"{figures['steps']} steps as over a directory, bit for bit; host as it was; {time.monotonic() - began:.0f} s"
    )


def run_to_the_end(command: Sequence[str]) -> int:
    """The exit status of a command, which gets time to take down what it put up where this process is stopped."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait(TAKEN_DOWN_WITHIN_S)
            raise


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="make compose-test", description=__doc__)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # everything is taken down
    if options.inside:
        return inside(options.inside)
    if reason := what_is_missing():
        sys.stderr.write(f"compose-test: {reason}\n")
        return 1
    try:
        line = outside()
    except (Different, EngineError, TimeoutError) as error:
        sys.stderr.write(f"compose-test: FAILED: {error}\n")
        return 1
    sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
