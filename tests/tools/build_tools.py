"""Builds the servers that tests run for real, from the Go modules beside this file, into a per-user cache.

Each group of programs has a module, and a folder in the cache that is keyed by what decides the programs (go.mod and
go.sum), so a second checkout builds nothing. Standard library alone: `make tools` runs it before there is a virtual
environment.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).parent
OLDEST_GO = (1, 26)
KUBERNETES = "v1.36.3"


@dataclass(frozen=True)
class Group:
    """Programs that are built together: the folder of their Go module, and the package of each."""

    module: str
    packages: Mapping[str, str]
    linker_flags: str = "-s -w"
    needs_c: bool = False
    salt: str = ""
    """Tells apart the cache folders of groups that share a module."""

    @property
    def folder(self) -> Path:
        """Where the Go module is."""
        return TOOLS / self.module


def _kubernetes(*names: str) -> dict[str, str]:
    return {name: f"k8s.io/kubernetes/cmd/{name}" for name in names}


def _stamped(version: str) -> str:
    major, minor, _ = version.removeprefix("v").split(".")
    package = "k8s.io/component-base/version"
    named = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {package}.{name}={value}" for name, value in named.items())])


GROUPS: Mapping[str, Group] = {
    "minio": Group(".", {"minio": "github.com/minio/minio"}),
    "etcd": Group("kube/etcd", {"etcd": "."}),
    "control-plane": Group(
        "kube",
        _kubernetes("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"),
        linker_flags=_stamped(KUBERNETES),
        salt="control-plane",
    ),
    "node": Group(
        "kube", _kubernetes("kubelet", "kube-proxy"), linker_flags=_stamped(KUBERNETES), needs_c=True, salt="node"
    ),
    "coredns": Group("kube/coredns", {"coredns": "."}),
    "kwok": Group("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}),
}
DEFAULT_GROUPS = ("minio",)


def cache_folder(group: str = "minio") -> Path:
    """Where this version of a group's programs is kept, whether they have been built or not."""
    of = GROUPS[group]
    decides = (of.folder / "go.mod").read_bytes() + (of.folder / "go.sum").read_bytes() + of.salt.encode()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "disentanglement" / "tools" / hashlib.sha256(decides).hexdigest()[:16]


def program(name: str) -> Path | None:
    """The built program, or None where `make tools` has not built its group."""
    path = cache_folder(group_of(name)) / name
    return path if path.is_file() else None


def group_of(name: str) -> str:
    """The group that a program belongs to; KeyError for one that is in none."""
    for group, of in GROUPS.items():
        if name in of.packages:
            return group
    raise KeyError(name)


def is_built(group: str) -> bool:
    """Whether all programs of a group are in the cache."""
    return all(program(name) for name in GROUPS[group].packages)


def go_version() -> tuple[int, int] | None:
    """The version of the Go on the PATH, or None where there is none."""
    if shutil.which("go") is None:
        return None
    said = subprocess.run(["go", "version"], capture_output=True, text=True, cwd="/", check=True).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def what_is_missing() -> str | None:
    """What to install before the programs can be built, or None where everything is there."""
    wanted = ".".join(map(str, OLDEST_GO))
    version = go_version()
    if version is None:
        return f"Go is missing: install Go >= {wanted} and put `go` on the PATH."
    if version < OLDEST_GO:
        return f"Go {version[0]}.{version[1]} is too old: install Go >= {wanted} and put it first on the PATH."
    return None


def build(group: str) -> Path:
    """Build every program of a group, then move them into the cache in one step; returns their folder."""
    of, folder = GROUPS[group], cache_folder(group)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".building-") as building:
        programs = Path(building) / "programs"
        environment = {**os.environ, "CGO_ENABLED": "1" if of.needs_c else "0"}
        for name, package in of.packages.items():
            command = ["go", "build", "-mod=readonly", "-trimpath", f"-ldflags={of.linker_flags}"]
            target = [*command, "-o", str(programs / name), package]
            subprocess.run(target, cwd=of.folder, env=environment, check=True)
        try:
            programs.rename(folder)
        except OSError:  # another checkout was faster
            if not folder.is_dir():
                raise
    return folder


def main(arguments: Sequence[str]) -> int:
    """Build what is not in the cache; returns the exit status."""
    parser = argparse.ArgumentParser(description="Build the servers that tests run, into a per-user cache.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"among {', '.join(GROUPS)}; default: minio")
    groups = parser.parse_args(arguments).groups or DEFAULT_GROUPS
    if unknown := [group for group in groups if group not in GROUPS]:
        parser.error(f"no such group: {', '.join(unknown)} (there are {', '.join(GROUPS)})")
    for group in groups:
        if is_built(group):
            continue
        names = ", ".join(GROUPS[group].packages)
        if missing := what_is_missing():
            sys.stderr.write(f"The test servers ({names}) can not be built. {missing}\n")
            return 1
        sys.stderr.write(f"building {names}: minutes the first time, then kept in {cache_folder(group)}\n")
        build(group)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
