"""Tells how a study stands: its status, events for people, and lines in our own log. Nothing depends on any of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from disentanglement.cluster.kinds import EVENTS, STUDIES, Object, ObjectName, name_of
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.cluster.names import CONTROLLER
from disentanglement.cluster.resource import Condition, StudyStatus
from disentanglement.errors import ArtifactConflict, ArtifactNotFound, DisentanglementError

log = logging.getLogger(__name__)

_BAD = {("Accepted", "False"), ("Degraded", "True")}
_WORTH_TELLING = _BAD | {("Accepted", "True"), ("Complete", "True")}


@dataclass
class ClusterTells:
    """Writes the status of Study resources, and an event when a condition that matters has changed."""

    api: KubernetesApi
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _phases: dict[ObjectName, str] = field(default_factory=dict)

    def __call__(self, item: Object, status: StudyStatus) -> bool:
        """Tells of a study's status; whether it was written."""
        where, is_written = name_of(item), True
        try:
            self.api.merge(STUDIES, where, {"status": status.to_plain()}, subresource="status")
        except ArtifactNotFound:  # deleted meanwhile
            return False
        except DisentanglementError as error:
            is_written = False
            log.warning("the status could not be written", extra={"study": where, "cause": str(error)})
        if self._phases.get(where) != status.phase:
            self._phases[where] = status.phase
            counts = status.counts
            told = {name: getattr(counts, name) for name in ("total", "trained", "evaluated", "failed")}
            log.info("phase", extra={"study": where, "phase": status.phase, **told})
        for condition in _news(item, status):
            self._event(item, condition)
        return is_written

    def _event(self, item: Object, condition: Condition) -> None:
        """One event for each reason; the same again only counts on."""
        where = name_of(item)
        uid = item["metadata"].get("uid", "")
        text = f"{uid}{condition.type}{condition.reason}{condition.last_transition_time.isoformat()}"
        name = f"{where.name}.{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        now = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        event: Object = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.name,
            "metadata": {"namespace": where.namespace, "name": name},
            "involvedObject": {
                "apiVersion": STUDIES.api_version,
                "kind": STUDIES.name,
                "namespace": where.namespace,
                "name": where.name,
                "uid": uid,
            },
            "type": "Warning" if (condition.type, condition.status) in _BAD else "Normal",
            "reason": condition.reason,
            "message": condition.message[:1000],
            "source": {"component": CONTROLLER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            self.api.create(EVENTS, event)
        except ArtifactConflict:
            return
        except DisentanglementError as error:
            log.debug("an event could not be written", extra={"study": where, "cause": str(error)})


def _news(item: Object, status: StudyStatus) -> list[Condition]:
    """Conditions worth an event that the resource does not tell of yet."""
    before = {
        (e.get("type"), e.get("status"), e.get("reason")) for e in (item.get("status") or {}).get("conditions") or ()
    }
    return [
        condition
        for condition in status.conditions
        if (condition.type, condition.status) in _WORTH_TELLING
        and (condition.type, condition.status, condition.reason) not in before
    ]
