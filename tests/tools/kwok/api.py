"""The API server in plain JSON: what the tests ask of it beside kubectl, thousands of times where need be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
FIELD_MANAGER = "test"
TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)
WATCH_S = 240


class ApiError(Exception):
    """The API server said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Api:
    """One user's view of one API server. Safe for threads."""

    def __init__(self, server: str, *, ca_file: str, cert: tuple[str, str] | None = None, token: str = "") -> None:
        self.server = server
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        cert_file, key_file = cert or (None, None)
        self._http = urllib3.PoolManager(
            maxsize=32, ca_certs=ca_file, cert_file=cert_file, key_file=key_file, timeout=TIMEOUT, retries=False
        )

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Api:
        """The user of a kubeconfig's first context; certificates in files, or a token."""
        config = yaml.safe_load(path.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        cert = (user["client-certificate"], user["client-key"]) if "client-certificate" in user else None
        return cls(
            cluster["server"], ca_file=cluster["certificate-authority"], cert=cert, token=user.get("token", "")
        )

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """An object, or a list of them."""
        return self._request("GET", path, query)

    def get_text(self, path: str) -> str:
        """What is no JSON: metrics."""
        return self._send("GET", path, {}, None, "").decode()

    def find(self, path: str) -> dict[str, Any] | None:
        """An object, None where there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A new object in a collection."""
        return self._request("POST", path, {}, body)

    def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply of an object at its own path."""
        return self._request("PATCH", path, {"fieldManager": FIELD_MANAGER, "force": "true"}, body, APPLY_PATCH)

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A merge patch."""
        return self._request("PATCH", path, {}, body, MERGE_PATCH)

    def delete(self, path: str, **query: str) -> None:
        """Removes an object; its dependents follow in the background."""
        self._request("DELETE", path, query, {"propagationPolicy": "Background"})

    def watch(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Events of a collection from its present state on, without end: it is watched anew when a watch ends.

        What stands is told again each time as ADDED, so the reader has to know what it has seen.
        """
        while True:
            version = ""
            listed = self.get(path, **query)
            for item in listed["items"]:
                yield {"type": "ADDED", "object": item}
            version = listed["metadata"]["resourceVersion"]
            yield from self._watch_once(path, {**query, "resourceVersion": version})

    def _watch_once(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        complete = {**query, "watch": "true", "timeoutSeconds": str(WATCH_S), "allowWatchBookmarks": "true"}
        url = f"{self.server}{path}?{urlencode(complete)}"
        timeout = urllib3.Timeout(connect=5.0, read=WATCH_S + 30.0)
        try:
            response = self._http.request("GET", url, headers=self._headers, preload_content=False, timeout=timeout)
            buffered = b""
            for chunk in response.stream(65536):
                *lines, buffered = (buffered + chunk).split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # the version has expired: list again
                        return
                    if event["type"] != "BOOKMARK":
                        yield event
        except urllib3.exceptions.HTTPError:
            return

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._send(method, path, query, body, content_type))
        return answer

    def _send(
        self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any] | None, content_type: str
    ) -> bytes:
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, **({"content-type": content_type} if data else {})}
        response = self._http.request(method, url, body=data, headers=headers)
        if response.status >= 300:
            raise ApiError(response.status, _message(response.data))
        return response.data


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data).get("message", ""))
    except ValueError:
        return data.decode(errors="replace")[:500]
