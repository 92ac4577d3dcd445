"""Says whether requirements/*.txt still agree with pyproject.toml. Needs no network; `make lock` writes them.

Every direct requirement must be locked, at a version that it allows, under the lock of each extra that asks
for it; nothing may be locked as direct that is not asked for any more; and all locks must agree on versions.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
EXTRAS = ("client", "data", "train", "export", "services", "cluster", "dev")


@dataclass(frozen=True, slots=True)
class Lock:
    """One requirements file: the version of every package, and which of them pyproject.toml itself asks for."""

    versions: Mapping[str, str]
    direct: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> Lock:
        """Parse a file written by `uv pip compile` with its `# via` annotations."""
        versions: dict[str, str] = {}
        direct: set[str] = set()
        name = ""
        for line in path.read_text().splitlines():
            if pinned := re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)", line):
                name = canonicalize_name(pinned[1])
                versions[name] = pinned[2]
            elif "pyproject.toml" in line and not line.startswith("#"):
                direct.add(name)
        return cls(versions, frozenset(direct))


def requirements(project: Mapping[str, object], extras: tuple[str, ...]) -> dict[str, Requirement]:
    """The direct requirements of the base and these extras, with `disentanglement[...]` followed."""
    metadata = project["project"]
    assert isinstance(metadata, dict)
    found: dict[str, Requirement] = {}
    waiting = [*metadata["dependencies"], *(f"disentanglement[{extra}]" for extra in extras)]
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.name == metadata["name"]:
            for extra in requirement.extras:
                waiting += metadata["optional-dependencies"][extra]
        else:
            found[canonicalize_name(requirement.name)] = requirement
    return found


def disagreements(name: str, wanted: Mapping[str, Requirement], lock: Lock, everything: Lock) -> Iterator[str]:
    """Each way in which one lock file differs from what is asked for, as a sentence."""
    for package, requirement in sorted(wanted.items()):
        version = lock.versions.get(package)
        if version is None:
            yield f"{name}: {requirement} is not locked"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{name}: {requirement} does not allow the locked {version}"
    for package in sorted(lock.direct - wanted.keys()):
        yield f"{name}: {package} is locked but not asked for"
    for package, version in sorted(lock.versions.items()):
        if everything.versions.get(package, version) != version:
            yield f"{name}: {package} {version}, but {everything.versions[package]} in dev.txt"


def proto_disagreements(project: Mapping[str, object], lock: Lock) -> Iterator[str]:
    """The same for the group of the protobuf compiler, which is locked on its own."""
    groups = project["dependency-groups"]
    assert isinstance(groups, dict)
    wanted: dict[str, Requirement] = {
        canonicalize_name(Requirement(text).name): Requirement(text) for text in groups["proto"]
    }
    return disagreements("proto.txt", wanted, lock, lock)


def main() -> int:
    """Print every disagreement; returns the exit status."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locks = {path.stem: Lock.read(path) for path in sorted((ROOT / "requirements").glob("*.txt"))}
    found = list(proto_disagreements(project, locks["proto"]))
    for name, extras in {"base": (), **{extra: (extra,) for extra in EXTRAS}}.items():
        found += disagreements(f"{name}.txt", requirements(project, extras), locks[name], locks["dev"])
    for sentence in found:
        sys.stderr.write(f"{sentence}\n")
    if found:
        sys.stderr.write("The locked requirements are out of step with pyproject.toml: run make lock\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
