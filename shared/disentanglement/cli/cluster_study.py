"""Studies in a Kubernetes cluster: submitted, watched, explained and retried through its API."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from disentanglement.cli.study_view import Count, Running, StudyState
from disentanglement.cluster.names import SYSTEM_NAMESPACE, resource_name
from disentanglement.errors import ArtifactNotFound, PermissionDenied, SpecError

if TYPE_CHECKING:
    from disentanglement.cluster.explanation import Reason
    from disentanglement.cluster.kinds import Kind, Object, ObjectName
    from disentanglement.cluster.kubernetes_jobs import Listing

FIELD_MANAGER = "disentangle"
LOOK_EVERY_S = 2.0
ANSWER_EVERY_S, ANSWER_LOOKS = 0.25, 12
"""For an answer of the controller: three seconds at most, and what the calls take."""
LATELY_S = 600.0
FINAL_PHASES = ("Succeeded", "Failed", "Invalid")
EDITOR_ROLE = "disentanglement-study-editor"
INSTALL = "kubectl apply -k k8s/overlays/cluster"
NO_SUCH_KIND = ("404 page not found", "could not find the requested resource")


class Door(Protocol):
    """The part of `KubernetesApi` that this takes."""

    namespace: str

    def get(self, kind: Kind, where: ObjectName, *, subresource: str = "") -> Object: ...
    def list(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "", most: int = 0
    ) -> Listing: ...
    def apply(self, kind: Kind, item: Object, *, subresource: str = "", force: bool = True) -> Object: ...
    def merge(self, kind: Kind, where: ObjectName, change: Object, *, subresource: str = "") -> Object: ...
    def delete(self, kind: Kind, where: ObjectName, *, uid: str = "", propagation: str = "Background") -> None: ...
    def pod_log(self, where: ObjectName, *, container: str, tail_lines: int, limit_bytes: int = 1 << 16) -> str: ...
    def pod_log_lines(self, where: ObjectName, *, container: str, tail_lines: int) -> Iterator[str]: ...


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster's API and the namespace that studies are in."""

    api: Door
    namespace: str
    sleep: Callable[[float], object] = field(default=time.sleep, repr=False)

    def where(self, study: str) -> ObjectName:
        """Where a study's resource is; `_` in its name is `-` there."""
        from disentanglement.cluster.kinds import ObjectName

        return ObjectName(self.namespace, resource_name(study))

    def submit(self, item: Object) -> Object:
        """Creates a study, or changes what may change of the one that stands (server-side apply).

        Raises:
            SpecError: the API server refuses it, naming each field.
        """
        from disentanglement.cluster.kinds import STUDIES

        metadata = {"namespace": self.namespace, **item["metadata"]}
        with self._understood():
            return self.api.apply(STUDIES, {**item, "metadata": metadata})

    def answered(self, study: Object) -> Object:
        """A submitted study once the controller has looked at it, or as it is where that takes longer than we wait."""
        for _ in range(ANSWER_LOOKS):
            if is_observed(study):
                break
            self.sleep(ANSWER_EVERY_S)
            study = self.study(study["metadata"]["name"])
        return study

    def study(self, name: str) -> Object:
        """The resource.

        Raises:
            ArtifactNotFound: there is none of this name in the namespace.
        """
        from disentanglement.cluster.kinds import STUDIES

        with self._understood(name):
            return self.api.get(STUDIES, self.where(name))

    def why(self, name: str) -> list[Reason]:
        """What holds a study up."""
        from disentanglement.cluster.explanation import explain
        from disentanglement.cluster.inspection import look

        with self._understood(name):
            return explain(look(self.api, self.where(name)))

    def watch(self, name: str, show: Callable[[Object], None]) -> Object:
        """Shows a study every two seconds until its phase is final; the last of it."""
        while True:
            study = self.study(name)
            show(study)
            if is_final(study):
                return study
            self.sleep(LOOK_EVERY_S)

    def cancel(self, name: str) -> None:
        """Deletes the resource and with it its Jobs; what is in the store stays."""
        from disentanglement.cluster.kinds import STUDIES

        self.study(name)
        with self._understood(name):
            self.api.delete(STUDIES, self.where(name))

    def retry(self, name: str) -> int:
        """Lets the failed models of a study be tried again; how many there were."""
        from disentanglement.cluster.kinds import STUDIES

        study = self.study(name)
        generation = int(study["spec"].get("retryGeneration") or 0) + 1
        with self._understood(name):
            self.api.merge(STUDIES, self.where(name), {"spec": {"retryGeneration": generation}})
        return counts_of(study)["failed"]

    @contextmanager
    def _understood(self, study: str = "") -> Iterator[None]:
        """What the API server refuses, with what to do about it."""
        try:
            yield
        except PermissionDenied as error:
            raise PermissionDenied(
                f"{error}; an admin gives the right with: kubectl -n {self.namespace} create rolebinding studies "
                f"--clusterrole={EDITOR_ROLE} --user=YOU"
            ) from error
        except ArtifactNotFound as error:
            if any(words in str(error) for words in NO_SUCH_KIND):
                raise SpecError.of("--cluster", f"a cluster that knows Studies ({INSTALL})", "one without") from error
            told = f"there is no study {study} in the namespace {self.namespace} (another one: --namespace)"
            raise ArtifactNotFound(told if study else str(error)) from error


def connect(context: str | None, namespace: str | None) -> Cluster:
    """The cluster of the kubeconfig's context (default: the present one).

    The namespace is the given one, else the context's, else `disentanglement`.

    Raises:
        SpecError: the extra `cluster` is not installed, or there is no such context, or no kubeconfig.
    """
    try:
        from disentanglement.cluster.kubernetes_jobs import connect as connect_api
    except ImportError as error:
        wanted = "the extra `cluster`: pip install 'disentanglement[cluster]'"
        raise SpecError.of("--cluster", wanted, f"an installation without {error.name}") from error
    api = connect_api(context=context or "", field_manager=FIELD_MANAGER)
    own = api.namespace if api.namespace != "default" else SYSTEM_NAMESPACE
    return Cluster(api, namespace or own)


def is_observed(study: Object) -> bool:
    """Whether the controller has looked at the present spec."""
    status = study.get("status") or {}
    return int(status.get("observedGeneration") or 0) >= int(study["metadata"].get("generation") or 0)


def is_final(study: Object) -> bool:
    """Whether nothing more happens unless somebody asks: the phase is final, and of the present spec."""
    return is_observed(study) and phase_of(study) in FINAL_PHASES


def phase_of(study: Object) -> str:
    """`Running`, ...; `Pending` before the controller has looked at it."""
    return str((study.get("status") or {}).get("phase") or "Pending")


def counts_of(study: Object) -> dict[str, int]:
    """Models: in all, trained, evaluated, failed."""
    counts = (study.get("status") or {}).get("counts") or {}
    return {name: int(counts.get(name) or 0) for name in ("total", "trained", "evaluated", "failed")}


class Pace:
    """Time to go, from how fast a study has been in the last ten minutes, or else since it was made."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque()

    def eta_s(self, fraction: float, age_s: float) -> float | None:
        """Seconds to go now that such a share is done; None where nothing can be said."""
        now = self._clock()
        self._seen.append((now, fraction))
        while len(self._seen) > 2 and self._seen[1][0] <= now - LATELY_S:
            self._seen.popleft()
        since, before = self._seen[0]
        if fraction >= 1.0:
            return None
        if fraction > before and now > since:
            return (1.0 - fraction) * (now - since) / (fraction - before)
        return (1.0 - fraction) * age_s / fraction if fraction > 0 else None


def state_of(study: Object, pace: Pace, now: datetime | None = None) -> StudyState:
    """A study as it is shown."""
    from disentanglement.cluster.conditions import counted

    counts, status = counts_of(study), study.get("status") or {}
    total = counts["total"]
    settled = counts["trained"] + counts["evaluated"] + 2 * counts["failed"]
    fraction = min(1.0, settled / (2 * total)) if total else 0.0
    age_s = max(0.0, ((now or datetime.now(UTC)) - _created(study)).total_seconds())
    pods = counted(int(status.get("running") or 0), "pod runs", "pods run")
    is_done = is_final(study) and phase_of(study) != "Invalid"
    return StudyState(
        counts={
            "train": Count(total, counts["trained"], counts["failed"]),
            "evaluate": Count(total, counts["evaluated"], 0),
        },
        fraction=1.0 if is_done else fraction,
        eta_s=None if is_final(study) else pace.eta_s(fraction, age_s),
        elapsed_s=age_s,
        running=(Running(f"{phase_of(study)}, {pods}", None),),
    )


def plain(study: Object) -> dict[str, Any]:
    """For `--json`."""
    status = study.get("status") or {}
    return {
        "study": study["metadata"]["name"],
        "namespace": study["metadata"].get("namespace", ""),
        "phase": phase_of(study),
        "counts": counts_of(study),
        "running": int(status.get("running") or 0),
        "plan": status.get("plan") or "",
        "conditions": status.get("conditions") or [],
        "failures": status.get("failures") or [],
    }


def _created(study: Object) -> datetime:
    text = study["metadata"].get("creationTimestamp")
    return datetime.fromisoformat(text) if text else datetime.now(UTC)
