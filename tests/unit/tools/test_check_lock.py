"""The check that the locked requirements are in step with pyproject.toml."""

from __future__ import annotations

from pathlib import Path

from check_lock import Lock, disagreements, requirements
from packaging.requirements import Requirement
from pytest import fixture

LOCKED = """
numpy==2.1.0 ; python_full_version < '3.12' \\
    --hash=sha256:00
    # via
    #   disentanglement (pyproject.toml)
    #   scipy
scipy==1.15.0 \\
    --hash=sha256:00
    # via disentanglement (pyproject.toml)
six==1.17.0 \\
    --hash=sha256:00
    # via scipy
"""


@fixture
def lock(tmp_path: Path) -> Lock:
    (tmp_path / "base.txt").write_text(LOCKED)
    return Lock.read(tmp_path / "base.txt")


def found(lock: Lock, *wanted: str, everything: Lock | None = None) -> list[str]:
    asked_for = {Requirement(text).name: Requirement(text) for text in wanted}
    return list(disagreements("base.txt", asked_for, lock, everything or lock))


def test_a_lock_of_what_is_asked_for_is_in_step(lock: Lock) -> None:
    assert found(lock, "numpy>=2", "scipy>=1.12") == []


def test_a_requirement_that_was_added_is_found(lock: Lock) -> None:
    assert found(lock, "numpy", "scipy", "rich>=13") == ["base.txt: rich>=13 is not locked"]


def test_a_bound_that_was_raised_is_found(lock: Lock) -> None:
    assert found(lock, "numpy>=2.2", "scipy") == ["base.txt: numpy>=2.2 does not allow the locked 2.1.0"]


def test_a_requirement_that_was_removed_is_found(lock: Lock) -> None:
    assert found(lock, "numpy") == ["base.txt: scipy is locked but not asked for"]


def test_two_locks_with_two_versions_are_found(lock: Lock) -> None:
    dev = Lock({**lock.versions, "six": "1.16.0"}, frozenset())
    assert found(lock, "numpy", "scipy", everything=dev) == ["base.txt: six 1.17.0, but 1.16.0 in dev.txt"]


def test_an_extra_brings_the_base_and_the_extras_that_it_names() -> None:
    project = {
        "project": {
            "name": "disentanglement",
            "dependencies": ["numpy"],
            "optional-dependencies": {"client": ["grpcio"], "services": ["disentanglement[client]", "rich"]},
        }
    }
    assert set(requirements(project, ("services",))) == {"numpy", "grpcio", "rich"}
