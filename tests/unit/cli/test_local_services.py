"""The services as processes of this machine: what is remembered, found again, and started again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from disentanglement.cli.local_services import (
    SERVICES,
    LocalServices,
    Setup,
    command_line,
    environment,
    free_ports,
    ports_from,
)
from disentanglement.cli.supervisor import (
    CALM_AFTER_S,
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    Restart,
    Supervisor,
    next_restart,
)
from disentanglement.errors import Interrupted

SETUP = Setup("/some/store", ports_from(50050), 2)


def test_a_setup_survives_being_written_and_read(tmp_path: Path) -> None:
    services = LocalServices(tmp_path)
    services.write(SETUP)
    assert services.setup() == SETUP


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"store": "x", "ports": {"trainer": 1}}', "half a li"])
def test_what_a_killed_command_left_is_no_setup(text: str, tmp_path: Path) -> None:
    (tmp_path / "services.json").write_text(text)
    assert LocalServices(tmp_path).setup() is None


def test_the_services_are_told_of_each_other() -> None:
    env = SETUP.environment()
    assert env["DISENTANGLEMENT_TRAINER"] == "127.0.0.1:50051"
    assert env["DISENTANGLEMENT_EVALUATOR_WORKERS"] == "2"
    assert env["DISENTANGLEMENT_STORE"] == "/some/store"


def test_a_token_meant_for_others_does_not_reach_services_of_this_machine() -> None:
    assert environment({"DISENTANGLEMENT_TOKEN": "secret", "PATH": "/bin"}) == {"PATH": "/bin"}


def test_another_process_under_a_remembered_number_is_not_taken_for_the_service(tmp_path: Path) -> None:
    (tmp_path / "trainer.pid").write_text(str(os.getpid()))
    assert LocalServices(tmp_path).pid("trainer") is None
    (tmp_path / "trainer.pid").write_text("no number")
    assert LocalServices(tmp_path).pid("trainer") is None


def test_stopping_nothing_is_harmless_and_kills_nobody(tmp_path: Path) -> None:
    (tmp_path / "trainer.pid").write_text(str(os.getpid()))
    assert LocalServices(tmp_path).stop() == []
    assert not (tmp_path / "trainer.pid").exists()


def test_a_command_line_is_that_of_a_living_process() -> None:
    assert Path(sys.executable).name.rstrip("0123456789.") in command_line(os.getpid())
    assert command_line(2**22 + 1) == ""


def test_free_ports_differ() -> None:
    ports = free_ports()
    assert set(ports) == set(SERVICES)
    assert len(set(ports.values())) == len(SERVICES)


def test_one_command_at_a_time(tmp_path: Path) -> None:
    with LocalServices(tmp_path).locked(), pytest.raises(Interrupted), LocalServices(tmp_path).locked(wait=False):
        pass


def test_pauses_double_up_to_a_limit_and_begin_anew_after_a_calm_time() -> None:
    first = next_restart(None, 100.0)
    assert first == Restart(100.0 + FIRST_PAUSE_S, FIRST_PAUSE_S)
    second = next_restart(first, 101.0)
    assert second.pause_s == 2 * FIRST_PAUSE_S
    restart = second
    for _ in range(20):
        restart = next_restart(restart, restart.at)
    assert restart.pause_s == LONGEST_PAUSE_S
    assert next_restart(restart, restart.at + CALM_AFTER_S + 1).pause_s == FIRST_PAUSE_S


class FakeServices(LocalServices):
    """Services of which some are dead; remembers what was started."""

    def __init__(self, directory: Path, dead: set[str]) -> None:
        super().__init__(directory)
        self.dead = dead
        self.started: list[str] = []

    __slots__ = ("dead", "started")

    def pid(self, service: str) -> int | None:
        return None if service in self.dead else 1

    def start(self, service: str, setup: Setup, env: Mapping[str, str]) -> None:
        self.started.append(service)
        self.dead.discard(service)


def test_a_service_that_died_is_started_again_after_its_pause(tmp_path: Path) -> None:
    services, notes = FakeServices(tmp_path, {"evaluator"}), list[str]()
    supervisor = Supervisor(services, SETUP, note=notes.append)
    supervisor.look(10.0, {})
    assert services.started == []
    assert "evaluator has died" in notes[0]
    supervisor.look(10.0 + FIRST_PAUSE_S, {})
    supervisor.look(11.0, {})
    assert services.started == ["evaluator"]
    services.dead.add("evaluator")
    supervisor.look(11.5, {})
    supervisor.look(11.5 + FIRST_PAUSE_S, {})
    assert services.started == ["evaluator"]
    supervisor.look(11.5 + 2 * FIRST_PAUSE_S, {})
    assert services.started == ["evaluator", "evaluator"]


def test_a_service_that_has_not_written_its_pid_yet_is_on_its_way_and_not_ended(tmp_path: Path) -> None:
    services = LocalServices(tmp_path)
    with subprocess.Popen(["sleep", "60"]) as child:
        services._children["evaluator"] = child
        assert services.pid("evaluator") == child.pid
        child.kill()
        child.wait()
        assert services.pid("evaluator") is None
