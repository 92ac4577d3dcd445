"""A store in a bucket of MinIO or of anything that speaks S3; the one door to the `minio` client.

The client has no public call for a conditional write, so this module reaches for its `_put_object`, and for
`_list_multipart_uploads` and `_abort_multipart_upload` (its major version is pinned). Its errors become ours.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError
from urllib3.response import BaseHTTPResponse

from disentanglement.errors import (
    ArtifactNotFound,
    DeadlineExceeded,
    DisentanglementError,
    SpecError,
    StoreRefused,
    Unavailable,
)
from disentanglement.storage.keys import Key, ProbeKey, new_attempt, parse_key
from disentanglement.storage.prefixes import Prefix
from disentanglement.storage.settings import S3Settings
from disentanglement.storage.store import Leftover, ObjectInfo

PART_BYTES = 8 << 20
"""Larger objects are sent in parts of this size; a part has the connect timeout to be sent in."""

_PASSING = (429, 500, 502, 503, 504)
_MISSING = ("NoSuchKey", "ResourceNotFound")
_REFUSED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed")
_NO_BUCKET, _BUCKET_EXISTS = "NoSuchBucket", "BucketAlreadyOwnedByYou"
_EXISTS = "PreconditionFailed"
_SEND_AGAIN = ("ConditionalRequestConflict", "OperationAborted", "NoSuchUpload")
"""Answers to a race, or to a repeated request whose first reply was lost: the same call may go through."""

T = TypeVar("T")
_ReadFrom = Callable[[int, str], BaseHTTPResponse]


class MinioStore:
    """Objects of one bucket below an optional prefix."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._bucket = settings.bucket
        self._begin = f"{settings.prefix}/" if settings.prefix else ""
        self._http = _connections(settings)
        self._client = _client(settings, self._http)
        if settings.check_conditional_put:
            self._prove_conditional_put()

    def __repr__(self) -> str:
        return f"MinioStore(s3://{self._bucket}/{self._begin} at {self._settings.endpoint})"

    def close(self) -> None:
        """Give the connections back; the store opens new ones when it is used again."""
        self._http.clear()

    def put(self, key: Key, data: bytes, *, if_absent: bool = False) -> bool:
        """See `Store.put`. A conditional write is one request, whatever its size."""
        if if_absent:
            return self._patiently(key, lambda: self._put_if_absent(key, data))
        self._put_stream(key, lambda: io.BytesIO(data), len(data))
        return True

    def put_file(self, key: Key, path: Path) -> None:
        """See `Store.put_file`."""
        self._put_stream(key, lambda: cast(BinaryIO, path.open("rb")), path.stat().st_size)

    def get(self, key: Key) -> bytes:
        """See `Store.get`."""
        with self.open(key) as stream:
            return stream.read()

    def open(self, key: Key) -> BinaryIO:
        """See `Store.open`. A connection that breaks is taken up again where it broke."""
        stream = _ObjectStream(key, self._read_from(key), self._settings.retries)
        return cast(BinaryIO, io.BufferedReader(stream, 1 << 18))

    def head(self, key: Key) -> ObjectInfo | None:
        """See `Store.head`."""
        try:
            with _translated(key):
                found = self._client.stat_object(self._bucket, self._name(key))
        except ArtifactNotFound:
            return None
        return ObjectInfo(key, cast(int, found.size), _aware(found.last_modified))

    def list(self, prefix: Prefix) -> Iterator[ObjectInfo]:
        """See `Store.list`."""
        with _translated(prefix):
            for found in self._client.list_objects(self._bucket, f"{self._begin}{prefix}", recursive=True):
                try:
                    key = parse_key(cast(str, found.object_name).removeprefix(self._begin))
                except SpecError:
                    continue
                yield ObjectInfo(key, cast(int, found.size), _aware(found.last_modified))

    def delete(self, key: Key) -> None:
        """See `Store.delete`."""
        with _translated(key):
            self._client.remove_object(self._bucket, self._name(key))

    def leftovers(self) -> Iterator[Leftover]:
        """Uploads in parts that nobody completed. MinIO lists none, and removes them itself after a day."""
        with _translated("uploads in parts"):
            found = self._client._list_multipart_uploads(self._bucket, prefix=self._begin)
        for upload in found.uploads:
            yield Leftover(f"{upload.upload_id}:{upload.object_name}", 0, _aware(upload.initiated_time))

    def drop(self, leftover: Leftover) -> None:
        """See `Store.drop`."""
        upload, _, name = leftover.name.partition(":")
        with _translated(leftover.name):
            self._client._abort_multipart_upload(self._bucket, name, upload)

    def _name(self, key: Key) -> str:
        return f"{self._begin}{key}"

    def _put_if_absent(self, key: Key, data: bytes) -> bool:
        headers = {"If-None-Match": "*", "Content-Type": "application/octet-stream"}
        try:
            self._client._put_object(self._bucket, self._name(key), data, headers)  # type: ignore[arg-type]
        except S3Error as error:
            if error.code == _EXISTS:
                return False
            raise
        return True

    def _put_stream(self, key: Key, open_source: Callable[[], BinaryIO], size: int) -> None:
        def put() -> None:
            with open_source() as source:
                self._client.put_object(self._bucket, self._name(key), source, size, part_size=PART_BYTES)

        self._patiently(key, put)

    def _patiently(self, key: Key, call: Callable[[], T]) -> T:
        with _translated(key):
            for _ in range(self._settings.retries):
                try:
                    return call()
                except S3Error as error:
                    if error.code not in _SEND_AGAIN:
                        raise
            return call()

    def _read_from(self, key: Key) -> _ReadFrom:
        def read(offset: int, version: str) -> BaseHTTPResponse:
            same: dict[str, str | list[str] | tuple[str]] = {"If-Match": version} if version else {}
            with _translated(key):
                return self._client.get_object(self._bucket, self._name(key), offset, request_headers=same)

        return read

    def _prove_conditional_put(self) -> None:
        probe = ProbeKey(new_attempt())
        self.put(probe, b"first", if_absent=True)
        replaced = self.put(probe, b"second", if_absent=True)
        self.delete(probe)
        if replaced:
            raise SpecError.of(
                "DISENTANGLEMENT_S3_CHECK_CONDITIONAL_PUT",
                "a store that keeps `If-None-Match: *`, or false here for one worker at a time on each step",
                f"{self._settings.endpoint}, which replaced an object all the same",
            )


def create_bucket(settings: S3Settings) -> bool:
    """Makes the bucket; False where it was there.

    Raises:
        Unavailable, StoreRefused: the server cannot be reached; these credentials may not make a bucket.
    """
    client = _client(settings, _connections(settings))
    with _translated(settings.bucket):
        if client.bucket_exists(settings.bucket):
            return False
        try:
            client.make_bucket(settings.bucket)
        except S3Error as error:
            if error.code != _BUCKET_EXISTS:
                raise
            return False
    return True


class _ObjectStream(io.RawIOBase):
    """The bytes of one version of an object; a broken connection is taken up again where it broke."""

    def __init__(self, key: Key, read_from: _ReadFrom, retries: int) -> None:
        self._key, self._read_from, self._retries = key, read_from, retries
        self._response = read_from(0, "")
        self._version = self._response.headers.get("etag", "")
        self._size = int(self._response.headers["content-length"])
        self._offset = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        data = self._next(min(len(view), self._size - self._offset))
        view[: len(data)] = data
        self._offset += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._response.close()
            self._response.release_conn()
        super().close()

    def _next(self, size: int) -> bytes:
        with _translated(self._key):
            for _ in range(self._retries):
                try:
                    return self._response.read(size) if size else b""
                except HTTPError:
                    self._response.close()
                    self._response = self._read_from(self._offset, self._version)
            return self._response.read(size)


def _connections(settings: S3Settings) -> urllib3.PoolManager:
    retry = urllib3.Retry(
        total=settings.retries,
        backoff_factor=0.2,
        backoff_max=5.0,
        status_forcelist=_PASSING,
        allowed_methods={"DELETE", "GET", "HEAD", "POST", "PUT"},
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    timeout = urllib3.Timeout(connect=settings.connect_timeout_s, read=settings.read_timeout_s)
    return urllib3.PoolManager(maxsize=32, timeout=timeout, retries=retry, ca_certs=settings.ca_file or None)


def _client(settings: S3Settings, http: urllib3.PoolManager) -> Minio:
    try:
        client = Minio(
            settings.endpoint,
            settings.access_key or None,
            settings.secret_key,
            secure=settings.secure,
            region=settings.region,
            http_client=http,
        )
    except ValueError as error:
        raise SpecError.of("DISENTANGLEMENT_S3_ENDPOINT", "host[:port]", settings.endpoint) from error
    if settings.path_style:
        client.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    else:
        client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    return client


def _aware(time: datetime | None) -> datetime:
    return time if time is not None else datetime.fromtimestamp(0, UTC)


@contextmanager
def _translated(what: object) -> Iterator[None]:
    try:
        yield
    except (MinioException, HTTPError) as error:
        kind, message = _ours(error)
        raise kind(f"{what}: {message}") from error


def _ours(error: MinioException | HTTPError) -> tuple[type[DisentanglementError], str]:
    match error:
        case S3Error():
            return _explained(error.code or "", error.response.status, f"{error.code}: {error.message}")
        case ServerError():
            return _explained("", error.status_code, f"the store answered {error.status_code}")
        case InvalidResponseError():
            return _explained("", error._code, f"the store answered {error._code}, and not as S3 does")
        case MaxRetryError(reason=HTTPTimeoutError()) | HTTPTimeoutError():
            return DeadlineExceeded, "no answer in time"
        case MaxRetryError():
            return Unavailable, f"no answer: {error.reason}"
        case _:
            return Unavailable, f"no answer: {error}"


def _explained(code: str, status: int, message: str) -> tuple[type[DisentanglementError], str]:
    """What to do is said with an answer that no other try will change."""
    if code == _NO_BUCKET:
        return (
            StoreRefused,
            f"{message} (make it with `disentangle store create-bucket`, or name another in DISENTANGLEMENT_STORE)",
        )
    kind = _by_answer(code, status)
    if kind is StoreRefused:
        names = "DISENTANGLEMENT_S3_ACCESS_KEY, DISENTANGLEMENT_S3_SECRET_KEY"
        return kind, f"{message} (look at {names} and at what that key may do)"
    return kind, message


def _by_answer(code: str, status: int) -> type[DisentanglementError]:
    if code in _MISSING:
        return ArtifactNotFound
    if code in _REFUSED or status in (401, 403):
        return StoreRefused
    return Unavailable
