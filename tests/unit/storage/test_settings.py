"""Where the store is: paths, URLs and the environment; what cannot be understood names the field."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from disentanglement.errors import SpecError
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.keys import NameKey
from disentanglement.storage.settings import S3Settings, cache_directory, cache_limit, open_store

SECRETS = {"DISENTANGLEMENT_S3_ACCESS_KEY": "the-access-key", "DISENTANGLEMENT_S3_SECRET_KEY": "the-secret-key"}


def test_a_path_and_a_file_url_are_directories(tmp_path: Path) -> None:
    for where in (str(tmp_path / "a b"), f"file://{tmp_path}/a%20b", f"file://localhost{tmp_path}/a%20b"):
        store = open_store(where, {})
        assert isinstance(store, DirectoryStore)
        assert store.local_path(NameKey("p", "n")) == tmp_path / "a b/projects/p/names/n.json"


def test_the_environment_says_where_when_nobody_else_does(tmp_path: Path) -> None:
    store = open_store(None, {"DISENTANGLEMENT_STORE": str(tmp_path)})
    assert repr(store) == f"DirectoryStore({str(tmp_path)!r})"


def test_a_bucket_takes_from_its_url_and_the_rest_from_the_environment() -> None:
    env = {
        **SECRETS,
        "DISENTANGLEMENT_S3_ENDPOINT": "ignored:1",
        "DISENTANGLEMENT_S3_REGION": "eu-west-1",
        "DISENTANGLEMENT_S3_CA_FILE": "/ca.pem",
    }
    settings = S3Settings.from_url("s3://bucket/some/prefix/?endpoint=minio:9000&secure=false", env)
    assert settings == S3Settings(
        "minio:9000",
        "bucket",
        "some/prefix",
        access_key="the-access-key",
        secret_key="the-secret-key",
        region="eu-west-1",
        ca_file="/ca.pem",
        secure=False,
    )


@pytest.mark.parametrize(
    ("endpoint", "switch", "is_secure"),
    [
        ("minio:9000", "", True),
        ("https://minio:9000", "", True),
        ("http://minio:9000/", "", False),
        ("minio:9000", "no", False),
        ("http://minio:9000", "TRUE", True),
    ],
)
def test_tls_is_used_unless_somebody_says_otherwise(endpoint: str, switch: str, is_secure: bool) -> None:
    env = {"DISENTANGLEMENT_S3_ENDPOINT": endpoint, "DISENTANGLEMENT_S3_SECURE": switch}
    settings = S3Settings.from_url("s3://bucket", env)
    assert (settings.endpoint, settings.secure) == ("minio:9000", is_secure)


def test_no_secret_is_shown() -> None:
    shown = repr(S3Settings.from_url("s3://bucket?endpoint=minio:9000", SECRETS))
    assert "minio:9000" in shown
    assert "the-" not in shown


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("", "DISENTANGLEMENT_STORE"),
        ("gs://bucket", "store"),
        ("file://host/path", "store"),
        ("s3://bucket", "DISENTANGLEMENT_S3_ENDPOINT"),
        ("s3://bucket?endpoint=ftp://minio", "DISENTANGLEMENT_S3_ENDPOINT"),
        ("s3://bucket?endpoint=minio/path", "DISENTANGLEMENT_S3_ENDPOINT"),
        ("s3://Bucket_?endpoint=minio", "store"),
        ("s3://?endpoint=minio", "store"),
        ("s3://bucket?endpoint=minio&secret_key=x", "store"),
        ("s3://bucket?endpoint=minio&secure=maybe", "DISENTANGLEMENT_S3_SECURE"),
    ],
)
def test_what_cannot_be_understood_names_the_field(where: str, named: str) -> None:
    with pytest.raises(SpecError) as raised:
        open_store(where, {})
    assert raised.value.violations[0].field == named


def test_credentials_in_a_url_are_refused_without_repeating_them() -> None:
    with pytest.raises(SpecError, match="environment") as raised:
        open_store("s3://user:hunter2@bucket?endpoint=minio", {})
    assert "hunter2" not in str(raised.value)
    with pytest.raises(SpecError) as raised:
        open_store("s3://bucket?endpoint=user:hunter2@minio", {})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("env", "directory"),
    [
        ({"DISENTANGLEMENT_CACHE": "/c"}, Path("/c")),
        ({"XDG_CACHE_HOME": "/xdg"}, Path("/xdg/disentanglement")),
        ({}, Path.home() / ".cache/disentanglement"),
    ],
)
def test_the_cache_is_where_it_is_said_or_where_caches_are(env: dict[str, str], directory: Path) -> None:
    assert cache_directory(env) == directory


def test_a_directory_needs_no_client_library() -> None:
    program = (
        "import sys; from disentanglement.storage.settings import open_store; from disentanglement.storage import "
        "codes, commit, collector, data_sets; sys.exit(any(name in sys.modules for name in ('minio', 'urllib3')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_cache_keeps_fifty_gib_unless_told_otherwise() -> None:
    assert cache_limit({}) == 50 * 2**30
    assert cache_limit({"DISENTANGLEMENT_CACHE_GIB": "0.5"}) == 2**29
    for wrong in ("much", "-1", "nan", "inf"):
        with pytest.raises(SpecError, match="DISENTANGLEMENT_CACHE_GIB"):
            cache_limit({"DISENTANGLEMENT_CACHE_GIB": wrong})
