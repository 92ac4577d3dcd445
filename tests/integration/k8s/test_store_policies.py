"""The set-up of a trial's MinIO, on a real one: what each role may do in the store, and what it may not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from manifests import K8S
from minio_server import S3Server, given_server

from disentanglement.errors import StoreRefused
from disentanglement.specs import StepKey
from disentanglement.storage.keys import (
    ArtifactKey,
    CodesManifestKey,
    DatasetKey,
    FailureKey,
    Key,
    ManifestKey,
    PlanKey,
    ProbeKey,
    StudyKey,
    UploadKey,
    new_attempt,
)
from disentanglement.storage.settings import open_store
from disentanglement.storage.store import Store

ROLES = ("worker", "controller", "collector")
STEP_KEY = StepKey("dsprites_full", "beta_vae", "a" * 52)
DIGEST = "ab" * 32
KEYS: dict[str, Key] = {
    "data set": DatasetKey("dsprites_full", DIGEST, "card.json"),
    "plan": PlanKey(DIGEST, "dsprites_full.beta_vae"),
    "study": StudyKey("default", "small"),
    "failure": FailureKey("default", "small", "train", STEP_KEY),
    "manifest": ManifestKey("train", STEP_KEY),
    "attempt": ArtifactKey("train", STEP_KEY, "0" * 16, "model.safetensors"),
    "codes": CodesManifestKey(STEP_KEY, DIGEST),
    "upload": UploadKey(DIGEST),
    "probe": ProbeKey(new_attempt()),
}
MAY_WRITE = {
    "worker": {"failure", "manifest", "attempt", "codes", "upload", "probe"},
    "controller": {"data set", "plan", "study", "failure", "probe"},
    "collector": {"probe"},
}
MAY_DELETE = {
    "worker": {"attempt", "codes", "probe"},
    "controller": {"study", "failure", "codes", "probe"},
    "collector": {"data set", "attempt", "codes", "upload", "probe"},
}


@dataclass(frozen=True, slots=True)
class SetUp:
    """A MinIO with the bucket and the users of a trial."""

    root: Store
    roles: dict[str, Store]
    run: Callable[[], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module", params=["", "/some/prefix"], ids=["a bucket", "a prefix"])
def trial(request: pytest.FixtureRequest, minio_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> SetUp:
    """What the Job minio-set-up makes, run as it is mounted: one folder with the script and the policies."""
    if given_server(os.environ):
        pytest.skip("minio: users and policies are made in a server of our own alone")
    folder = tmp_path_factory.mktemp("set-up")
    for path in (K8S / "components/minio/set_up.py", *sorted((K8S / "components/minio/policies").iterdir())):
        shutil.copy(path, folder)
    bucket = f"{minio_server.bucket_prefix}-{bool(request.param):d}-{new_attempt()}"
    place = {"DISENTANGLEMENT_STORE": f"s3://{bucket}{request.param}", "DISENTANGLEMENT_S3_ENDPOINT": minio_server.url}
    keys = {role: (f"{bucket[-20:]}-{role}", f"secret-of-{role}") for role in ROLES}

    def credentials(access_key: str, secret_key: str, prefix: str = "") -> dict[str, str]:
        name = f"{prefix}DISENTANGLEMENT_S3"
        return {f"{name}_ACCESS_KEY": access_key, f"{name}_SECRET_KEY": secret_key}

    env = {**place, "MINIO_ROOT_USER": minio_server.access_key, "MINIO_ROOT_PASSWORD": minio_server.secret_key}
    for role in ROLES:
        env |= credentials(*keys[role], prefix=f"{role.upper()}_")

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(folder / "set_up.py")]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)

    run()
    root = open_store(env={**place, **credentials(minio_server.access_key, minio_server.secret_key)})
    return SetUp(root, {role: open_store(env={**place, **credentials(*keys[role])}) for role in ROLES}, run)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("what", KEYS)
def test_a_role_writes_what_is_its_work(trial: SetUp, role: str, what: str) -> None:
    if what in MAY_WRITE[role]:
        assert trial.roles[role].put(KEYS[what], b"work")
        assert trial.root.get(KEYS[what]) == b"work"
    else:
        with pytest.raises(StoreRefused):
            trial.roles[role].put(KEYS[what], b"work")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("what", KEYS)
def test_a_role_removes_what_it_may(trial: SetUp, role: str, what: str) -> None:
    trial.root.put(KEYS[what], b"work")
    if what in MAY_DELETE[role]:
        trial.roles[role].delete(KEYS[what])
        assert trial.root.head(KEYS[what]) is None
    else:
        with pytest.raises(StoreRefused):
            trial.roles[role].delete(KEYS[what])


@pytest.mark.parametrize("role", ROLES)
def test_every_role_reads_all(trial: SetUp, role: str) -> None:
    for key in KEYS.values():
        trial.root.put(key, b"work")
        assert trial.roles[role].get(key) == b"work"
    trial.root.delete(KEYS["manifest"])
    assert trial.roles[role].head(KEYS["manifest"]) is None


def test_the_set_up_may_run_again(trial: SetUp) -> None:
    assert [line.partition(":")[0] for line in trial.run().stdout.splitlines()] == list(ROLES)


def test_the_policies_of_an_admin_name_one_bucket_and_no_wildcard_action() -> None:

    for path in sorted((K8S / "components/minio/policies").iterdir()):
        for statement in json.loads(path.read_text())["Statement"]:
            assert statement["Effect"] == "Allow"
            assert not any("*" in action for action in statement["Action"])
            assert all(name.startswith("arn:aws:s3:::disentanglement") for name in statement["Resource"])
