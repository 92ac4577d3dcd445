"""Where the store and the local cache are. No number depends on these values."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from disentanglement.errors import SpecError
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.store import Store

STORE_VARIABLE = "DISENTANGLEMENT_STORE"
CACHE_VARIABLE = "DISENTANGLEMENT_CACHE"
CACHE_LIMIT_VARIABLE = "DISENTANGLEMENT_CACHE_GIB"
DEFAULT_CACHE_GIB = 50.0
DEFAULT_STORE = ".disentangle/store"
_S3_OPTIONS = ("endpoint", "region", "secure", "ca_file", "path_style", "check_conditional_put")
_SWITCHES = ("secure", "path_style", "check_conditional_put")
_BOOLEANS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class S3Settings:
    """A bucket: `endpoint` is `host[:port]`; credentials never appear in a repr, a log line or a URL."""

    endpoint: str
    bucket: str
    prefix: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    region: str = "us-east-1"
    secure: bool = True
    ca_file: str = ""
    path_style: bool = True
    check_conditional_put: bool = True
    """False says out loud that a store which ignores conditional writes will do."""

    connect_timeout_s: float = 10.0
    """Also bounds the sending of one part (8 MiB): the HTTP library counts it as part of connecting."""

    read_timeout_s: float = 30.0
    retries: int = 4

    @classmethod
    def from_url(cls, url: str, env: Mapping[str, str]) -> S3Settings:
        """What `s3://bucket/prefix?endpoint=...` and the environment give; the URL goes first."""
        parts = urlsplit(url)
        options = _options(parts)
        given = _from_environment(env) | options
        scheme, endpoint = _endpoint(given.pop("endpoint", ""))
        booleans = {name: _boolean(name, given.pop(name)) for name in _SWITCHES if name in given}
        booleans.setdefault("secure", scheme != "http")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc):
            raise SpecError.of("store", "s3://bucket/prefix with a bucket's name", repr(parts.netloc))
        return cls(endpoint, parts.netloc, unquote(parts.path).strip("/"), **given, **booleans)  # type: ignore[arg-type]


def open_store(where: str | None = None, env: Mapping[str, str] | None = None) -> Store:
    """The store at `where`: a path, `file:///path` or `s3://bucket/prefix?endpoint=host:port`.

    Without `where`, the variable DISENTANGLEMENT_STORE says it. A bucket takes what its URL leaves out from
    DISENTANGLEMENT_S3_{ENDPOINT,ACCESS_KEY,SECRET_KEY,REGION,SECURE,CA_FILE,PATH_STYLE,CHECK_CONDITIONAL_PUT}.

    Raises:
        SpecError: the place or an option cannot be understood, or the bucket ignores conditional writes.
        Unavailable, StoreRefused: the store cannot be reached; not with these credentials, or has no such bucket.
    """
    env = os.environ if env is None else env
    where = where or env.get(STORE_VARIABLE, "")
    scheme, _, rest = where.partition("://")
    if not where:
        raise SpecError.of(STORE_VARIABLE, "a path, file:///path or s3://bucket/prefix", "nothing")
    if not rest:
        return DirectoryStore(Path(where).expanduser())
    if scheme == "file":
        return DirectoryStore(_file_path(where))
    if scheme == "s3":
        from disentanglement.storage.minio_store import MinioStore  # the core imports no client library

        return MinioStore(S3Settings.from_url(where, env))
    raise SpecError.of("store", "a path, file:///path or s3://bucket/prefix", f"{scheme}://...")


def create_bucket(where: str, env: Mapping[str, str] | None = None) -> bool:
    """Makes the bucket of `s3://bucket/prefix`; False where it was there.

    Raises:
        SpecError: it is no bucket's address, or an option cannot be understood.
        Unavailable, StoreRefused: the server cannot be reached, or does not let us.
    """
    if not where.startswith("s3://"):
        raise SpecError.of("store", "s3://bucket/prefix (a directory is made by itself)", where)
    from disentanglement.storage import minio_store  # the core imports no client library

    return minio_store.create_bucket(S3Settings.from_url(where, os.environ if env is None else env))


def default_store(env: Mapping[str, str]) -> str:
    """What DISENTANGLEMENT_STORE says, else a directory below the current one."""
    return env.get(STORE_VARIABLE) or DEFAULT_STORE


def cache_directory(env: Mapping[str, str] | None = None) -> Path:
    """Where verified copies of files are kept: DISENTANGLEMENT_CACHE, else below the XDG cache home."""
    env = os.environ if env is None else env
    if given := env.get(CACHE_VARIABLE):
        return Path(given).expanduser()
    home = env.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "disentanglement"


def cache_limit(env: Mapping[str, str] | None = None) -> int:
    """How many bytes the local cache keeps: DISENTANGLEMENT_CACHE_GIB (50) times 2^30."""
    given = (os.environ if env is None else env).get(CACHE_LIMIT_VARIABLE) or str(DEFAULT_CACHE_GIB)
    try:
        gib = float(given)
    except ValueError:
        gib = math.nan
    if not 0 <= gib < math.inf:
        raise SpecError.of(CACHE_LIMIT_VARIABLE, "a number of GiB, 0 or more", repr(given))
    return int(gib * 2**30)


def _file_path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise SpecError.of("store", "file:///absolute/path", url)
    return Path(unquote(parts.path))


def _from_environment(env: Mapping[str, str]) -> dict[str, str]:
    names = {name: f"DISENTANGLEMENT_S3_{name.upper()}" for name in (*_S3_OPTIONS, "access_key", "secret_key")}
    return {name: env[variable] for name, variable in names.items() if env.get(variable)}


def _options(parts: SplitResult) -> dict[str, str]:
    if "@" in parts.netloc:
        raise SpecError.of("store", "a URL without credentials (they come from the environment)", "user@...")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - set(_S3_OPTIONS)):
        raise SpecError.of("store", f"options among {', '.join(_S3_OPTIONS)}", ", ".join(unknown))
    return options


def _endpoint(text: str) -> tuple[str, str]:
    scheme, separator, host = text.rpartition("://")
    host = host.rstrip("/")
    if not host or "/" in host or "@" in host or (separator and scheme not in ("http", "https")):
        raise SpecError.of("DISENTANGLEMENT_S3_ENDPOINT", "[http(s)://]host[:port]", repr(host.rpartition("@")[2]))
    return scheme, host


def _boolean(name: str, text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise SpecError.of(f"DISENTANGLEMENT_S3_{name.upper()}", "true or false", repr(text)) from None
