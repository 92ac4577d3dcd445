"""Studies of our own namespace, asked for through a service: each is a Study resource that the controller works off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from disentanglement.cluster.expansion import study_spec
from disentanglement.cluster.kinds import STUDIES, Kind, Object, ObjectName, name_of
from disentanglement.cluster.names import DEFAULT_PROJECT, resource_name
from disentanglement.cluster.resource import StudyResource, metric_line
from disentanglement.errors import ArtifactConflict, SpecError
from disentanglement.specs import canonical

if TYPE_CHECKING:
    from disentanglement.cluster.kubernetes_jobs import Listing

CLUSTER_VARIABLE = "DISENTANGLEMENT_CLUSTER"


class Resources(Protocol):
    """The part of the door that asking for studies takes."""

    namespace: str

    def find(self, kind: Kind, where: ObjectName) -> Object | None:
        """One object, None where there is none."""
        ...

    def list(self, kind: Kind, namespace: str = "", *, labels: str = "") -> Listing:
        """The objects of a namespace with these labels."""
        ...

    def create(self, kind: Kind, item: Object) -> Object:
        """A new object; `ArtifactConflict` where one of this name stands."""
        ...

    def merge(self, kind: Kind, where: ObjectName, change: Object, *, subresource: str = "") -> Object:
        """The object with some fields changed."""
        ...

    def delete(self, kind: Kind, where: ObjectName, *, uid: str = "", propagation: str = "Background") -> None:
        """Removes an object and what it owns."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What a study's resource says of it."""

    is_there: bool = False
    phase: str = ""
    running: int = 0
    """Pods that work now."""
    refused: str = ""
    """Why the controller does not work it off as it is written: nothing of it, or nothing more."""
    is_tried_again: bool = False
    """A retry was asked for that has not begun yet."""


@dataclass(frozen=True, slots=True)
class ClusterStudies:
    """Makes, changes and removes resources in the API's own namespace."""

    api: Resources

    def where(self, study: str) -> ObjectName:
        """Where the resource of a study of the store is."""
        return ObjectName(self.api.namespace, resource_name(study))

    def ask(self, item: Object) -> None:
        """Makes a resource; where the same study stands already, metrics that it lacks are added to it.

        Raises:
            ArtifactConflict: another study of this name stands in the cluster.
        """
        item = {**item, "metadata": {**item["metadata"], "namespace": self.api.namespace}}
        try:
            self.api.create(STUDIES, item)
        except ArtifactConflict:
            self._add_metrics(item)

    def standing(self, study: str) -> Standing:
        """What the resource of a study says."""
        item = self.api.find(STUDIES, self.where(study))
        return Standing() if item is None else standing_of(item)

    def retry(self, study: str) -> None:
        """Lets failed steps be tried again; nothing happens where there is no resource."""
        where = self.where(study)
        if (item := self.api.find(STUDIES, where)) is not None:
            generation = int(item["spec"].get("retryGeneration") or 0) + 1
            self.api.merge(STUDIES, where, {"spec": {"retryGeneration": generation}})

    def remove(self, study: str) -> None:
        """Deletes the resource and with it its Jobs; what is in the store stays."""
        self.api.delete(STUDIES, self.where(study))

    def remove_succeeded(self, labels: str) -> None:
        """Deletes the resources with these labels that have nothing left to do; what is in the store stays."""
        for item in self.api.list(STUDIES, self.api.namespace, labels=labels).items:
            if standing_of(item).phase == "Succeeded":
                self.api.delete(STUDIES, name_of(item), uid=item["metadata"]["uid"])

    def _add_metrics(self, item: Object) -> None:
        where = ObjectName(self.api.namespace, item["metadata"]["name"])
        standing = self.api.find(STUDIES, where)
        if standing is None:  # deleted in between
            self.api.create(STUDIES, item)
            return
        have, want = (StudyResource.from_object(found) for found in (standing, item))
        if meaning(have) != meaning(want):
            raise ArtifactConflict(f"another Study {where} stands in the cluster: delete it, or choose another name")
        lines = [metric_line(metric) for metric in have.spec.metrics or ()]
        missing = [line for metric in want.spec.metrics or () if (line := metric_line(metric)) not in lines]
        if have.spec.metrics is not None and missing:
            as_written = standing["spec"]["metrics"]
            self.api.merge(STUDIES, where, {"spec": {"metrics": [*as_written, *missing]}})


def is_in_cluster(env: Mapping[str, str]) -> bool:
    """Whether this process makes Study resources instead of computing (DISENTANGLEMENT_CLUSTER=1).

    Raises:
        SpecError: the variable is neither 0 nor 1.
    """
    text = env.get(CLUSTER_VARIABLE) or "0"
    if text not in ("0", "1"):
        raise SpecError.of(CLUSTER_VARIABLE, "0 or 1", text)
    return text == "1"


def require_project(project: str) -> None:
    """SpecError unless the project is that of our own namespace."""
    if project != DEFAULT_PROJECT:
        wanted = f"projects/{DEFAULT_PROJECT} (in other namespaces, Studies are made with kubectl)"
        raise SpecError.of("parent", wanted, f"projects/{project}")


def meaning(resource: StudyResource) -> Mapping[str, Any]:
    """What decides which models a resource stands for, however it is written; not how and when they are computed."""
    return {name: value for name, value in canonical(study_spec(resource)).items() if name != "metrics"}


def standing_of(item: Object) -> Standing:
    """What a resource says."""
    status = item.get("status") or {}
    observed = int(status.get("observedRetryGeneration") or 0)
    return Standing(
        is_there=not item["metadata"].get("deletionTimestamp"),
        phase=str(status.get("phase") or "Pending"),
        running=int(status.get("running") or 0),
        refused=_refusal(status) if status.get("phase") == "Invalid" else "",
        is_tried_again=int((item.get("spec") or {}).get("retryGeneration") or 0) > observed,
    )


def _refusal(status: Mapping[str, Any]) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Accepted" and condition.get("status") == "False":
            return f"{condition.get('reason')}: {condition.get('message')}"
    return ""
