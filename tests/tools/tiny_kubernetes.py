"""A very small Kubernetes API over real HTTP, for what can't be asked of the real one: faults on demand, at once.

It keeps objects, their versions and their history; list, watch, create, replace, merge patch, apply (as a merge) and
delete work on any kind. It checks nothing and runs nothing: no schema, no admission, no Job controller. What the real
API server does is tested in tests/integration/cluster.
"""

from __future__ import annotations

import copy
import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Object = dict[str, Any]
RESET, HANG = 0, -1
"""As the status of a fault: no answer at all, and none for a long time."""


@dataclass
class Fault:
    """What the next requests of a method to a path that contains `path` get instead of an answer."""

    method: str
    path: str
    status: int
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "on purpose"
    after: bool = False
    """The request is carried out, and only its answer is replaced."""


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Object


class TinyKubernetes:
    """The objects by path (`/api/v1/namespaces/ns/pods/name`), and a server that tells of them."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.history: list[tuple[int, str, str, Object]] = []
        self.oldest = 0
        """Moments up to this one are forgotten: a watch from there is told 410."""
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.logs: dict[str, str] = {}
        self.groups: list[str] = ["batch", "disentanglement.dev"]
        self.changed = threading.Condition()
        self.url = ""
        self.is_stopping = False
        self._version = 0

    def put(self, path: str, item: Object) -> Object:
        """Create or replace an object, as somebody else would."""
        with self.changed:
            standing = self.objects.get(path)
            self._version += 1
            item = copy.deepcopy(item)
            metadata = item.setdefault("metadata", {})
            was = standing["metadata"] if standing else {}
            metadata.setdefault("uid", was.get("uid") or str(uuid.uuid4()))
            metadata.setdefault("creationTimestamp", was.get("creationTimestamp") or _now())
            metadata.setdefault("generation", was.get("generation", 1))
            metadata["resourceVersion"] = str(self._version)
            self.objects[path] = item
            self._remember("MODIFIED" if standing else "ADDED", path, item)
            return item

    def remove(self, path: str) -> None:
        """Delete an object, as somebody else would."""
        with self.changed:
            item = self.objects.pop(path, None)
            if item is not None:
                self._version += 1
                item = copy.deepcopy(item)
                item["metadata"]["resourceVersion"] = str(self._version)
                self._remember("DELETED", path, item)

    def forget_history(self) -> None:
        """A watch from any moment up to now is told 410."""
        with self.changed:
            self.oldest = self._version
            self._version += 1
            self.changed.notify_all()

    def count(self, method: str, part: str) -> int:
        """How many requests of a method to paths that contain `part` came."""
        return sum(request.method == method and part in request.path for request in self.requests)

    def below(self, part: str) -> list[Object]:
        """The objects whose path contains `part`."""
        with self.changed:
            return [copy.deepcopy(item) for path, item in sorted(self.objects.items()) if part in path]

    def version(self) -> int:
        """The moment now."""
        return self._version

    def _remember(self, type_: str, path: str, item: Object) -> None:
        self.history.append((self._version, type_, path, copy.deepcopy(item)))
        self.changed.notify_all()


@contextmanager
def tiny_kubernetes() -> Iterator[TinyKubernetes]:
    """A server on a free loopback port; `url` says where."""
    api = TinyKubernetes()

    class Handler(_Handler):
        cluster = api

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        with api.changed:
            api.is_stopping = True
            api.changed.notify_all()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    cluster: TinyKubernetes
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the requests are kept in `requests`."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        request = Request(self.command, unquote(parts.path), query, body)
        with self.cluster.changed:
            self.cluster.requests.append(request)
            fault = next(
                (f for f in self.cluster.faults if f.method == request.method and f.path in request.path), None
            )
            if fault is not None:
                fault.times -= 1
                if not fault.times:
                    self.cluster.faults.remove(fault)
        if fault is not None and not fault.after:
            return self._fail(fault.status, fault.message, fault.headers)
        if request.query.get("watch"):
            return self._watch(request)
        status, answer = self._answer(request)
        if fault is not None:
            return self._fail(fault.status, fault.message, fault.headers)
        self._send(status, answer)

    def _answer(self, request: Request) -> tuple[int, Object]:
        cluster, path = self.cluster, request.path
        if path == "/apis":
            return 200, {"groups": [{"name": name} for name in cluster.groups]}
        if path.endswith("/log"):
            return 200, {"text": cluster.logs.get(path, "")}
        is_status = path.endswith("/status")
        path = path.removesuffix("/status")
        with cluster.changed:
            standing = cluster.objects.get(path)
        match request.method:
            case "GET" if standing is not None:
                return 200, standing
            case "GET" if _is_collection(path):
                return 200, self._list(path, request.query)
            case "POST":
                where = f"{path}/{request.body['metadata']['name']}"
                if where in cluster.objects:
                    return 409, _status(409, f"{where} already exists")
                return 201, cluster.put(where, request.body)
            case "PUT" if standing is not None:
                if request.body["metadata"].get("resourceVersion") != standing["metadata"]["resourceVersion"]:
                    return 409, _status(409, "the object has been modified")
                return 200, cluster.put(path, request.body)
            case "PATCH" if standing is not None:
                change = {"status": request.body["status"]} if is_status else request.body
                merged = _merged(standing, change)
                if merged.get("spec") != standing.get("spec"):
                    merged["metadata"]["generation"] = merged["metadata"].get("generation", 1) + 1
                return 200, cluster.put(path, merged)
            case "PATCH" if request.query.get("force"):  # server-side apply makes what is not there
                return 201, cluster.put(path, request.body)
            case "DELETE" if standing is not None:
                wanted = (request.body.get("preconditions") or {}).get("uid")
                if wanted and wanted != standing["metadata"]["uid"]:
                    return 409, _status(409, "another uid")
                cluster.remove(path)
                return 200, standing
        return 404, _status(404, f"{path} not found")

    def _list(self, path: str, query: Mapping[str, str]) -> Object:
        cluster = self.cluster
        with cluster.changed:
            items = [item for where, item in sorted(cluster.objects.items()) if _in_collection(where, path)]
            version = str(cluster.version())
        chosen = [item for item in items if _matches(item, query)]
        first = int(query.get("continue", "0"))
        limit = int(query.get("limit", "0")) or len(chosen)
        page, rest = chosen[first : first + limit], len(chosen) > first + limit
        return {
            "items": page,
            "metadata": {"resourceVersion": version, "continue": str(first + limit) if rest else ""},
        }

    def _watch(self, request: Request) -> None:
        cluster = self.cluster
        since, until = int(request.query["resourceVersion"]), time.monotonic() + float(request.query["timeoutSeconds"])
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if since < cluster.oldest:
            self._line({"type": "ERROR", "object": _status(410, "too old resource version")})
            self.close_connection = True
            return
        while True:
            with cluster.changed:
                news = [event for event in cluster.history if event[0] > since]
                if not news:
                    if cluster.is_stopping or time.monotonic() >= until or since < cluster.oldest:
                        break
                    cluster.changed.wait(min(0.2, max(0.0, until - time.monotonic())))
                    continue
            for version, type_, path, item in news:
                since = version
                if _in_collection(path, request.path) and _matches(item, request.query):
                    self._line({"type": type_, "object": item})
        self._chunk(b"")
        self.close_connection = True

    def _line(self, event: Object) -> None:
        self._chunk(json.dumps(event).encode() + b"\n")

    def _chunk(self, data: bytes) -> None:
        try:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()
        except OSError:  # the client has left
            self.close_connection = True

    def _send(self, status: int, answer: Object, headers: Mapping[str, str] | None = None) -> None:
        data = answer["text"].encode() if set(answer) == {"text"} else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _fail(self, status: int, message: str, headers: Mapping[str, str]) -> None:
        if status == HANG:
            with self.cluster.changed:
                self.cluster.changed.wait_for(lambda: self.cluster.is_stopping, 30)
        if status in (HANG, RESET):
            self.close_connection = True
            return
        self._send(status, _status(status, message), headers)


def _status(code: int, message: str) -> Object:
    return {"kind": "Status", "status": "Failure", "code": code, "message": message}


def _is_collection(path: str) -> bool:
    return len(path.strip("/").split("/")) % 2 == (1 if path.startswith("/api/") else 0) or "/namespaces/" not in path


def _in_collection(where: str, collection: str) -> bool:
    """Whether an object is in a collection: of its namespace, or of all namespaces."""
    folder = where.rpartition("/")[0]
    if folder == collection:
        return True
    root, _, plural = collection.rpartition("/")
    return (
        "/namespaces/" not in collection and folder.startswith(f"{root}/namespaces/") and folder.endswith(f"/{plural}")
    )


def _matches(item: Object, query: Mapping[str, str]) -> bool:
    labels = item["metadata"].get("labels") or {}
    wanted = [part for part in query.get("labelSelector", "").split(",") if part]
    if not all(labels.get(name) == value for name, _, value in (part.partition("=") for part in wanted)):
        return False
    fields = [part for part in query.get("fieldSelector", "").split(",") if part]
    return all(_has(item, field) for field in fields)


def _has(item: Object, field: str) -> bool:
    name, _, value = field.partition("=")
    is_there = str(_at(item, name.removesuffix("!"))) == value
    return is_there != name.endswith("!")


def _at(item: Object, path: str) -> object:
    value: Any = item
    for part in path.split("."):
        value = (value or {}).get(part)
    return value


def _merged(standing: Any, change: Any) -> Any:
    if not isinstance(change, dict) or not isinstance(standing, dict):
        return copy.deepcopy(change)
    merged = copy.deepcopy(standing)
    for name, value in change.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value) if name in merged else copy.deepcopy(value)
    return merged


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
