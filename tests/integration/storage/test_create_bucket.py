"""`disentangle store create-bucket` and what stands behind it, against the real server."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping

import pytest
from minio_server import S3Server
from typer.testing import CliRunner

from disentanglement.cli.app import app
from disentanglement.errors import StoreRefused, Unavailable
from disentanglement.storage.settings import create_bucket, open_store


@pytest.fixture
def bucket(minio_server: S3Server) -> Iterator[str]:
    """The name of a bucket that is not there yet."""
    name = f"{minio_server.bucket_prefix}-{secrets.token_hex(8)}"
    yield name
    if minio_server.client().bucket_exists(name):
        for found in minio_server.client().list_objects(name, recursive=True):
            minio_server.client().remove_object(name, str(found.object_name))
        minio_server.client().remove_bucket(name)


def environment(server: S3Server, **changes: str) -> Mapping[str, str]:
    names = {"ENDPOINT": server.url, "ACCESS_KEY": server.access_key, "SECRET_KEY": server.secret_key, **changes}
    return {f"DISENTANGLEMENT_S3_{name}": value for name, value in names.items()}


def test_a_bucket_is_made_once(minio_server: S3Server, bucket: str) -> None:
    env = environment(minio_server)
    assert create_bucket(f"s3://{bucket}/prefix", env)
    assert not create_bucket(f"s3://{bucket}/prefix", env)
    open_store(f"s3://{bucket}/prefix", env)


def test_what_a_bucket_holds_survives_the_command(minio_server: S3Server, bucket: str) -> None:
    env = {**environment(minio_server), "DISENTANGLEMENT_STORE": f"s3://{bucket}"}
    runner = CliRunner()
    assert runner.invoke(app, ["store", "create-bucket"], env=env).output == f"s3://{bucket}: made\n"
    minio_server.client()._put_object(bucket, "kept", b"here", {})
    assert runner.invoke(app, ["store", "create-bucket"], env=env).output == f"s3://{bucket}: was there\n"
    assert minio_server.client().get_object(bucket, "kept").data == b"here"


def test_a_wrong_key_is_told_from_a_server_that_is_down(minio_server: S3Server, bucket: str) -> None:
    with pytest.raises(StoreRefused):
        create_bucket(f"s3://{bucket}", environment(minio_server, SECRET_KEY="not-the-secret"))
    with pytest.raises(Unavailable):
        create_bucket(f"s3://{bucket}", environment(minio_server, ENDPOINT="http://127.0.0.1:1"))
