"""A copy of the objects of one kind: listed, then watched, and listed again every so often.

What a watch tells is only a hint to look: whatever it misses, the next listing brings.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from disentanglement.cluster.api_errors import OutOfDate
from disentanglement.cluster.kinds import Kind, Object, ObjectName, name_of
from disentanglement.cluster.kubernetes_jobs import WATCH_S, KubernetesApi
from disentanglement.errors import ArtifactNotFound, DisentanglementError, PermissionDenied, Unauthenticated

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
Heard = Callable[[Object], None]


class Mirror:
    """The objects of a kind in one namespace, as far as they have been heard of.

    `heard` is called, in the mirror's own thread, with every object that is new, changed or gone.
    """

    def __init__(
        self,
        api: KubernetesApi,
        kind: Kind,
        namespace: str,
        *,
        labels: str = "",
        heard: Heard = lambda _: None,
        keep: Callable[[Object], Object] = lambda item: item,
        relist_s: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._kind = kind
        self.namespace = namespace
        self._labels = labels
        self._heard = heard
        self._keep = keep
        self._relist_s = relist_s
        self._clock = clock
        self._items: dict[ObjectName, Object] = {}
        self._heard_up_to = 0
        self._lock = threading.Lock()
        self.is_listed = threading.Event()
        """Set once the first listing is there: before, what is missing here may well exist."""

    def items(self) -> list[Object]:
        """The objects, in the order of their names."""
        with self._lock:
            return [self._items[name] for name in sorted(self._items)]

    def get(self, name: ObjectName) -> Object | None:
        """One object, None where none was heard of."""
        with self._lock:
            return self._items.get(name)

    def put(self, item: Object) -> None:
        """An object that we have just written ourselves, unless the watch has told of it, and perhaps of its end."""
        with self._lock:
            if _number(_version(item)) > self._heard_up_to:
                self._items[name_of(item)] = self._keep(item)

    def drop(self, name: ObjectName) -> None:
        """An object that we have just deleted ourselves."""
        with self._lock:
            self._items.pop(name, None)

    def relist(self) -> str:
        """Reads everything again; the moment at which that was so."""
        listing = self._api.list(self._kind, self.namespace, labels=self._labels)
        self._replace(listing.items, listing.version)
        return listing.version

    def run(self, stop: threading.Event) -> None:
        """Keeps up until asked to stop; whatever goes wrong is tried again."""
        pause_s = FIRST_PAUSE_S
        while not stop.is_set():
            try:
                self._list_then_watch(stop)
                pause_s = FIRST_PAUSE_S
                continue
            except OutOfDate:
                log.debug("listing again", extra=self._fields())
            except (PermissionDenied, Unauthenticated, ArtifactNotFound) as error:
                log.error("this has to be allowed and installed: see k8s/base", extra=self._fields(error))
                pause_s = LONGEST_PAUSE_S
            except DisentanglementError as error:
                log.warning("the cluster does not answer", extra=self._fields(error))
            except Exception:  # without this thread, all that is known of the cluster would be old for ever
                log.exception("an answer could not be understood", extra=self._fields())
            stop.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _list_then_watch(self, stop: threading.Event) -> None:
        version, until = self.relist(), self._clock() + self._relist_s
        while not stop.is_set() and (left_s := until - self._clock()) > 0:
            timeout_s = max(1, min(WATCH_S, round(left_s)))
            for event in self._api.watch(self._kind, self.namespace, version, labels=self._labels, timeout_s=timeout_s):
                version = event.version
                self._take(event.type, event.item, event.version)
                if stop.is_set():
                    return

    def _replace(self, listed: list[Object], version: str) -> None:
        fresh = {name_of(item): self._keep(item) for item in listed}
        with self._lock:
            before, self._items = self._items, fresh
            self._heard_up_to = _number(version)
        self.is_listed.set()
        for item in _changes(before, fresh):
            self._heard(item)

    def _take(self, type_: str, item: Object, version: str) -> None:
        with self._lock:
            self._heard_up_to = _number(version)
        if type_ == "BOOKMARK":
            return
        kept, name = self._keep(item), name_of(item)
        with self._lock:
            if type_ == "DELETED":
                self._items.pop(name, None)
            else:
                self._items[name] = kept
        self._heard(kept)

    def _fields(self, error: Exception | None = None) -> Mapping[str, Any]:
        fields = {"kind": self._kind.plural, "namespace": self.namespace}
        return fields if error is None else {**fields, "cause": str(error)}


def _changes(before: Mapping[ObjectName, Object], after: Mapping[ObjectName, Object]) -> Iterator[Object]:
    """What differs between two listings: the new objects, and those that are gone."""
    for name, item in after.items():
        if name not in before or _version(before[name]) != _version(item):
            yield item
    yield from (item for name, item in before.items() if name not in after)


def _version(item: Object) -> str:
    return str(item["metadata"].get("resourceVersion", ""))


def _number(version: str) -> int:
    """Moments of one cluster are numbers that rise; for one that is none, the watch has to be waited for."""
    return int(version) if version.isdecimal() else 0
