"""What a run costs the cluster, measured from outside: objects, the size of a status, memory, requests."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from disentanglement.cluster.kinds import STUDIES, Kind, ObjectName
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.errors import ArtifactNotFound, Unavailable

SAMPLE_EVERY_S = 3.0
UNCOUNTED = ("pods", "events")
"""Pods are what the engine is for, and go with their Jobs; events are counted apart, and expire by themselves."""


@dataclass
class Samples:
    """The largest values seen while a study ran."""

    objects: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    events: int = 0
    pods: int = 0
    status_bytes: int = 0
    controller_mib: int = 0


class Sampler:
    """Looks at a study's namespace every few seconds, in a thread of its own."""

    def __init__(self, api: KubernetesApi, study: ObjectName, controller_pid: Callable[[], int]) -> None:
        self.samples = Samples()
        self._api = api
        self._study = study
        self._controller_pid = controller_pid
        self._kinds = list(_namespaced_kinds(api))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Samples:
        self._thread.start()
        return self.samples

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            with suppress(Unavailable, ArtifactNotFound):  # busy, or the study is not there yet: the next look
                self._sample()
            self._stop.wait(SAMPLE_EVERY_S)

    def _sample(self) -> None:
        found = self.samples
        found.controller_mib = max(found.controller_mib, peak_mib(self._controller_pid()))
        study = self._api.get(STUDIES, self._study)
        found.status_bytes = max(found.status_bytes, len(json.dumps(study.get("status", {}), separators=(",", ":"))))
        counts = {kind.plural: self._count(kind) for kind in self._kinds}
        found.pods = max(found.pods, counts.get("pods", 0))
        found.events = max(found.events, counts.get("events", 0))
        objects = {plural: count for plural, count in counts.items() if count and plural not in UNCOUNTED}
        if sum(objects.values()) > found.objects:
            found.objects, found.by_kind = sum(objects.values()), objects

    def _count(self, kind: Kind) -> int:
        """How many there are, from the first page of one and what the server says that remains."""
        page = _read(self._api, f"{kind.path(self._study.namespace)}?limit=1")
        return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))


def _read(api: KubernetesApi, path: str) -> dict[str, Any]:
    """What the door has no word for."""
    return api._calls.json("GET", Kind("", "", path, ""), path)


def _namespaced_kinds(api: KubernetesApi) -> Iterator[Kind]:
    """Every kind that a namespace can hold, each once."""
    groups = _read(api, "/apis")["groups"]
    versions = [("", "v1"), *((group["name"], group["preferredVersion"]["version"]) for group in groups)]
    seen = set()
    for group, version in versions:
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        for resource in _read(api, root)["resources"]:
            name = resource["name"]
            if resource["namespaced"] and "list" in resource["verbs"] and name not in seen and "metrics" not in group:
                seen.add(name)
                yield Kind(group, version, name, resource["kind"])


def peak_mib(pid: int) -> int:
    """The most memory that a process has had, 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    peak = next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: 0 kB")
    return int(peak.split()[1]) // 1024


def requests_of(audit_log: Path, user: str) -> Counter[str]:
    """How many requests a user sent, by verb and resource, as the API server has written them down."""
    counts: Counter[str] = Counter()
    with audit_log.open() as lines:
        for line in lines:
            event = json.loads(line)
            if event["user"]["username"] == user:
                where = event.get("objectRef", {})
                parts = (where.get("resource", event["requestURI"]), where.get("subresource", ""))
                counts[f"{event['verb']} {'/'.join(filter(None, parts))}"] += 1
    return counts


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds of many calls."""

    seconds: tuple[float, ...]

    @classmethod
    def read(cls, path: Path, name: str) -> Durations:
        """From a file with lines of a name and seconds: those of one name."""
        rows = (line.split() for line in path.read_text().splitlines())
        return cls(tuple(float(row[1]) for row in rows if len(row) == 2 and row[0] == name))

    def __str__(self) -> str:
        return f"{self.median * 1000:.0f} ms (longest {self.longest * 1000:.0f} ms, {len(self.seconds)} times)"

    @property
    def median(self) -> float:
        """The one in the middle, 0 where there is none."""
        return median(self.seconds or (0.0,))

    @property
    def longest(self) -> float:
        """The longest, 0 where there is none."""
        return max(self.seconds, default=0.0)
