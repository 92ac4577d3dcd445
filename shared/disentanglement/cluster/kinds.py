"""The kinds of Kubernetes objects that we read or write, and where the API has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

Object = dict[str, Any]
"""An object of the API as it travels: plain JSON."""


class ObjectName(NamedTuple):
    """Where one object is."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its group (empty for the core), version and plural."""

    group: str
    version: str
    plural: str
    name: str

    @property
    def api_version(self) -> str:
        """As an object's `apiVersion` has it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path of a collection, an object or a part of it."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        parts = [*(("namespaces", namespace) if namespace else ()), self.plural, name, subresource]
        return "/".join([root, *(quote(part, safe="") for part in parts if part)])


STUDIES = Kind("disentanglement.dev", "v1alpha1", "studies", "Study")
JOBS = Kind("batch", "v1", "jobs", "Job")
PODS = Kind("", "v1", "pods", "Pod")
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap")
EVENTS = Kind("", "v1", "events", "Event")
NODES = Kind("", "v1", "nodes", "Node")
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease")
WORKLOADS = Kind("kueue.x-k8s.io", "v1beta1", "workloads", "Workload")
LOCAL_QUEUES = Kind("kueue.x-k8s.io", "v1beta1", "localqueues", "LocalQueue")


def name_of(item: Mapping[str, Any]) -> ObjectName:
    """Namespace and name of an object."""
    metadata = item["metadata"]
    return ObjectName(metadata.get("namespace", ""), metadata["name"])


def labels_of(item: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of an object."""
    return item["metadata"].get("labels") or {}


def selector(labels: Mapping[str, str]) -> str:
    """A label selector for objects that have all of these."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
