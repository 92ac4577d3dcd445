"""The manifests in k8s/ as kubectl renders them, and what a test wants to know of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import build_tools
import yaml

K8S = Path(__file__).parents[2] / "k8s"
RENDER_WITHIN_S = 60

Item = Mapping[str, Any]

_SUFFIXES = {"m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12)}
_SUFFIXES |= {f"{letter}i": Decimal(2 ** (10 * power)) for power, letter in enumerate("KMGT", 1)}


def kubectl() -> Path | None:
    """Our own build of kubectl, else the one on the PATH, else None."""
    found = build_tools.program("kubectl") or shutil.which("kubectl")
    return Path(found) if found else None


def render(program: Path, folder: Path) -> list[dict[str, Any]]:
    """What `kubectl apply -k FOLDER` would apply, in that order."""
    done = subprocess.run(
        [program, "kustomize", folder], capture_output=True, text=True, timeout=RENDER_WITHIN_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, f"kubectl warns: {done.stderr}"
    return list(yaml.safe_load_all(done.stdout))


def compose(folder: Path, *, resources: Sequence[str] = (), components: Sequence[str] = ()) -> Path:
    """A kustomization in `folder` that puts parts of k8s/ together, as an admin's own overlay would."""
    folder.mkdir(parents=True, exist_ok=True)

    def relative(names: Iterable[str]) -> list[str]:
        return [os.path.relpath(K8S / name, folder.resolve()) for name in names]

    kustomization = {"resources": relative(resources), "components": relative(components)}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """The pods that an item makes."""

    owner: Item
    metadata: Item
    spec: Item

    @property
    def name(self) -> str:
        """`Deployment/trainer`."""
        return f"{self.owner['kind']}/{self.owner['metadata']['name']}"

    @property
    def is_long_running(self) -> bool:
        """Whether its pods are there while nothing is to do."""
        return self.owner["kind"] in ("Deployment", "StatefulSet", "DaemonSet")

    @property
    def replicas(self) -> int:
        """How many there are; a DaemonSet's are counted on one node."""
        return int(self.owner["spec"].get("replicas", 1))

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the pods."""
        labels: Mapping[str, str] = self.metadata["labels"]
        return labels

    @property
    def containers(self) -> list[Item]:
        """All of them, those that come first too."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]


def pod_templates(items: Iterable[Item]) -> Iterator[PodTemplate]:
    """Of everything that makes pods."""
    for item in items:
        spec = item.get("spec", {})
        if item["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if item["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"):
            yield PodTemplate(item, spec["template"]["metadata"], spec["template"]["spec"])


def of_kind(items: Iterable[Item], *kinds: str) -> list[Item]:
    """The items of these kinds."""
    return [item for item in items if item["kind"] in kinds]


def named(items: Iterable[Item], kind: str, name: str) -> Item:
    """The one of a kind and name."""
    (found,) = (item for item in items if item["kind"] == kind and item["metadata"]["name"] == name)
    return found


def quantity(text: str) -> Decimal:
    """`250m` is 0.25, `1Gi` is 2^30."""
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if text.endswith(suffix):
            return Decimal(text.removesuffix(suffix)) * _SUFFIXES[suffix]
    return Decimal(text)


def matches(selector: Item, labels: Mapping[str, str]) -> bool:
    """Whether a label selector of the API takes these labels."""
    if any(labels.get(name) != value for name, value in selector.get("matchLabels", {}).items()):
        return False
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "In", "the one operator that our policies use"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True
