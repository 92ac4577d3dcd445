"""Stores for the behavioural suite: a directory, and a bucket of the real server, both empty for each test."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.minio_store import MinioStore
from disentanglement.storage.settings import S3Settings
from disentanglement.storage.store import Store
from minio import Minio


@pytest.fixture(scope="session")
def bucket_settings(minio_server: Any) -> S3Settings:
    """A bucket of this test run."""
    settings = S3Settings(
        minio_server.endpoint,
        bucket=f"test-{secrets.token_hex(6)}",
        access_key=minio_server.access_key,
        secret_key=minio_server.secret_key,
        secure=minio_server.secure,
    )
    client = Minio(settings.endpoint, settings.access_key, settings.secret_key, secure=settings.secure)
    client.make_bucket(settings.bucket)
    return settings


@pytest.fixture
def open_bucket(bucket_settings: S3Settings) -> Iterator[Callable[..., MinioStore]]:
    """Opens stores below a prefix of the test's own; keyword arguments replace settings."""
    from dataclasses import replace

    prefix = secrets.token_hex(4)
    opened: list[MinioStore] = []

    def open_it(**changes: Any) -> MinioStore:
        opened.append(MinioStore(replace(bucket_settings, **{"prefix": prefix, **changes})))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture(params=["directory", "minio"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store, of either kind."""
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    opened: MinioStore = request.getfixturevalue("open_bucket")()
    return opened
