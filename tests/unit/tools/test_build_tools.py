"""How the programs that tests run are found, and what is said where they can not be built."""

from __future__ import annotations

from pathlib import Path

import build_tools
from pytest import MonkeyPatch, fixture, mark


@fixture
def path(tmp_path: Path, monkeypatch: MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install_go(path: Path, version: str) -> None:
    program = path / "go"
    program.write_text(f"#!/bin/sh\necho 'go version {version} linux/amd64'\n")
    program.chmod(0o755)


def test_a_missing_go_is_named_with_the_version_that_is_wanted(path: Path) -> None:
    assert build_tools.what_is_missing() == "Go is missing: install Go >= 1.26 and put `go` on the PATH."


def test_an_old_go_is_named_with_both_versions(path: Path) -> None:
    install_go(path, "go1.25.3")
    assert build_tools.what_is_missing() == ("Go 1.25 is too old: install Go >= 1.26 and put it first on the PATH.")


@mark.parametrize("version", ["go1.26", "go1.26.8", "go1.30rc1", "go2.0"])
def test_a_new_go_is_enough(path: Path, version: str) -> None:
    install_go(path, version)
    assert build_tools.what_is_missing() is None


def test_another_version_of_the_module_is_kept_in_another_folder(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(build_tools, "TOOLS", tmp_path)
    (tmp_path / "go.mod").write_text("one")
    (tmp_path / "go.sum").write_text("")
    one = build_tools.cache_folder()
    (tmp_path / "go.mod").write_text("two")
    assert build_tools.cache_folder() != one


def test_a_program_is_found_only_once_it_is_built(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build_tools.program("minio") is None
    build_tools.cache_folder().mkdir(parents=True)
    (build_tools.cache_folder() / "minio").touch()
    assert build_tools.program("minio") == build_tools.cache_folder() / "minio"
