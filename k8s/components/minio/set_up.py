"""Makes the bucket, the users and their policies in a fresh MinIO; done again, it changes nothing.

Environment: DISENTANGLEMENT_STORE, DISENTANGLEMENT_S3_ENDPOINT, MINIO_ROOT_USER, MINIO_ROOT_PASSWORD, and of each role
{WORKER,CONTROLLER,COLLECTOR}_DISENTANGLEMENT_S3_{ACCESS_KEY,SECRET_KEY}. A policy beside this file names the bucket
`disentanglement`, which is replaced by what the store's address says: a bucket, or a bucket and a prefix.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3
from minio import Minio, MinioAdmin
from minio.credentials import StaticProvider
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from disentanglement.storage.settings import S3Settings

ROLES = ("worker", "controller", "collector")
BUCKET_ARN = "arn:aws:s3:::disentanglement"
READY_WITHIN_S, TRY_EVERY_S = 120.0, 1.0


def main(env: Mapping[str, str]) -> int:
    """The exit status: 1 where the server was not ready in time or refuses something."""
    settings = S3Settings.from_url(env["DISENTANGLEMENT_STORE"], env)
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            set_up(settings, env)
            return 0
        except (MinioException, HTTPError) as error:
            if time.monotonic() > deadline:
                sys.stderr.write(f"{settings.endpoint}: {error}\n")
                return 1
            time.sleep(TRY_EVERY_S)


def set_up(settings: S3Settings, env: Mapping[str, str]) -> None:
    """Everything, once."""
    user, password = env["MINIO_ROOT_USER"], env["MINIO_ROOT_PASSWORD"]
    connections = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5.0, read=20.0), retries=False)
    client = Minio(
        settings.endpoint, user, password, secure=settings.secure, region=settings.region, http_client=connections
    )
    admin = MinioAdmin(
        endpoint=settings.endpoint,
        credentials=StaticProvider(user, password),
        region=settings.region,
        secure=settings.secure,
        http_client=connections,
    )
    if not client.bucket_exists(settings.bucket):
        client.make_bucket(settings.bucket)
    for role in ROLES:
        access_key = env[f"{role.upper()}_DISENTANGLEMENT_S3_ACCESS_KEY"]
        admin.user_add(access_key, env[f"{role.upper()}_DISENTANGLEMENT_S3_SECRET_KEY"])
        admin.policy_add(f"disentanglement-{role}", policy=policy_of(role, settings))
        if f"disentanglement-{role}" not in json.loads(admin.user_info(access_key)).get("policyName", ""):
            admin.policy_set(f"disentanglement-{role}", user=access_key)
        sys.stdout.write(f"{role}: user {access_key} with policy disentanglement-{role}\n")


def policy_of(role: str, settings: S3Settings) -> dict[str, Any]:
    """The role's rights, in this bucket and below this prefix."""
    text = (Path(__file__).parent / f"{role}.json").read_text()
    below = f"{settings.bucket}/{settings.prefix}" if settings.prefix else settings.bucket
    text = text.replace(f'"{BUCKET_ARN}"', f'"arn:aws:s3:::{settings.bucket}"')
    policy: dict[str, Any] = json.loads(text.replace(f"{BUCKET_ARN}/", f"arn:aws:s3:::{below}/"))
    return policy


if __name__ == "__main__":
    sys.exit(main(os.environ))
