"""What the answers of a bucket mean: nothing there, not let in, or not now."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from minio.error import S3Error

from disentanglement.errors import ArtifactNotFound, DisentanglementError, StoreRefused, Unavailable
from disentanglement.specs import StepKey
from disentanglement.storage.keys import ManifestKey
from disentanglement.storage.minio_store import MinioStore
from disentanglement.storage.settings import S3Settings

KEY = ManifestKey("train", StepKey("dsprites_full", "beta_vae", "a" * 52))


def answer(code: str, status: int) -> S3Error:
    response: Any = mock.Mock(status=status)
    return S3Error(response, code, "said so", "", "", "")


@pytest.mark.parametrize(
    ("code", "status", "kind", "told"),
    [
        ("NoSuchKey", 404, ArtifactNotFound, "NoSuchKey"),
        ("NoSuchBucket", 404, StoreRefused, "NoSuchBucket.*make it.*DISENTANGLEMENT_STORE"),
        ("AccessDenied", 403, StoreRefused, "AccessDenied.*DISENTANGLEMENT_S3_ACCESS_KEY"),
        ("InvalidAccessKeyId", 403, StoreRefused, "DISENTANGLEMENT_S3_SECRET_KEY"),
        ("SlowDown", 503, Unavailable, "SlowDown"),
    ],
)
def test_an_answer_becomes_the_error_that_says_what_to_do(
    code: str, status: int, kind: type[DisentanglementError], told: str
) -> None:
    store = MinioStore(S3Settings("localhost:1", "bucket", check_conditional_put=False))
    with (
        mock.patch.object(store._client, "get_object", side_effect=answer(code, status)),
        pytest.raises(DisentanglementError, match=told) as raised,
    ):
        store.get(KEY)
    assert type(raised.value) is kind
