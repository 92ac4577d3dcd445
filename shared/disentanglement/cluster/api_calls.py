"""Single calls to the Kubernetes API: sent with a deadline, counted, tried again, and refused in our own errors."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError, TimeoutError

from disentanglement.cluster.api_errors import OutOfDate, QuotaExceeded, error_of
from disentanglement.cluster.kinds import Kind, Object
from disentanglement.errors import DeadlineExceeded, ResourceExhausted, Unavailable

CONNECT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
CHANCE = random.Random()  # of its own: a retry in a thread must not move the numbers that a caller has seeded


@dataclass
class Sent:
    """How many requests were sent, by method and plural: what the API server has to bear from us."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, method: str, plural: str) -> None:
        """One more."""
        with self._lock:
            self.counts[method, plural] += 1

    def total(self) -> int:
        """How many in all."""
        with self._lock:
            return sum(self.counts.values())


@dataclass(frozen=True)
class Calls:
    """How calls are sent. Each may raise what `api_errors.error_of` tells, `Unavailable` and `DeadlineExceeded`."""

    http: urllib3.PoolManager
    configuration: Any
    """The client's: where the server is, and who we are."""
    pause: Callable[[float], object]
    read_s: float
    attempts: int
    sent: Sent = field(default_factory=Sent)

    def hurried(self, read_s: float) -> Calls:
        """One attempt at each call, of so many seconds; counted together with ours."""
        return replace(self, read_s=read_s, attempts=1)

    def json(
        self, method: str, kind: Kind, path: str, body: Object | None = None, content_type: str = "application/json"
    ) -> Object:
        """What the server answers, as plain JSON."""
        answer: Object = json.loads(body_of(self.send(method, kind, path, body, content_type=content_type)))
        return answer

    def send(
        self,
        method: str,
        kind: Kind,
        path: str,
        body: Object | None = None,
        *,
        content_type: str = "application/json",
        timeout: urllib3.Timeout | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """The answer, still to be read."""
        timeout = timeout or urllib3.Timeout(connect=min(CONNECT_S, self.read_s), read=self.read_s)
        for attempt in range(self.attempts):
            try:
                return self._once(method, kind, path, body, content_type, timeout)
            except (OutOfDate, QuotaExceeded):  # to ask again at once would be told the same
                raise
            except ResourceExhausted as error:
                if attempt + 1 == self.attempts:
                    raise
                self.pause(error.retry_after_s)
            except Unavailable:
                if attempt + 1 == self.attempts:
                    raise
                self.pause(min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S) * CHANCE.uniform(0.5, 1.5))
        raise AssertionError("the last attempt returns or raises")

    def _once(
        self, method: str, kind: Kind, path: str, body: Object | None, content_type: str, timeout: urllib3.Timeout
    ) -> urllib3.BaseHTTPResponse:
        self.sent.add(method, kind.plural)
        what = f"{method} {kind.plural}"
        try:
            response = self.http.request(
                method,
                f"{self.configuration.host.rstrip('/')}{path}",
                body=None if body is None else json.dumps(body).encode(),
                headers={"Accept": "application/json, */*", "Content-Type": content_type, **self._authorization()},
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except TimeoutError as error:
            raise DeadlineExceeded(f"{what}: the API server did not answer in time ({error})") from error
        except HTTPError as error:
            raise Unavailable(f"{what}: the API server cannot be reached ({error})") from error
        if response.status < 300:
            return response
        raise error_of(what, response.status, response.headers, body_of(response))

    def _authorization(self) -> Mapping[str, str]:
        settings = self.configuration.auth_settings().values()
        return {setting["key"]: setting["value"] for setting in settings if setting["value"]}


def with_query(path: str, query: Mapping[str, object]) -> str:
    """The path with what is given of a query."""
    given = {name: value for name, value in query.items() if value not in ("", 0)}
    return f"{path}?{urlencode(given)}" if given else path


def body_of(response: urllib3.BaseHTTPResponse) -> bytes:
    """The whole body of an answer."""
    try:
        return response.data
    except TimeoutError as error:
        raise DeadlineExceeded(f"the API server stopped in the middle of its answer ({error})") from error
    except HTTPError as error:
        raise Unavailable(f"the API server stopped in the middle of its answer ({error})") from error


def lines_of(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The lines of an answer as they come, without empty ones."""
    rest = b""
    for chunk in response.stream(1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())
