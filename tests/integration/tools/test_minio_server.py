"""The real MinIO that other tests rely on."""

from __future__ import annotations

import io

from minio.error import S3Error
from minio_server import S3Server
from pytest import raises


def test_a_fresh_bucket_is_empty_and_keeps_what_is_put_into_it(minio_server: S3Server) -> None:
    client, bucket = minio_server.client(), minio_server.fresh_bucket()
    assert list(client.list_objects(bucket)) == []
    client.put_object(bucket, "key", io.BytesIO(b"value"), 5)
    assert client.get_object(bucket, "key").data == b"value"


def test_two_fresh_buckets_are_never_the_same(minio_server: S3Server) -> None:
    assert minio_server.fresh_bucket() != minio_server.fresh_bucket()


def test_nobody_gets_in_without_the_credentials(minio_server: S3Server) -> None:
    stranger = S3Server(minio_server.endpoint, "stranger", "not-the-secret", minio_server.secure)
    with raises(S3Error, match="InvalidAccessKeyId"):
        stranger.fresh_bucket()
