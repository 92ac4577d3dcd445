"""The S3 endpoint that a developer names for the tests, instead of the one that they start."""

from __future__ import annotations

from minio_server import S3Server, given_server
from pytest import mark

KEYS = {"DISENTANGLEMENT_TEST_S3_ACCESS_KEY": "me", "DISENTANGLEMENT_TEST_S3_SECRET_KEY": "secret"}


def test_no_endpoint_means_that_the_tests_start_their_own() -> None:
    assert given_server(KEYS) is None


@mark.parametrize(
    ("endpoint", "secure"),
    [("s3.test:9000", False), ("http://s3.test:9000", False), ("https://s3.test:9000/", True)],
)
def test_the_scheme_of_the_endpoint_says_whether_it_is_encrypted(endpoint: str, secure: bool) -> None:
    given = given_server({**KEYS, "DISENTANGLEMENT_TEST_S3_ENDPOINT": endpoint})
    assert given == S3Server("s3.test:9000", "me", "secret", secure)


def test_a_given_bucket_is_what_the_names_of_fresh_buckets_begin_with() -> None:
    given = given_server(
        {**KEYS, "DISENTANGLEMENT_TEST_S3_ENDPOINT": "s3.test", "DISENTANGLEMENT_TEST_S3_BUCKET": "mine"}
    )
    assert given is not None
    assert given.bucket_prefix == "mine"
