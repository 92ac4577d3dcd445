"""Stores for the behavioural suite: a directory, and a bucket of the real server, both empty for each test."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from minio_server import S3Server

from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.minio_store import MinioStore
from disentanglement.storage.settings import S3Settings
from disentanglement.storage.store import Store


@pytest.fixture(scope="session")
def bucket_settings(minio_server: S3Server) -> S3Settings:
    """A bucket of this test run."""
    return S3Settings(
        minio_server.endpoint,
        bucket=minio_server.fresh_bucket(),
        access_key=minio_server.access_key,
        secret_key=minio_server.secret_key,
        secure=minio_server.secure,
    )


@pytest.fixture
def open_bucket(bucket_settings: S3Settings) -> Iterator[Callable[..., MinioStore]]:
    """Opens stores below a prefix of the test's own; keyword arguments replace settings."""
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
