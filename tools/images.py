"""Builds the images of docker/Dockerfile, pushes them on request, and prints their sizes: `make images`.

Standard library alone. pip's indexes and the certificate authorities that the machine trusts go into the build as
secrets, so no layer keeps them: from pip's own configuration, and from PIP_CERT or SSL_CERT_FILE.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGETS = ("trainer", "postprocessor", "evaluator", "aggregator", "minio")
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")
LAST_WITH_BUILDKIT = 22
"""Later clients build with the plug-in buildx alone."""


class CannotBuild(Exception):
    """What is missing on this machine, or went wrong."""


@dataclass(frozen=True, slots=True)
class Build:
    """How images are built and called."""

    docker: str
    tag: str
    registry: str = ""
    arguments: Mapping[str, str] | None = None
    """Build arguments: BASE, GO_BASE, TORCH_INDEX."""
    network: str = ""

    def name(self, target: str) -> str:
        """`[registry/]disentanglement/target:tag`."""
        prefix = f"{self.registry.rstrip('/')}/" if self.registry else ""
        return f"{prefix}disentanglement/{target}:{self.tag}"

    def command(self, target: str, secrets: Mapping[str, Path]) -> list[str]:
        """The command that builds one image."""
        words = [self.docker, "build", "--file", "docker/Dockerfile", "--target", target, "--tag", self.name(target)]
        for name, value in (self.arguments or {}).items():
            words += ["--build-arg", f"{name}={value}"] if value else []
        for name, path in secrets.items():
            words += ["--secret", f"id={name},src={path}"]
        return [*words, *(["--network", self.network] if self.network else []), "."]


def version() -> str:
    """The project's."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert isinstance(found, str)
    return found


def find_docker(environment: Mapping[str, str]) -> str:
    """A docker client that can build with BuildKit: DOCKER, else the first such on the PATH.

    Raises:
        CannotBuild: there is none.
    """
    if given := environment.get("DOCKER"):
        return given
    folders = environment.get("PATH", os.defpath).split(os.pathsep)
    for docker in filter(None, (shutil.which("docker", path=folder) for folder in folders)):
        if _can_build(docker):
            return docker
    raise CannotBuild("no docker client with BuildKit is on the PATH: install docker with its plug-in buildx")


def _can_build(docker: str) -> bool:
    said = subprocess.run([docker, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"version (\d+)\.", said)
    if found is not None and int(found[1]) <= LAST_WITH_BUILDKIT:
        return True
    return subprocess.run([docker, "buildx", "version"], capture_output=True).returncode == 0


def pip_configuration() -> str:
    """What pip is told on this machine about indexes and proxies, as a configuration file; empty where nothing is."""
    said = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    values: dict[str, str] = {}
    for line in said.splitlines():
        key, _, text = line.partition("=")
        name = key.rpartition(".")[2]
        if name in PIP_SETTINGS:
            values[name] = str(ast.literal_eval(text)).replace("\n", "\n    ")
    lines = [f"{name} = {value}" for name, value in values.items()]
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def authorities(environment: Mapping[str, str]) -> Path | None:
    """The file of certificate authorities that the machine was told to trust beyond the usual."""
    for name in ("PIP_CERT", "SSL_CERT_FILE"):
        if (path := Path(environment.get(name) or "/nonexistent")).is_file():
            return path
    return None


def build(plan: Build, targets: Sequence[str], environment: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Builds the images; the name and the size in bytes of each.

    Raises:
        CannotBuild: a build failed; what it printed was seen.
    """
    with tempfile.TemporaryDirectory() as folder:
        secrets = _secrets(Path(folder), environment)
        for target in targets:
            with_buildkit = {**environment, "DOCKER_BUILDKIT": "1"}
            if subprocess.run(plan.command(target, secrets), cwd=ROOT, env=with_buildkit).returncode:
                raise CannotBuild(f"{plan.name(target)} was not built")
            yield plan.name(target), size(plan.docker, plan.name(target), environment)


def _secrets(folder: Path, environment: Mapping[str, str]) -> dict[str, Path]:
    secrets: dict[str, Path] = {}
    if text := pip_configuration():
        secrets["pip.conf"] = folder / "pip.conf"
        secrets["pip.conf"].touch(mode=0o600)
        secrets["pip.conf"].write_text(text)
    if found := authorities(environment):
        secrets["ca.pem"] = found
    return secrets


def size(docker: str, image: str, environment: Mapping[str, str]) -> int:
    """Bytes of an image's layers, unpacked."""
    command = [docker, "image", "inspect", "--format", "{{.Size}}", image]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit status."""
    options = _parser().parse_args(arguments)
    try:
        plan = Build(
            find_docker(environment),
            options.tag or version(),
            options.registry,
            {"BASE": options.base, "GO_BASE": options.go_base, "TORCH_INDEX": options.torch_index},
            options.network,
        )
        for name, num_bytes in build(plan, options.targets or TARGETS, environment):
            print(f"{name:50} {num_bytes / 1e6:8,.0f} MB")
            if options.push and subprocess.run([plan.docker, "push", "--quiet", name], env=environment).returncode:
                raise CannotBuild(f"{name} was not pushed")
    except CannotBuild as error:
        sys.stderr.write(f"images: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/images.py", description="Build the images of docker/Dockerfile.")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="by default all")
    parser.add_argument("--tag", default="", help="by default the version of the project")
    parser.add_argument("--registry", default="", metavar="HOST[/PATH]", help="goes before the names")
    parser.add_argument("--torch-index", default="", metavar="URL", help="torch for CPUs comes from there")
    parser.add_argument("--base", default="", metavar="IMAGE", help="with Python, instead of the official image")
    parser.add_argument("--go-base", default="", metavar="IMAGE", help="with Go, instead of the official image")
    parser.add_argument("--network", default="", help="of the build: host, or what docker build takes")
    parser.add_argument("--push", action="store_true", help="push each image once it is built")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
