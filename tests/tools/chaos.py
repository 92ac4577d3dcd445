"""Kills services and clients with SIGKILL while a study runs, and proves that its scores stay the same, bit for bit.

`make chaos` runs it; `--demo` takes the study and the command of `make demo`. A round is a pause of random length, then
one victim: a service or the command that waits for the study. What was killed is started again. When the study ends
before the rounds do, it begins anew in a fresh store. Every run ends with a comparison of every step's content digest
and results, and of the table, with those of a run without services that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import tiny_steps

from disentanglement.cli.data_sets import obtain
from disentanglement.cli.demo import study as demo_study
from disentanglement.cli.local_services import SERVICES, LocalServices, Setup, free_ports
from disentanglement.results.tables import study_table
from disentanglement.specs import StudySpec, canonical
from disentanglement.storage.checking import check_store
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.store import Store
from disentanglement.studies.records import load_plan, load_study

CLIENT = "client"
VICTIMS = (*SERVICES, CLIENT)
NUMBERS = ["number", "representation", "metric", "key", "value", "train_key", "postprocess_key", "evaluate_key"]
PROJECT = "default"
SETTLED_WITHIN_S = 1800.0
COMMAND = (sys.executable, "-m", "disentanglement.cli")
BURIED_WITHIN_S = 0.01
TINY_STEPS = 60
"""Of the small study's trainings."""


class Different(Exception):
    """A disturbed run and the undisturbed one do not agree."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Where one run keeps everything."""

    path: Path

    @property
    def store(self) -> Path:
        """Its store."""
        return self.path / "store"

    def environment(self) -> dict[str, str]:
        """Nothing of the user's own settings, and nothing of another run."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("DISENTANGLEMENT_")}
        names = {"STORE": self.store, "CACHE": self.path.parent / "cache", "STATE": self.path / "state"}
        return own | {f"DISENTANGLEMENT_{name}": str(path) for name, path in names.items()}


class Arena(Protocol):
    """A study under way: services, and a command that waits for it."""

    services: LocalServices

    def client(self) -> Sequence[str]:
        """The command; run again after it was killed, it goes on."""
        ...

    def revive(self) -> None:
        """Starts the services that are dead."""
        ...

    def close(self) -> None:
        """Stops the services."""
        ...


@dataclass(slots=True)
class Small:
    """Any study file, services of our own, and `disentangle study run --server`."""

    folder: Folder
    file: Path
    workers: int
    services: LocalServices = field(init=False)
    setup: Setup = field(init=False)

    def __post_init__(self) -> None:
        self.services = LocalServices(self.folder.path / "services")
        self.services.directory.mkdir()
        self.setup = Setup(str(self.folder.store), free_ports(), self.workers)
        self.services.write(self.setup)
        self.revive()
        self.services.wait(self.setup)

    def client(self) -> Sequence[str]:
        """See `Arena`."""
        return [*COMMAND, "study", "run", str(self.file), "--server", self.setup.address("aggregator")]

    def revive(self) -> None:
        """See `Arena`."""
        for service in SERVICES:
            if self.services.pid(service) is None:
                self.services.start(service, self.setup, self.folder.environment())

    def close(self) -> None:
        """See `Arena`."""
        self.services.stop()


@dataclass(slots=True)
class Demo:
    """`disentangle demo`, which looks after its services itself."""

    folder: Folder
    workers: int
    services: LocalServices = field(init=False)

    def __post_init__(self) -> None:
        self.services = LocalServices(self.folder.path / "state" / "demo")

    def client(self) -> Sequence[str]:
        """See `Arena`."""
        return [*COMMAND, "demo", "--json", "--workers", str(self.workers)]

    def revive(self) -> None:
        """Nothing to do: the command sees to it."""

    def close(self) -> None:
        """See `Arena`."""
        self.services.stop()


@dataclass(slots=True)
class Chaos:
    """What was done so far."""

    rounds: int
    every_s: float
    dice: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0

    @property
    def left(self) -> int:
        """Rounds to go."""
        return self.rounds - self.kills.total()

    def disturb(self, arena: Arena, folder: Folder) -> None:
        """One run of the study to its end, with as many kills as there is time for."""
        client, deadline = start(arena.client(), folder), time.monotonic() + SETTLED_WITHIN_S
        try:
            while not ended(client, self.dice.uniform(0.2, 1.8) * self.every_s):
                if time.monotonic() > deadline:
                    raise Different(f"the study did not end within {SETTLED_WITHIN_S:.0f} s:\n{tail(folder)}")
                arena.revive()
                victim = self.dice.choice(VICTIMS)
                if not self.left or not self._killed(victim, arena, client):
                    continue
                if victim == CLIENT:
                    client = start(arena.client(), folder)
                self.kills[victim] += 1
                say(f"round {self.kills.total()}: killed the {victim}")
                arena.revive()
        finally:
            kill(client.pid)
            client.wait()
        self.runs += 1
        if client.returncode != 0:
            raise Different(f"the command ended with exit code {client.returncode}:\n{tail(folder)}")

    def _killed(self, victim: str, arena: Arena, client: subprocess.Popen[bytes]) -> bool:
        """Kills and waits for the burial, so that a port is free again; False for who is not up."""
        pid = client.pid if victim == CLIENT else arena.services.pid(victim)
        if pid is None:
            return False
        kill(pid)
        while client.poll() is None if victim == CLIENT else arena.services.pid(victim) == pid:
            time.sleep(BURIED_WITHIN_S)
        return True


def start(command: Sequence[str], folder: Folder) -> subprocess.Popen[bytes]:
    """The command, writing to a log."""
    with (folder.path / "client.log").open("ab") as log:
        return subprocess.Popen(
            command, env=folder.environment(), cwd=folder.path, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    """Whether it ended by itself."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(within_s)
    return process.returncode is not None


def kill(pid: int) -> None:
    """SIGKILL; who is dead already stays dead."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def tail(folder: Folder) -> str:
    """The ends of all logs."""
    logs = sorted(folder.path.rglob("*.log"))
    return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in logs)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Everything that must not depend on what was killed."""

    steps: dict[str, tuple[str, Any]]
    table: str

    @classmethod
    def of(cls, folder: Folder, study: StudySpec) -> Numbers:
        """Of a finished study in a folder."""
        return cls.of_store(DirectoryStore(folder.store), study.name)

    @classmethod
    def of_store(cls, store: Store, study: str) -> Numbers:
        """Of a finished study; the table as text in which every float is exact."""
        plan = load_plan(store, load_study(store, PROJECT, study).plan)
        table = study_table(store, PROJECT, plan)[NUMBERS].sort_values(NUMBERS[:4])
        rows = [[v.hex() if isinstance(v, float) else v for v in row] for row in table.values.tolist()]
        if findings := check_store(store).findings:
            raise Different(f"damaged: {findings}")
        return cls(tiny_steps.contents(store), json.dumps(rows))

    @property
    def num_scores(self) -> int:
        """Rows of the table."""
        return len(json.loads(self.table))


def compare(expected: Numbers, found: Numbers) -> None:
    """Raises `Different`, saying where, unless both are the same bit for bit."""
    for step in sorted(expected.steps.keys() | found.steps.keys()):
        if expected.steps.get(step) != found.steps.get(step):
            raise Different(f"{step}: wanted {expected.steps.get(step)}, got {found.steps.get(step)}")
    if expected.table != found.table:
        raise Different("the tables differ although all steps are the same")


def small_study() -> StudySpec:
    """Two models x two representations x the three quick metrics."""
    quick = [metric for metric in tiny_steps.STUDY["metrics"] if "dci" not in metric]
    return tiny_steps.study(metrics=quick, model__training_steps=TINY_STEPS)


def run_undisturbed(folder: Folder, study: StudySpec, workers: int) -> Numbers:
    """Without services, in one command that nobody kills."""
    file = folder.path / "study.yaml"
    file.write_text(json.dumps(canonical(study)))  # JSON is YAML
    process = start([*COMMAND, "study", "run", str(file), "--workers", str(workers)], folder)
    if process.wait() != 0:
        raise Different(f"the undisturbed run failed:\n{tail(folder)}")
    return Numbers.of(folder, study)


@contextmanager
def arena_of(folder: Folder, study: StudySpec, *, demo: bool, workers: int) -> Iterator[Arena]:
    """The services, stopped at the end."""
    file = folder.path / "study.yaml"
    file.write_text(json.dumps(canonical(study)))
    arena: Arena = Demo(folder, workers) if demo else Small(folder, file, workers)
    try:
        yield arena
    finally:
        arena.close()


def prove(root: Path, *, rounds: int, every_s: float, seed: int, demo: bool, workers: int) -> str:
    """The whole proof; one line that says what was done. Raises `Different`."""
    began, study = time.monotonic(), demo_study() if demo else small_study()
    imported = root / "imported"
    obtain(DirectoryStore(imported), study.model.dataset.name, released=None, report=lambda share, note: None)
    say(f"an undisturbed run of {study.name}")
    expected = run_undisturbed(fresh(root / "undisturbed", imported), study, workers)
    chaos = Chaos(rounds, every_s, random.Random(seed))
    while chaos.left:
        folder = fresh(root / f"disturbed-{chaos.runs}", imported)
        say(f"run {chaos.runs + 1} of {study.name} through the four services, {chaos.left} rounds to go")
        with arena_of(folder, study, demo=demo, workers=workers) as arena:
            chaos.disturb(arena, folder)
        compare(expected, Numbers.of(folder, study))
    kills = ", ".join(f"{victim} {chaos.kills[victim]}" for victim in VICTIMS)
    return (
        f"chaos: {chaos.kills.total()} kills ({kills}) in {chaos.runs} runs of {study.name}, seed {seed}: "
        f"{expected.num_scores} scores and {len(expected.steps)} steps the same bit for bit, "
        f"in {time.monotonic() - began:.0f} s"
    )


def fresh(path: Path, imported: Path) -> Folder:
    """A folder whose store holds the data set (the files are shared: nobody writes to them)."""
    path.mkdir()
    shutil.copytree(imported, path / "store", copy_function=os.link)
    return Folder(path)


def say(text: str) -> None:
    """Progress, on standard error."""
    sys.stderr.write(f"{text}\n")


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when all runs agree, 1 when one does not (its folder is kept then)."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="kills (default: 20)")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two kills, on average (default: 3)")
    parser.add_argument("--seed", type=int, default=None, help="of the victims and moments (default: a random one)")
    parser.add_argument("--demo", action="store_true", help="the study and the command of `make demo`: takes minutes")
    parser.add_argument("--workers", type=int, default=2, help="steps of one kind at once (default: 2)")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    root = Path(tempfile.mkdtemp(prefix="disentanglement-chaos-"))
    try:
        line = prove(
            root,
            rounds=options.rounds,
            every_s=options.every,
            seed=seed,
            demo=options.demo,
            workers=options.workers,
        )
    except Different as difference:
        sys.stderr.write(f"chaos: FAILED with seed {seed}, see {root}: {difference}\n")
        return 1
    shutil.rmtree(root)
    sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
