"""The one door to the Kubernetes API: list, watch, create, patch and delete, with deadlines, retries and our errors.

The `kubernetes` package finds the cluster and proves who we are (kubeconfig, service account, exec plugins); objects
stay the plain JSON that they are on the wire, so that thousands of Jobs and their events cost little memory and time.
"""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client
from kubernetes import config as untyped_config
from urllib3.exceptions import HTTPError

from disentanglement.cluster.api_calls import CONNECT_S, Calls, body_of, lines_of, with_query
from disentanglement.cluster.api_errors import OutOfDate, error_of
from disentanglement.cluster.kinds import PODS, Kind, Object, ObjectName
from disentanglement.errors import ArtifactNotFound, SpecError, Unavailable

READ_S = 30.0
WATCH_S = 60
"""How long one watch is held open by the server; then it goes on from where it was."""
ATTEMPTS = 5
PAGE_SIZE = 500
MOST_RELISTS = 5
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

config: Any = untyped_config
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Listing:
    """What a collection held at one moment, which a watch goes on from."""

    items: list[Object]
    version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """`ADDED`, `MODIFIED` or `DELETED`, the object, and the moment; a `BOOKMARK` has no object but a moment."""

    type: str
    item: Object
    version: str


class KubernetesApi:
    """A cluster's API. Every call may raise what `api_errors.error_of` tells, `Unavailable` and `DeadlineExceeded`."""

    def __init__(
        self,
        configuration: Any,
        *,
        namespace: str = "default",
        field_manager: str = "disentanglement-controller",
        pause: Callable[[float], object] = time.sleep,
        read_s: float = READ_S,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.namespace = namespace
        """Our own namespace, or the one of the kubeconfig's context."""
        self.field_manager = field_manager
        pool: urllib3.PoolManager = client.ApiClient(configuration).rest_client.pool_manager
        self._calls = Calls(pool, configuration, pause, read_s, attempts)

    def hurried(self, read_s: float) -> KubernetesApi:
        """The same cluster for who can't wait: one attempt at each call, of so many seconds."""
        hurried = copy.copy(self)
        hurried._calls = self._calls.hurried(read_s)
        return hurried

    @property
    def requests(self) -> Mapping[tuple[str, str], int]:
        """How many requests were sent, by method and plural: what the API server has to bear from us."""
        return self._calls.sent.counts

    def num_requests(self) -> int:
        """How many requests were sent in all."""
        return self._calls.sent.total()

    # -------------------------------------------------------------------------------------------------------- reading
    def get(self, kind: Kind, where: ObjectName, *, subresource: str = "") -> Object:
        """One object, or a part of it.

        Raises:
            ArtifactNotFound: there is none.
        """
        return self._calls.json("GET", kind, kind.path(*where, subresource))

    def find(self, kind: Kind, where: ObjectName) -> Object | None:
        """One object, None where there is none."""
        try:
            return self.get(kind, where)
        except ArtifactNotFound:
            return None

    def list(self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "", most: int = 0) -> Listing:
        """The objects of a namespace (or of all) with these labels and fields; the first `most` if that is given.

        Raises:
            ArtifactNotFound: the cluster does not know the kind.
        """
        for _ in range(MOST_RELISTS):
            try:
                return self._list(kind, namespace, labels, fields, most)
            except OutOfDate:  # the pages took too long: the server has forgotten the moment of the first one
                continue
        raise Unavailable(f"{kind.plural}: the list could not be read to its end in {MOST_RELISTS} tries")

    def watch(
        self, kind: Kind, namespace: str, version: str, *, labels: str = "", timeout_s: int = WATCH_S
    ) -> Iterator[WatchEvent]:
        """What changes after the moment `version`; ends after `timeout_s`, to be called again with the last version.

        Raises:
            OutOfDate: the moment is forgotten; list again.
        """
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": timeout_s, "allowWatchBookmarks": "true"}
        path = with_query(kind.path(namespace), {**query, "labelSelector": labels})
        response = self._calls.send(
            "GET", kind, path, timeout=urllib3.Timeout(connect=CONNECT_S, read=timeout_s + READ_S)
        )
        try:
            for line in lines_of(response):
                yield _watch_event(json.loads(line))
        except HTTPError as error:
            raise Unavailable(f"watching {kind.plural}: {error}") from error
        finally:
            response.close()  # not back to the pool: what is left of the stream would be read by the next call

    def pod_log(self, where: ObjectName, *, container: str, tail_lines: int, limit_bytes: int = 1 << 16) -> str:
        """The end of a container's log."""
        query = {"container": container, "tailLines": tail_lines, "limitBytes": limit_bytes}
        response = self._calls.send("GET", PODS, with_query(PODS.path(*where, "log"), query))
        return body_of(response).decode(errors="replace")

    def pod_log_lines(self, where: ObjectName, *, container: str, tail_lines: int) -> Iterator[str]:
        """The end of a container's log, and what is written from now on, until the container ends."""
        query = {"container": container, "tailLines": tail_lines, "follow": "true"}
        timeout = urllib3.Timeout(connect=CONNECT_S, read=None)  # a step may be silent for long; the user ends it
        response = self._calls.send("GET", PODS, with_query(PODS.path(*where, "log"), query), timeout=timeout)
        try:
            for line in lines_of(response):
                yield line.decode(errors="replace")
        finally:
            response.close()

    def has_group(self, group: str) -> bool:
        """Whether the cluster serves an API group (`kueue.x-k8s.io` where Kueue is installed)."""
        response = self._calls.send("GET", Kind("", "", "apis", ""), "/apis")
        return any(found["name"] == group for found in json.loads(body_of(response))["groups"])

    # -------------------------------------------------------------------------------------------------------- writing
    def create(self, kind: Kind, item: Object) -> Object:
        """A new object. Our names are deterministic, so a repeated try is harmless.

        Raises:
            ArtifactConflict: one of this name stands.
            SpecError: the server refuses it as invalid.
        """
        path = kind.path(item["metadata"].get("namespace", ""))
        return self._calls.json("POST", kind, with_query(path, {"fieldManager": self.field_manager}), item)

    def replace(self, kind: Kind, item: Object) -> Object:
        """The object instead of the one that stands, if that has still the same `resourceVersion`.

        Raises:
            ArtifactConflict: somebody else has written it meanwhile.
        """
        metadata = item["metadata"]
        path = kind.path(metadata.get("namespace", ""), metadata["name"])
        return self._calls.json("PUT", kind, with_query(path, {"fieldManager": self.field_manager}), item)

    def merge(self, kind: Kind, where: ObjectName, change: Object, *, subresource: str = "") -> Object:
        """The object with some fields changed (JSON merge patch: None removes a field)."""
        path = with_query(kind.path(*where, subresource), {"fieldManager": self.field_manager})
        return self._calls.json("PATCH", kind, path, change, content_type=MERGE_PATCH)

    def apply(self, kind: Kind, item: Object, *, subresource: str = "", force: bool = True) -> Object:
        """The object with all fields of `item` as they are there (server-side apply), created where there is none."""
        metadata = item["metadata"]
        where = ObjectName(metadata.get("namespace", ""), metadata["name"])
        query = {"fieldManager": self.field_manager, "force": str(force).lower()}
        path = with_query(kind.path(*where, subresource), query)
        return self._calls.json("PATCH", kind, path, item, content_type=APPLY_PATCH)

    def delete(self, kind: Kind, where: ObjectName, *, uid: str = "", propagation: str = "Background") -> None:
        """Removes an object and what it owns; nothing happens where it is gone, or another one (`uid`) has its name."""
        options: Object = {"propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            self._calls.json("DELETE", kind, kind.path(*where), options)
        except ArtifactNotFound:
            return

    def _list(self, kind: Kind, namespace: str, labels: str, fields: str, most: int) -> Listing:
        query = {"labelSelector": labels, "fieldSelector": fields, "limit": min(most or PAGE_SIZE, PAGE_SIZE)}
        items: list[Object] = []
        version, token = "", ""
        while True:
            page = self._calls.json("GET", kind, with_query(kind.path(namespace), {**query, "continue": token}))
            items += page["items"]
            version, token = page["metadata"].get("resourceVersion", ""), page["metadata"].get("continue", "")
            if not token or (most and len(items) >= most):
                return Listing(items[:most] if most else items, version)


def connect(
    env: Mapping[str, str] = os.environ,
    *,
    context: str = "",
    field_manager: str = "disentanglement-controller",
    pause: Callable[[float], object] = time.sleep,
) -> KubernetesApi:
    """The cluster of the pod that we run in, else that of the kubeconfig (KUBECONFIG, ~/.kube/config).

    Raises:
        SpecError: neither is there, or the kubeconfig cannot be understood.
    """
    configuration = client.Configuration()
    try:
        if "KUBERNETES_SERVICE_HOST" in env and not context and not env.get("KUBECONFIG"):
            config.load_incluster_config(client_configuration=configuration)
            namespace = NAMESPACE_FILE.read_text().strip()
        else:
            files = env.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
            config.load_kube_config(files, context or None, configuration, persist_config=False)
            contexts, current = config.list_kube_config_contexts(files)
            chosen = next((found for found in contexts if found["name"] == context), current)
            namespace = chosen["context"].get("namespace") or "default"
    except (config.ConfigException, OSError) as error:
        wanted = "a kubeconfig (KUBECONFIG or ~/.kube/config) with a usable context, or a pod's service account"
        raise SpecError.of("cluster", wanted, error) from error
    return KubernetesApi(configuration, namespace=namespace, field_manager=field_manager, pause=pause)


def _watch_event(event: Object) -> WatchEvent:
    item: Object = event["object"]
    if event["type"] == "ERROR":
        raise error_of("watch", int(item.get("code", 500)), {}, json.dumps(item).encode())
    return WatchEvent(event["type"], item, item["metadata"]["resourceVersion"])
