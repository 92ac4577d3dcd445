"""A small HTTP proxy before a real object store, which mistreats the requests that a test chooses."""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread


class Fault(Enum):
    """What may happen to a request."""

    ANSWER_503 = "answered 503, not applied"
    APPLY_AND_ANSWER_503 = "applied, answered 503"
    RESET = "connection reset, not applied"
    APPLY_AND_RESET = "applied, connection reset"
    HANG = "no answer, not applied"
    APPLY_AND_HANG = "applied, no answer"
    APPLY_TWICE = "applied twice, second answer passed on"
    CUT = "applied, half of the answer's body passed on"
    DENY_CONFLICT = "a refused condition is passed on as success"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the proxy got it; `number` counts from 0."""

    number: int
    method: str
    path: str
    is_conditional: bool


Choose = Callable[[Request], Fault | None]
Answer = tuple[int, list[tuple[str, str]], bytes]
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_APPLIED = {
    Fault.APPLY_AND_ANSWER_503: Fault.ANSWER_503,
    Fault.APPLY_AND_RESET: Fault.RESET,
    Fault.APPLY_AND_HANG: Fault.HANG,
}


@dataclass
class FaultProxy:
    """`endpoint` is where it listens; `choose` may be replaced at any time; `requests` is what came."""

    upstream: str
    choose: Choose = lambda request: None
    requests: list[Request] = field(default_factory=list)
    endpoint: str = ""
    released: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)

    def reset(self, choose: Choose = lambda request: None) -> None:
        """Forget what came, and choose faults anew."""
        self.requests.clear()
        self.choose = choose

    def note(self, handler: BaseHTTPRequestHandler) -> Request:
        """Count a request."""
        with self.lock:
            conditional = "If-None-Match" in handler.headers
            request = Request(len(self.requests), handler.command, handler.path, conditional)
            self.requests.append(request)
            return request

    def forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> Answer:
        """Ask the real store; the Host header is signed, so headers go on as they came."""
        connection = http.client.HTTPConnection(self.upstream, timeout=30)
        try:
            connection.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
            for name, value in handler.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


@contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """Run a proxy before `host:port` until the block ends."""
    proxy = FaultProxy(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    server.daemon_threads = True
    proxy.endpoint = f"127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.choose(proxy.note(self))
            if fault in _APPLIED:
                proxy.forward(self, body)
                fault = _APPLIED[fault]
            match fault:
                case Fault.ANSWER_503:
                    self.answer((503, [("Content-Type", "text/html")], b"<html>busy</html>"))
                case Fault.RESET:
                    self.break_off()
                case Fault.HANG:
                    proxy.released.wait()
                    self.close_connection = True
                case _:
                    self.pass_on(fault, body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

        def pass_on(self, fault: Fault | None, body: bytes) -> None:
            if fault is Fault.APPLY_TWICE:
                proxy.forward(self, body)
            status, headers, data = proxy.forward(self, body)
            if fault is Fault.DENY_CONFLICT and status == http.HTTPStatus.PRECONDITION_FAILED:
                status, headers, data = 200, [("ETag", '"0"')], b""
            self.answer((status, headers, data), cut=fault is Fault.CUT and len(data) > 1)

        def answer(self, answer: Answer, *, cut: bool = False) -> None:
            status, headers, data = answer
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            lengths = [value for name, value in headers if name.lower() == "content-length"]
            self.send_header("Content-Length", lengths[0] if self.command == "HEAD" and lengths else str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = cut

        def break_off(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()

        def log_message(self, format: str, *args: object) -> None:
            """The tests say what went wrong."""

    return Handler
