"""The wheel as a user gets it: in clean virtual environments, with what an extra names and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("aggregator", "evaluator", "postprocessor", "trainer")
HEAVY = {"torch", "grpc", "google.protobuf", "kubernetes"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

IMPORT_WITHOUT = """
import importlib, pkgutil, sys
import disentanglement
{body}
print(" ".join(sorted(sys.modules)))
"""
IMPORT_ALL_GENERATED = """
import importlib, pkgutil
import disentanglement.v1
names = [module.name for module in pkgutil.iter_modules(disentanglement.v1.__path__, "disentanglement.v1.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment of its own, made by the standard library."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Environment:
        venv.create(folder, with_pip=True)
        return cls(folder)

    def run(self, program: str, *arguments: str | Path) -> str:
        """Run one of its programs away from the checkout; returns what it printed."""
        command = [str(self.folder / "bin" / program), *map(str, arguments)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{program} failed: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout

    def install(self, *arguments: str | Path) -> None:
        self.run("python", "-m", "pip", "install", "-q", "--no-compile", *arguments)

    def modules_after(self, body: str) -> set[str]:
        """The names of all modules that are loaded once `body` has run."""
        return set(self.run("python", "-c", IMPORT_WITHOUT.format(body=body)).split())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built through the sdist as a package index would have it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel and its locked base requirements."""
    environment = Environment.create(tmp_path_factory.mktemp("base"))
    environment.install("--no-deps", "--require-hashes", "-r", ROOT / "requirements" / "base.txt")
    environment.install("--no-deps", wheel)
    return environment


@pytest.fixture(scope="module")
def client(wheel: Path, base: Environment, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment of the `client` extra alone, over the base's packages (so they are installed once)."""
    environment = Environment.create(tmp_path_factory.mktemp("client"))
    (packages,) = base.folder.glob("lib/python*/site-packages")
    (own,) = environment.folder.glob("lib/python*/site-packages")
    (own / "base.pth").write_text(f"{packages}\n")
    return environment


def oldest_client() -> Sequence[str]:
    """The `client` extra at its lower bounds: `grpcio>=1.72.1` becomes `grpcio==1.72.1`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["optional-dependencies"]["client"]
    return [re.sub(r">=([\d.]+).*", r"==\1", requirement) for requirement in wanted]


def test_the_wheel_holds_the_services_as_real_files_once(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if "services/" in name]
    assert {name for name in names if name.endswith("__init__.py")} == {
        "disentanglement/services/__init__.py",
        *(f"disentanglement/services/{service}/__init__.py" for service in SERVICES),
    }
    assert len(names) == len(set(names))


def test_the_wheel_holds_the_package_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {
            "disentanglement",
            "disentanglement-0.1.0.dist-info",
        }


def test_the_base_alone_runs_the_command(base: Environment) -> None:
    assert "Usage" in base.run("disentangle", "--help")


def test_the_base_has_neither_torch_nor_grpc(base: Environment) -> None:
    installed = base.run("python", "-m", "pip", "list", "--format=freeze").lower()
    assert not re.search(r"^(torch|grpcio|protobuf|kubernetes)==", installed, re.MULTILINE)


def test_the_base_alone_scores_a_file_of_codes(base: Environment) -> None:
    factors_NK = np.stack(np.meshgrid(range(3), range(4), indexing="ij"), axis=-1).reshape(-1, 2)
    factors_NK = np.tile(factors_NK, (100, 1))
    np.savez(base.folder / "mine.npz", codes=factors_NK.astype(np.float32), factors=factors_NK)
    scores = json.loads(base.run("disentangle", "score", "mine.npz", "--metrics", "mig", "--json"))
    assert scores["mig"]["discrete_mig"] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("module", ["cli", "metrics", "results", "specs", "storage", "studies"])
def test_what_the_base_offers_imports_without_heavy_libraries(base: Environment, module: str) -> None:
    loaded = base.modules_after(f"import disentanglement.{module}")
    assert f"disentanglement.{module}" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("release", ["oldest", "newest"])
def test_generated_code_imports_with_the_oldest_and_the_newest_release(client: Environment, release: str) -> None:
    if release == "oldest":
        client.install(*oldest_client())
    else:
        client.install("--no-deps", "--require-hashes", "-r", ROOT / "requirements" / "client.txt")
    assert int(client.run("python", "-W", "error", "-c", IMPORT_ALL_GENERATED)) > 0
    client.run("python", "-W", "error", "-c", "from disentanglement import AsyncClient, Client")


@pytest.mark.parametrize("service", ["aggregator", "evaluator"])
def test_a_service_that_needs_no_torch_imports_without_it(client: Environment, service: str) -> None:
    client.install("--no-deps", "--require-hashes", "-r", ROOT / "requirements" / "services.txt")
    client.run("python", "-c", f"import disentanglement.services.{service}.__main__")
