"""The command as a whole: help, what its start imports, errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from disentanglement.cli.app import app
from disentanglement.cli.exit_codes import MEANINGS

LOADED_AFTER = """
import sys
from disentanglement.cli.app import app
try:
    app({arguments!r}, prog_name="disentangle")
except SystemExit as end:
    assert not end.code, end.code
print(" ".join(sorted({{name.partition(".")[0] for name in sys.modules}})), file=sys.stderr)
"""


def packages_loaded_by(*arguments: str, cwd: Path) -> set[str]:
    """Top-level packages in memory after a command."""
    code = LOADED_AFTER.format(arguments=list(arguments))
    ended = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True)
    return set(ended.stderr.splitlines()[-1].split())


def test_help_lists_every_exit_code(run: Any) -> None:
    out = run("--help").out
    for code, meaning in MEANINGS.items():
        assert f"{code.value}: {meaning}" in out


def test_help_needs_no_library_that_is_slow_to_load(tmp_path: Path) -> None:
    loaded = packages_loaded_by("--help", cwd=tmp_path)
    assert not loaded & {"torch", "grpc", "numpy", "pandas", "scipy", "sklearn", "pydantic", "minio"}


def test_scoring_loads_neither_torch_nor_grpc_nor_a_store_client(tmp_path: Path) -> None:
    factors = np.random.default_rng(0).integers(0, 3, (60, 2))
    np.savez(tmp_path / "codes.npz", codes=factors.astype(float), factors=factors)
    loaded = packages_loaded_by("score", "codes.npz", "--metrics", "mig", cwd=tmp_path)
    assert not loaded & {"torch", "grpc", "google", "minio"}


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all commands."""
    members = getattr(group, "commands", None)
    if members is None:
        return [path]
    return [path, *(found for name, member in members.items() for found in commands(member, (*path, name)))]


def all_commands() -> list[tuple[str, ...]]:
    from typer.main import get_command

    return commands(get_command(app))


@pytest.mark.parametrize("path", all_commands(), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...], run: Any) -> None:
    ended = run(*path, "--help")
    assert ended.code == 0
    assert "Usage: disentangle" in ended.out


@pytest.mark.parametrize("path", all_commands(), ids=" ".join)
def test_no_command_hides_an_option_without_help(path: tuple[str, ...]) -> None:
    from typer.main import get_command

    command: Any = get_command(app)
    for name in path:
        command = command.commands[name]
    assert all(parameter.help for parameter in command.params if parameter.name != "help")


def test_an_unknown_command_is_wrong_usage(run: Any) -> None:
    assert run("studdy").code == 2


def test_the_schema_is_that_of_studies(run: Any) -> None:
    assert "representations" in run("schema", "study").json["properties"]


def test_the_version_is_printed_as_json(run: Any) -> None:
    assert run("version", "--json").json["disentanglement"]
