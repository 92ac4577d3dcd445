"""What goes wrong while a study runs: the controller is killed, nodes are drained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kube.control_plane import ControlPlane
from kwok.controller_process import ControllerProcess


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that happens once this share of the work is done."""

    share: float
    name: str
    happen: Callable[[], object]


def troubles(controller: ControllerProcess, plane: ControlPlane) -> list[Trouble]:
    """Two kills of the controller and two drains, in the order in which they come."""
    return [
        Trouble(0.12, "controller killed", controller.kill),
        Trouble(0.30, "gpu-0 drained", lambda: drain(plane, "gpu-0")),
        Trouble(0.55, "controller killed", controller.kill),
        Trouble(0.70, "cpu-0 drained", lambda: drain(plane, "cpu-0")),
    ]


def drain(plane: ControlPlane, node: str) -> None:
    """Evict all pods of a node, then give it back."""
    plane.kubectl("drain", node, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=100s")
    plane.kubectl("uncordon", node)


def share_done(status: Mapping[str, Any]) -> float:
    """How much of a study is trained and evaluated."""
    counts = status.get("counts") or {}
    done = counts.get("trained", 0) + counts.get("evaluated", 0)
    return float(done) / (2 * counts.get("total", 0) or 1)
