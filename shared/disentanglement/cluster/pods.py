"""What pods and nodes tell: why a pod failed, why one does not start, how many GPUs there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from disentanglement.cluster.kinds import Object

INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
JOB_LABEL = "batch.kubernetes.io/job-name"
LONGEST_MESSAGE = 2000

_IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
    }
)
_CONFIG_REASONS = frozenset({"CreateContainerConfigError"})
_START_REASONS = frozenset({"CreateContainerError", "RunContainerError", "StartError"})


@dataclass(frozen=True, slots=True)
class FailedPod:
    """How a pod ended. `exit_code` is None where its container never ran or nobody saw it end (lost node, eviction)."""

    name: str
    job: str
    index: int
    exit_code: int | None
    reason: str
    message: str
    """The end of what it wrote, or what the cluster says."""
    is_disruption: bool
    """Preempted, drained or lost: no fault of the work."""
    finished: str
    """When, as the API writes times; they sort as text."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a pod does not start: a word of ours, and the cluster's own words."""

    reason: str
    message: str
    pod: str


def failed_pod(pod: Object) -> FailedPod:
    """How a pod in phase Failed ended."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    ended = next(_terminated(status), {})
    message = ended.get("message") or status.get("message") or ""
    return FailedPod(
        name=metadata["name"],
        job=(metadata.get("labels") or {}).get(JOB_LABEL, ""),
        index=int((metadata.get("annotations") or {}).get(INDEX_ANNOTATION, -1)),
        exit_code=ended.get("exitCode"),
        reason=ended.get("reason") or status.get("reason") or "",
        message=message[-LONGEST_MESSAGE:].strip(),
        is_disruption=_has_condition(status, "DisruptionTarget", "True"),
        finished=ended.get("finishedAt") or metadata.get("creationTimestamp", ""),
    )


def obstacle(pod: Object) -> Obstacle | None:
    """Why a pending pod does not start, None where nothing is wrong with it (yet)."""
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        told = f"image {container.get('image', '')}: {reason}: {message}" if reason else ""
        if reason in _IMAGE_REASONS:
            return Obstacle("ImageNotPulled", told[:LONGEST_MESSAGE], name)
        if reason in _CONFIG_REASONS:
            return Obstacle("ConfigMissing", message[:LONGEST_MESSAGE], name)
        if reason in _START_REASONS:
            return Obstacle("ContainerNotStarted", f"{reason}: {message}"[:LONGEST_MESSAGE], name)
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Obstacle("Unschedulable", condition.get("message", "")[:LONGEST_MESSAGE], name)
    return None


def worst_obstacle(pods: Iterable[Object]) -> Obstacle | None:
    """The obstacle that somebody has to remove; that nodes are busy is told only if there is nothing else."""
    found = [problem for pod in pods if (problem := obstacle(pod)) is not None]
    return min(found, key=lambda problem: (problem.reason == "Unschedulable", problem.pod), default=None)


def allocatable(nodes: Iterable[Object], resource: str) -> int:
    """How many of a resource (`nvidia.com/gpu`) the nodes advertise together."""
    return sum(_quantity((node.get("status") or {}).get("allocatable") or {}, resource) for node in nodes)


def _quantity(allocatable: Mapping[str, str], resource: str) -> int:
    text = allocatable.get(resource, "0")
    return int(text) if text.isdecimal() else 0


def _terminated(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for container in status.get("containerStatuses") or []:
        if ended := (container.get("state") or {}).get("terminated"):
            yield ended


def _has_condition(status: Mapping[str, Any], type_: str, value: str) -> bool:
    return any(found["type"] == type_ and found["status"] == value for found in status.get("conditions") or [])
