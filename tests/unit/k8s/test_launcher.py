"""The study without a custom resource: what its Job mounts is what the program reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from manifests import named, pod_templates

from disentanglement.cluster.launcher import read_study
from disentanglement.cluster.manifests import Owner
from disentanglement.cluster.pools import parse_pools

Items = list[dict[str, Any]]
NAME = "launch-small"


@pytest.fixture
def launcher(rendered: Callable[[str], Items]) -> Items:
    """A further namespace and a launcher in it."""
    return rendered("namespace with a launcher")


def test_the_study_that_is_mounted_is_understood(launcher: Items) -> None:
    owner = Owner(NAME, "0ff3a1c4-3c3f-4b1e-9c1d-000000000000", "vision", api_version="batch/v1", kind="Job")
    study = read_study(named(launcher, "ConfigMap", NAME)["data"]["study.yaml"], owner)
    pools = parse_pools(named(launcher, "ConfigMap", "worker-pools")["data"]["pools.yaml"])
    assert study["metadata"]["namespace"] == "vision"
    assert study["spec"]["pool"] in pools.pools


def test_the_job_mounts_what_it_is_told_to_read(launcher: Items) -> None:
    job = named(launcher, "Job", NAME)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    volumes = {volume["name"]: volume for volume in job["spec"]["template"]["spec"]["volumes"]}
    mounted = {
        f"{mount['mountPath']}/{key}"
        for mount in container["volumeMounts"]
        if "configMap" in volumes[mount["name"]] and not volumes[mount["name"]]["configMap"].get("optional")
        for key in named(launcher, "ConfigMap", volumes[mount["name"]]["configMap"]["name"])["data"]
    }
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert container["args"] == ["launch", "/etc/disentanglement-study/study.yaml"]
    assert {container["args"][1], env["DISENTANGLEMENT_WORKER_POOLS"]} == mounted


def test_a_study_that_has_failed_is_not_launched_again_and_a_preempted_launcher_is(launcher: Items) -> None:
    rules = named(launcher, "Job", NAME)["spec"]["podFailurePolicy"]["rules"]
    assert rules[0]["onExitCodes"]["values"] == [1, 2]
    assert rules[0]["action"] == "FailJob"
    assert rules[1]["action"] == "Ignore"


def test_the_launcher_knows_its_pod_and_has_a_token(launcher: Items) -> None:
    (pod,) = (pod for pod in pod_templates(launcher) if pod.name == f"Job/{NAME}")
    assert pod.spec["automountServiceAccountToken"] is True
    field = {"fieldRef": {"fieldPath": "metadata.name"}}
    assert {"name": "POD_NAME", "valueFrom": field} in pod.spec["containers"][0]["env"]
