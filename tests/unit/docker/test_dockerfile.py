"""What docker/Dockerfile must be, asserted on its text: no container engine is needed."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from check_lock import Lock
from images import TARGETS

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
REQUIREMENTS = ROOT / "requirements" / "images"
SERVICES = [target for target in TARGETS if target != "minio"]


@dataclass
class Stage:
    """One stage: what it begins with, and its instructions."""

    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        """Of every such instruction."""
        return [value for instruction, value in self.instructions if instruction == name]


def parsed() -> tuple[dict[str, str], dict[str, Stage]]:
    """The arguments before the first stage, and the stages by name."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE))
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for line in filter(str.strip, text.splitlines()):
        instruction, _, value = line.strip().partition(" ")
        if instruction == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", value).groups()  # type: ignore[union-attr]  # fails the test
            stage = stages[name] = Stage(base)
        elif stage is None:
            name, _, default = value.partition("=")
            arguments[name] = default
        else:
            stage.instructions.append((instruction, value.strip()))
    return arguments, stages


ARGUMENTS, STAGES = parsed()


def inherited(name: str, instruction: str) -> list[str]:
    """The values of an instruction in a stage and the stages that it begins with, its own last."""
    stage = STAGES.get(name)
    return [] if stage is None else [*inherited(stage.base, instruction), *stage.values(instruction)]


def test_there_is_a_stage_for_every_image() -> None:
    assert set(TARGETS) <= STAGES.keys()


def test_base_images_are_arguments_with_pinned_defaults() -> None:
    outside = {stage.base for stage in STAGES.values()} - STAGES.keys()
    assert outside == {"${BASE}", "${GO_BASE}", "scratch"}
    assert all(re.search(r":\d+\.\d+", ARGUMENTS[name]) for name in ("BASE", "GO_BASE"))


def test_no_frontend_is_pulled_and_nothing_is_fetched_by_address() -> None:
    assert "syntax=" not in DOCKERFILE
    assert not any(stage.values("ADD") for stage in STAGES.values())
    commands = [command for stage in STAGES.values() for command in stage.values("RUN")]
    assert not any(re.search(r"\b(curl|wget|apt-get|git clone)\b", command) for command in commands)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_and_says_whether_it_is_well(target: str) -> None:
    assert inherited(target, "USER")[-1] == "65532:65532"
    assert "CMD [" in inherited(target, "HEALTHCHECK")[-1]


@pytest.mark.parametrize("target", TARGETS)
def test_no_shell_stands_between_the_engine_and_the_program(target: str) -> None:
    entrypoint, command = inherited(target, "ENTRYPOINT")[-1], inherited(target, "CMD")[-1]
    assert all(isinstance(json.loads(words), list) for words in (entrypoint, command))


@pytest.mark.parametrize("target", SERVICES)
def test_a_service_serves_by_default_and_only_with_a_token_and_tls_or_an_open_word(target: str) -> None:
    entrypoint, command = json.loads(inherited(target, "ENTRYPOINT")[-1]), json.loads(inherited(target, "CMD")[-1])
    assert entrypoint[-2:] == ["-m", f"disentanglement.services.{target}"]
    assert command[0] == "serve"
    assert "--insecure-listen" not in command


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_that_builds_comes_into_an_image(target: str) -> None:
    assert not any("/build" in value or "--mount=type=cache" in value for value in inherited(target, "COPY"))
    name, built_on = target, []
    while name in STAGES:
        built_on.append(name)
        name = STAGES[name].base
    assert "builder" not in built_on
    assert "minio-build" not in built_on


def test_pip_gets_its_secrets_and_its_cache_by_mounts() -> None:
    installing = [command for stage in STAGES.values() for command in stage.values("RUN") if "install -r" in command]
    assert len(installing) == 4
    for command in installing:
        assert "--mount=type=cache,target=/var/cache/pip" in command
        assert "--mount=type=secret,id=ca.pem" in command
        assert "--mount=type=secret,id=pip.conf" in command


def test_minio_is_the_version_that_tests_run() -> None:
    tested = re.search(r"github\.com/minio/minio (v\S+)", (ROOT / "tests" / "tools" / "go.mod").read_text())
    assert tested is not None
    versions = {value for stage in STAGES.values() for value in stage.values("ARG") if value.startswith("MINIO_")}
    assert versions == {f"MINIO_VERSION={tested[1]}"}


@pytest.mark.parametrize("name", ["trainer", "evaluator", "aggregator", "build"])
def test_every_requirement_of_an_image_is_hashed_and_of_the_locked_version(name: str) -> None:
    locked = Lock.read(ROOT / "requirements" / "dev.txt").versions
    text = (REQUIREMENTS / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text.partition("make lock\n")[2])
    assert entries
    for entry in entries:
        assert "--hash=sha256:" in entry, entry
        assert "://" not in entry
    for package, version in Lock.read(REQUIREMENTS / f"{name}.txt").versions.items():
        assert locked.get(package, version) == version


def test_only_images_that_compute_with_torch_have_it() -> None:
    with_torch = {path.stem for path in REQUIREMENTS.glob("*.txt") if "\ntorch==" in path.read_text()}
    assert with_torch == {"trainer"}


def test_images_have_every_direct_requirement_of_what_they_run() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    services = [re.split(r"[>=<\[]", text)[0] for text in project["optional-dependencies"]["services"]]
    for name in ("trainer", "evaluator", "aggregator"):
        assert set(services) - {"disentanglement"} <= Lock.read(REQUIREMENTS / f"{name}.txt").versions.keys()
    assert "kubernetes" in Lock.read(REQUIREMENTS / "aggregator.txt").versions
