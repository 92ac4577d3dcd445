"""A real MinIO server for tests: on a free loopback port, with credentials of its own, gone afterwards."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import urllib3
from minio import Minio
from minio.error import S3Error, ServerError

READY_WITHIN_S = 30.0
POLL_EVERY_S = 0.05
ATTEMPTS = 3
PREFIX = "DISENTANGLEMENT_TEST_S3_"


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where a test's object store is: `host:port`, what opens it, and how its fresh buckets are called."""

    endpoint: str
    access_key: str
    secret_key: str
    secure: bool = False
    bucket_prefix: str = "disentanglement-test"

    @property
    def url(self) -> str:
        """The endpoint with its scheme."""
        return f"{'https' if self.secure else 'http'}://{self.endpoint}"

    def client(self) -> Minio:
        """A client that may do everything."""
        return Minio(self.endpoint, access_key=self.access_key, secret_key=self.secret_key, secure=self.secure)

    def fresh_bucket(self) -> str:
        """Make a bucket that no other test has, and return its name."""
        name = f"{self.bucket_prefix}-{secrets.token_hex(8)}"
        self.client().make_bucket(name)
        return name


def given_server(environment: Mapping[str, str]) -> S3Server | None:
    """The server named by DISENTANGLEMENT_TEST_S3_{ENDPOINT,ACCESS_KEY,SECRET_KEY,BUCKET}, or None.

    ENDPOINT may begin with `http://` or `https://`; BUCKET is what the names of fresh buckets begin with.
    """
    endpoint = environment.get(f"{PREFIX}ENDPOINT")
    if not endpoint:
        return None
    scheme, _, address = endpoint.rpartition("://")
    return S3Server(
        endpoint=address.rstrip("/"),
        access_key=environment[f"{PREFIX}ACCESS_KEY"],
        secret_key=environment[f"{PREFIX}SECRET_KEY"],
        secure=scheme == "https",
        bucket_prefix=environment.get(f"{PREFIX}BUCKET") or "disentanglement-test",
    )


@contextmanager
def own_buckets(server: S3Server) -> Iterator[S3Server]:
    """The server with a prefix that no other test process has; its buckets are removed when the block ends."""
    own = replace(server, bucket_prefix=f"{server.bucket_prefix}-{secrets.token_hex(4)}")
    try:
        yield own
    finally:
        remove_fresh_buckets(own)


def remove_fresh_buckets(server: S3Server) -> None:
    """Empty and remove the buckets with this prefix."""
    client = server.client()
    for name in [bucket.name for bucket in client.list_buckets()]:
        if not name.startswith(f"{server.bucket_prefix}-"):
            continue
        for found in client.list_objects(name, recursive=True):
            assert found.object_name is not None
            client.remove_object(name, found.object_name)
        client.remove_bucket(name)


def free_port() -> int:
    """A loopback port that nothing listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert isinstance(port, int)
        return port


@contextmanager
def running_minio(program: Path, folder: Path) -> Iterator[S3Server]:
    """Run MinIO with its data in `folder` until the block ends, then kill it."""
    for attempt in range(ATTEMPTS):  # a port may be taken between choosing it and listening on it
        server = S3Server(f"127.0.0.1:{free_port()}", secrets.token_hex(10), secrets.token_hex(20))
        process = start(program, folder, server)
        try:
            if wait_until_ready(process, server):
                yield server
                return
        finally:
            process.kill()
            process.wait()
        if attempt == ATTEMPTS - 1:
            raise RuntimeError(f"MinIO did not start: {(folder / 'log').read_text()[-2000:]}")


def start(program: Path, folder: Path, server: S3Server) -> subprocess.Popen[bytes]:
    """Start the program; nothing of the user's own MinIO settings reaches it."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    environment = {
        "HOME": str(folder),
        "PATH": os.environ.get("PATH", ""),
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "MINIO_CI_CD": "1",  # data may lie on the root file system
    }
    command: list[str | Path] = [
        program,
        "server",
        data,
        "--address",
        server.endpoint,
        "--certs-dir",
        folder / "certs",
        "--quiet",
    ]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )


def wait_until_ready(process: subprocess.Popen[bytes], server: S3Server) -> bool:
    """Poll the server until it is ready; False where its process ended instead.

    Raises TimeoutError when it does neither.
    """
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if is_ready(server):
            return True
        try:
            process.wait(timeout=POLL_EVERY_S)
        except subprocess.TimeoutExpired:
            continue
        return False
    raise TimeoutError(f"MinIO was not ready within {READY_WITHIN_S} s")


def is_ready(server: S3Server) -> bool:
    """Whether the server tells strangers from friends.

    Its own readiness check says yes a little earlier, when it still answers 503 with `Retry-After: 60`.
    """
    once = urllib3.PoolManager(timeout=1.0, retries=False)
    stranger = Minio(
        server.endpoint, access_key="stranger", secret_key="not-the-secret", secure=server.secure, http_client=once
    )
    try:
        stranger.list_buckets()
    except S3Error as error:
        return error.code == "InvalidAccessKeyId"
    except (ServerError, urllib3.exceptions.HTTPError):
        return False
    finally:
        once.clear()
    return False
