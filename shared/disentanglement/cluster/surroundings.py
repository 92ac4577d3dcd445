"""What may keep a study from going on, though nothing is wrong with it: Kueue, GPUs, images, admission.

Each is asked now and then, and remembered; who is not allowed to ask learns nothing, and nothing depends on it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from disentanglement.cluster import advice
from disentanglement.cluster.conditions import Problem
from disentanglement.cluster.kinds import EVENTS, LOCAL_QUEUES, NODES, PODS, Kind, Object, selector
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.cluster.names import PART_OF, PART_OF_LABEL, STUDY_LABEL
from disentanglement.cluster.pods import JOB_LABEL, FailedPod, allocatable, failed_pod, worst_obstacle
from disentanglement.cluster.pools import Pool
from disentanglement.cluster.state import JobView
from disentanglement.errors import ArtifactNotFound, PermissionDenied

log = logging.getLogger(__name__)

FACTS_S = 60.0
"""How long the answer of a whole cluster is remembered (Kueue, nodes)."""
PODS_S = 15.0
"""Between two looks at the pods of a study that do not start."""
MOST_PODS = MOST_EVENTS = 100
LATELY = timedelta(minutes=10)
"""What events told before may long be mended."""
KUEUE = "kueue.x-k8s.io"
Answer = TypeVar("Answer")


class Surroundings:
    """The cluster around the studies of the namespaces that we watch."""

    def __init__(
        self,
        api: KubernetesApi,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._clock = clock
        self._now = now
        self._answers: dict[object, tuple[float, object]] = {}

    def queue_problem(self, namespace: str, queue: str) -> Problem | None:
        """Why Jobs in this queue would never start; None where they will."""
        if not queue:
            return None
        if not self._remembered("kueue", FACTS_S, lambda: self._api.has_group(KUEUE)):
            message = (
                f"spec.queue is {queue}, but Kueue is not installed in this cluster: install it, then "
                "k8s/components/kueue; or delete the Study and apply it without queue"
            )
            return Problem("KueueMissing", message)
        found = self._allowed(lambda: [item["metadata"]["name"] for item in self._listed(LOCAL_QUEUES, namespace)])
        if found is None or queue in found:
            return None
        known = ", ".join(sorted(found)) or "none"
        message = f"spec.queue is {queue}; the local queues of namespace {namespace} are: {known}"
        return Problem("QueueMissing", message)

    def gpu_problem(self, pools: Iterable[Pool]) -> Problem | None:
        """Why GPU pods of these pools would never start; None where nodes have what they ask for."""
        for pool in pools:
            nodes = None if pool.gpu is None else self._allowed(lambda: self._listed(NODES))
            if pool.gpu is None or nodes is None:
                continue
            if not allocatable(_selected(nodes, pool), pool.gpu.resource):
                chosen = ",".join(f"{name}={value}" for name, value in sorted(pool.node_selector.items()))
                of_pool = f" with {chosen}" if chosen else ""
                message = (
                    f"no node{of_pool} advertises {pool.gpu.resource}: install the GPU driver and its device plugin, "
                    "correct the pool in the ConfigMap worker-pools, or wait if nodes are added when pods need them"
                )
                return Problem("GpuMissing", message)
        return None

    def pod_problem(self, namespace: str, study: str, jobs: Iterable[JobView]) -> Problem | None:
        """Why pods of a study do not start; None where they do, or may soon."""
        going = [job for job in jobs if not job.is_finished and not job.is_suspended]
        waiting = [job for job in going if job.active > job.ready]
        if waiting:
            pods = self._remembered(
                ("pods", namespace, study), PODS_S, lambda: self._allowed(lambda: self._pending(namespace, study))
            )
            if problem := worst_obstacle(pods or ()):
                todo = advice.for_obstacle(problem.reason, problem.message)
                return Problem(problem.reason, _sentences(f"pod {problem.pod}: {problem.message}", todo))
        without = [job for job in going if not job.active and job.remaining]
        if without:
            return self._remembered(
                ("events", namespace, study), PODS_S, lambda: self._creation_problem(namespace, without)
            )
        return None

    def worker_problem(self, namespace: str, study: str, jobs: Iterable[JobView]) -> Problem | None:
        """Why pods of a study end before they have worked, and are tried again; None where none did lately."""
        failing = [job for job in jobs if job.pods_failed and job.remaining]
        if not failing:
            return None
        return self._remembered(("ends", namespace, study), PODS_S, lambda: self._bad_end(namespace, failing))

    def forget(self, namespace: str, study: str) -> None:
        """The study is gone."""
        for what in ("pods", "events", "ends"):
            self._answers.pop((what, namespace, study), None)

    def _bad_end(self, namespace: str, jobs: list[JobView]) -> Problem | None:
        for job in jobs[:3]:
            ended = [pod for pod in self._failed(namespace, job.name) or () if self._tells(pod, job)]
            if ended:
                pod = max(ended, key=lambda pod: pod.finished)
                told = pod.message.rpartition("\n")[2] or f"exit code {pod.exit_code}: {pod.reason}"
                message = f"pod {pod.name} failed and is tried again: {told}"
                return Problem("WorkersFail", _sentences(message, advice.for_end(f"{told} {pod.reason}")))
        return None

    def _tells(self, pod: FailedPod, job: JobView) -> bool:
        """Whether a pod that ended badly is something to look at: not one that was stopped or whose model is done."""
        is_expected = pod.exit_code is None or (pod.exit_code in advice.EXIT_CODES and pod.reason != "OOMKilled")
        if is_expected or pod.is_disruption or pod.index in job.completed | job.failed:
            return False
        return _moment(pod.finished) > self._now() - LATELY

    def _failed(self, namespace: str, job: str) -> list[FailedPod] | None:
        labels = selector({JOB_LABEL: job})
        found = self._allowed(
            lambda: self._api.list(PODS, namespace, labels=labels, fields="status.phase=Failed", most=MOST_PODS).items
        )
        return None if found is None else [failed_pod(pod) for pod in found]

    def _pending(self, namespace: str, study: str) -> list[Object]:
        labels = selector({PART_OF_LABEL: PART_OF, STUDY_LABEL: study})
        return self._api.list(PODS, namespace, labels=labels, fields="status.phase=Pending", most=MOST_PODS).items

    def _creation_problem(self, namespace: str, jobs: list[JobView]) -> Problem | None:
        """What the Job controller told when it could not make pods (quota, Pod Security, service account)."""
        for job in jobs[:3]:
            events = self._events(namespace, job.name)
            latest = max(events or (), key=_told_at, default=None)
            if latest is not None and _told_at(latest) > self._now() - LATELY:
                message = str(latest.get("message", ""))
                return Problem("PodsNotCreated", _sentences(f"Job {job.name}: {message}", advice.for_creation(message)))
        return None

    def _events(self, namespace: str, job: str) -> list[Object] | None:
        fields = f"involvedObject.name={job},reason=FailedCreate"
        return self._allowed(lambda: self._api.list(EVENTS, namespace, fields=fields, most=MOST_EVENTS).items)

    def _listed(self, kind: Kind, namespace: str = "") -> list[Object]:
        def asked() -> list[Object]:
            return [_slim(item) for item in self._api.list(kind, namespace).items]

        return self._remembered((kind.plural, namespace), FACTS_S, asked)

    def _allowed(self, ask: Callable[[], Answer]) -> Answer | None:
        try:
            return ask()
        except (PermissionDenied, ArtifactNotFound) as error:
            log.debug("not asked", extra={"cause": str(error)})
            return None

    def _remembered(self, what: object, for_s: float, ask: Callable[[], Answer]) -> Answer:
        at, answer = self._answers.get(what, (-for_s, None))
        now = self._clock()
        if what not in self._answers or now - at >= for_s:
            answer = ask()
            self._answers[what] = (now, answer)
        return answer  # type: ignore[return-value]


def _told_at(event: Object) -> datetime:
    """When an event happened last; it is counted up under one name."""
    return _moment(
        event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""
    )


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _selected(nodes: Iterable[Object], pool: Pool) -> Iterable[Object]:
    for node in nodes:
        labels = node["metadata"].get("labels") or {}
        if all(labels.get(name) == value for name, value in pool.node_selector.items()):
            yield node


def _slim(item: Object) -> Object:
    """What is remembered of a node or a queue."""
    metadata = {name: item["metadata"].get(name) for name in ("name", "labels")}
    return {"metadata": metadata, "status": {"allocatable": (item.get("status") or {}).get("allocatable") or {}}}


def _sentences(what: str, todo: str) -> str:
    return f"{what}; {todo}" if todo else what
