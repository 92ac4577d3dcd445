"""What a cluster shows of one study: its resource, Jobs, pods that are not done, warnings, and its place in Kueue's
queues. Read for people who ask; the controller needs none of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from disentanglement.cluster.kinds import (
    EVENTS,
    JOBS,
    PODS,
    STUDIES,
    WORKLOADS,
    Kind,
    Object,
    ObjectName,
    labels_of,
    selector,
)
from disentanglement.cluster.kubernetes_jobs import Listing
from disentanglement.cluster.names import (
    CELL_LABEL,
    MODELS_ANNOTATION,
    PACK_ANNOTATION,
    QUEUE_LABEL,
    STEP_LABEL,
    STUDY_LABEL,
)
from disentanglement.cluster.pods import INDEX_ANNOTATION, JOB_LABEL
from disentanglement.errors import ArtifactNotFound, PermissionDenied
from disentanglement.steps.one_shot import parse_numbers

MOST_PODS = 1000
MOST_EVENTS = 500
PENDING_WORKLOADS = tuple(
    Kind("visibility.kueue.x-k8s.io", version, "localqueues", "PendingWorkloadsSummary")
    for version in ("v1beta2", "v1beta1")
)
"""Kueue's visibility API, the newest version first."""


class Reads(Protocol):
    """The part of the door that looking takes."""

    def get(self, kind: Kind, where: ObjectName, *, subresource: str = "") -> Object:
        """One object; `ArtifactNotFound` where there is none."""
        ...

    def list(self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "", most: int = 0) -> Listing:
        """The objects of a namespace with these labels and fields."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """A study as a cluster shows it, in the API's own words."""

    study: Object
    jobs: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    """Those that did not succeed."""
    events: Sequence[Object] = ()
    """Warnings about the Jobs and pods, oldest first."""
    workloads: Sequence[Object] = ()
    """Kueue's, one for each Job that has a queue."""
    positions: Mapping[str, int] = field(default_factory=dict)
    """Place in the local queue, from 0, by the workload's name; only where Kueue tells it."""
    unread: Sequence[str] = ()
    """What we may not look at, as the API server says it."""


def look(api: Reads, where: ObjectName) -> Seen:
    """Everything that may tell why a study does not go on.

    Raises:
        ArtifactNotFound: there is no such study.
    """
    study = api.get(STUDIES, where)
    labels, unread = selector({STUDY_LABEL: where.name}), list[str]()

    def listed(kind: Kind, **options: str | int) -> list[Object]:
        try:
            return api.list(kind, where.namespace, **options).items  # type: ignore[arg-type]
        except (ArtifactNotFound, PermissionDenied) as error:
            if isinstance(error, PermissionDenied):
                unread.append(str(error))
            return []  # a kind that the cluster does not know (Kueue's) has no objects

    jobs = listed(JOBS, labels=labels)
    pods = listed(PODS, labels=labels, fields="status.phase!=Succeeded", most=MOST_PODS)
    names = {item["metadata"]["name"] for item in [*jobs, *pods]}
    warnings = listed(EVENTS, fields="type=Warning", most=MOST_EVENTS)
    queues = {queue for job in jobs if (queue := labels_of(job).get(QUEUE_LABEL))}
    workloads = [item for item in listed(WORKLOADS) if _owners(item) & names] if queues else []
    return Seen(
        study=study,
        jobs=jobs,
        pods=pods,
        events=sorted((event for event in warnings if _about(event) in names), key=last_seen),
        workloads=workloads,
        positions=dict(_positions(api, where.namespace, sorted(queues))) if queues else {},
        unread=unread,
    )


def models_of(job: Object, index: int) -> tuple[int, ...]:
    """Numbers of the models that an index of a Job works on; none where the Job does not tell."""
    annotations = job["metadata"].get("annotations") or {}
    pack = int(annotations.get(PACK_ANNOTATION, "1"))
    return _all_models(job)[index * pack : (index + 1) * pack]


def index_of(pod: Object) -> int | None:
    """Which index of its Job a pod works on."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX_ANNOTATION) or labels_of(pod).get(INDEX_ANNOTATION)
    return int(text) if text else None


def step_of(item: Object) -> str:
    """`train`, `postprocess` or `evaluate`, of a Job or a pod."""
    return labels_of(item).get(STEP_LABEL, "")


def cell_of(item: Object) -> str:
    """`<data set>.<method>`, of a Job or a pod; a label, which pods have alone, may be too short for all of it."""
    return (item["metadata"].get("annotations") or {}).get(CELL_LABEL) or labels_of(item).get(CELL_LABEL, "")


@dataclass(frozen=True, slots=True)
class WorkerPod:
    """A pod of a study's Job with what it works on."""

    name: str
    step: str
    models: tuple[int, ...]
    phase: str


def worker_pods(api: Reads, where: ObjectName, *, model: int | None = None, fields: str = "") -> list[WorkerPod]:
    """The pods of a study that are there and have these fields, oldest first; only a model's where one is given."""
    labels = selector({STUDY_LABEL: where.name})
    jobs = {job["metadata"]["name"]: job for job in api.list(JOBS, where.namespace, labels=labels).items}
    if model is not None:
        jobs = {name: job for name, job in jobs.items() if model in _all_models(job)}
    found: list[tuple[str, WorkerPod]] = []
    for pod in _pods_of(api, where, jobs if model is not None else None, fields):
        job, index = jobs.get(labels_of(pod).get(JOB_LABEL, "")), index_of(pod)
        models = models_of(job, index) if job is not None and index is not None else ()
        if model is None or model in models:
            phase = (pod.get("status") or {}).get("phase", "")
            found.append((created(pod), WorkerPod(pod["metadata"]["name"], step_of(pod), models, phase)))
    return [pod for _, pod in sorted(found, key=lambda entry: (entry[0], entry[1].name))]


def _pods_of(api: Reads, where: ObjectName, jobs: Iterable[str] | None, fields: str) -> Iterator[Object]:
    """All pods of a study, or those of some of its Jobs."""
    chosen = [{STUDY_LABEL: where.name}] if jobs is None else [{JOB_LABEL: name} for name in jobs]
    for labels in chosen:
        yield from api.list(PODS, where.namespace, labels=selector(labels), fields=fields, most=MOST_PODS).items


def _all_models(job: Object) -> tuple[int, ...]:
    text = (job["metadata"].get("annotations") or {}).get(MODELS_ANNOTATION)
    return parse_numbers(text) if text else ()


def created(item: Object) -> str:
    """When an object was made; the API's times have the order of their text."""
    return str(item["metadata"].get("creationTimestamp") or "")


def last_seen(event: Object) -> str:
    """When an event happened last."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or created(event))


def _about(event: Object) -> str:
    return str((event.get("involvedObject") or {}).get("name", ""))


def _owners(item: Object) -> set[str]:
    return {owner["name"] for owner in item["metadata"].get("ownerReferences") or ()}


def _positions(api: Reads, namespace: str, queues: Iterable[str]) -> Iterator[tuple[str, int]]:
    for queue in queues:
        for item in _pending(api, ObjectName(namespace, queue)):
            yield item["metadata"]["name"], int(item.get("positionInLocalQueue", 0))


def _pending(api: Reads, queue: ObjectName) -> Sequence[Object]:
    for kind in PENDING_WORKLOADS:
        try:
            if found := api.get(kind, queue, subresource="pendingworkloads").get("items"):
                return list(found)
        except (ArtifactNotFound, PermissionDenied):  # an option of Kueue's, with rights of its own
            continue
    return ()
