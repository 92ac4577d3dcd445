"""One controller works at a time: whoever holds the Lease. Who loses it has to stop at once.

Two that work at the same moment compute nothing wrong (names of Jobs are deterministic, commits are conditional), but
one that looks at an old state may clear the records of failures that the other has just written. So whoever can't renew
the lease, for whatever reason, is told that it is lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from disentanglement.cluster.kinds import LEASES, Object, ObjectName
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.errors import ArtifactConflict, DisentanglementError, PermissionDenied

log = logging.getLogger(__name__)

LEASE_NAME = "disentanglement-controller"


class Leadership:
    """A Lease in our namespace. Times of other machines are never compared with ours: a lease is free when it was not
    renewed for `lease_s` seconds of our own clock."""

    def __init__(
        self,
        api: KubernetesApi,
        namespace: str,
        identity: str,
        *,
        lease_s: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api.hurried(lease_s / 5)
        self._where = ObjectName(namespace, LEASE_NAME)
        self._identity = identity
        self._lease_s = lease_s
        self._clock = clock
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = clock()
        self._renewed_at = clock()
        self._renewer: threading.Thread | None = None

    def acquire(self, stop: threading.Event) -> bool:
        """Waits until the lease is ours; False when asked to stop before."""
        told = ""
        while not stop.is_set():
            holder = self._try()
            if holder == self._identity:
                log.info("leading", extra={"lease": self._where, "identity": self._identity})
                return True
            if holder != told:
                log.info("waiting for the lease", extra={"lease": self._where, "holder": holder})
                told = holder
            stop.wait(self._lease_s / 5)
        return False

    def keep(self, stop: threading.Event, lost: Callable[[], None]) -> None:
        """Renews the lease in a thread of its own; `lost` is called, once, when that did not succeed in time."""
        self._renewer = threading.Thread(target=self._renew, args=(stop, lost), name="lease", daemon=True)
        self._renewer.start()

    def release(self) -> None:
        """Lets another replica begin at once; call it when all work has stopped."""
        if self._renewer is not None:
            self._renewer.join(self._lease_s)
        try:
            lease = self._api.get(LEASES, self._where)
            if lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                self._api.replace(LEASES, lease)
        except DisentanglementError as error:  # it runs out by itself
            log.warning("the lease could not be released", extra={"cause": str(error)})

    def _renew(self, stop: threading.Event, lost: Callable[[], None]) -> None:
        try:
            self._renew_until(stop, lost)
        except Exception:  # a thread that ended without a word would leave two leaders
            log.exception("the lease can't be renewed", extra={"lease": self._where})
            lost()

    def _renew_until(self, stop: threading.Event, lost: Callable[[], None]) -> None:
        while not stop.wait(self._lease_s / 5):
            holder = self._try()
            late_s = self._clock() - self._renewed_at
            if holder not in (self._identity, "") or late_s > self._lease_s * 2 / 3:
                log.error("the lease is lost", extra={"lease": self._where, "holder": holder, "late_s": round(late_s)})
                lost()
                return

    def _try(self) -> str:
        """Takes or renews the lease if that may be; its holder, empty where that could not be learnt."""
        asked = self._clock()
        try:
            lease = self._api.find(LEASES, self._where)
            if lease is None:
                self._api.create(LEASES, self._lease({}, self._identity))
            elif holder := self._other_holder(lease):
                return holder
            else:
                self._api.replace(LEASES, self._lease(lease, self._identity))
        except ArtifactConflict:  # somebody was faster
            return ""
        except PermissionDenied as error:
            log.error("leases are needed: see k8s/base", extra={"cause": str(error)})
            return ""
        except DisentanglementError as error:
            log.warning("the lease could not be renewed", extra={"cause": str(error)})
            return ""
        self._renewed_at = asked
        return self._identity

    def _other_holder(self, lease: Object) -> str:
        """Who else holds the lease and is alive, empty if nobody."""
        spec = lease["spec"]
        holder: str = spec.get("holderIdentity") or ""
        if holder in ("", self._identity):
            return ""
        seen = (holder, lease["metadata"]["resourceVersion"])
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        duration_s = float(spec.get("leaseDurationSeconds") or self._lease_s)
        return holder if self._clock() - self._seen_at < duration_s else ""

    def _lease(self, standing: Object, identity: str) -> Object:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: Object = standing.get("spec") or {}
        is_new = spec.get("holderIdentity") != identity
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.name,
            "metadata": standing.get("metadata") or {"namespace": self._where.namespace, "name": self._where.name},
            "spec": {
                "holderIdentity": identity,
                "leaseDurationSeconds": max(1, round(self._lease_s)),
                "acquireTime": now if is_new else spec.get("acquireTime", now),
                "renewTime": now,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + is_new,
            },
        }
