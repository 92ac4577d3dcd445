"""The admin's pools as the controller reads them, and the Jobs that it makes of them."""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate
import pytest
from manifests import K8S, PodTemplate, named, of_kind, pod_templates, quantity

from disentanglement.cluster.actions import CreateJob
from disentanglement.cluster.manifests import JobSettings, Owner, job_manifest
from disentanglement.cluster.pools import Pools, parse_pools
from disentanglement.specs import STEPS, Step

Items = list[dict[str, Any]]
IMAGE = "DISENTANGLEMENT_{}_IMAGE"
WORKERS = {"train": "trainer", "postprocess": "postprocessor", "evaluate": "evaluator"}


def pools_of(stack: Items) -> Pools:
    """What the controller reads from the ConfigMap."""
    return parse_pools(named(stack, "ConfigMap", "worker-pools")["data"]["pools.yaml"])


def job_of(stack: Items, pool: str, step: Step) -> dict[str, Any]:
    """A Job of a step on a pool, as the controller makes it."""
    images = named(stack, "ConfigMap", "worker-images")["data"]
    work = CreateJob("small-train-0123456789", step, "dsprites_full.beta_vae", (0, 1, 2), 1, "ab" * 32, 0, 3)
    settings = JobSettings(
        owner=Owner("small", "0ff3a1c4-3c3f-4b1e-9c1d-000000000000", "disentanglement"),
        project="default",
        store_study="small",
        images={step: images[IMAGE.format(WORKERS[step].upper())]},
        pools={step: pools_of(stack).pools[pool]},
    )
    return job_manifest(work, settings)


def jobs(stack: Items) -> list[tuple[str, dict[str, Any]]]:
    """A Job of each step on each pool."""
    return [(f"{step} on {name}", job_of(stack, name, step)) for name in pools_of(stack).pools for step in STEPS]


def test_the_pools_are_mounted_where_the_controller_looks_for_them(stack: Items) -> None:
    spec = named(stack, "Deployment", "controller")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "pools")
    assert "subPath" not in mount  # or a changed pool would need a restart
    assert {"name": "pools", "configMap": {"name": "worker-pools"}} in spec["volumes"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["DISENTANGLEMENT_WORKER_POOLS"] == f"{mount['mountPath']}/pools.yaml"


def test_a_trial_needs_no_gpu(rendered: Any) -> None:
    pools = pools_of(rendered("overlays/local"))
    assert all(pool.gpu is None and pool.device == "cpu" for pool in pools.pools.values())


def test_a_cluster_trains_on_spot_gpus_first_and_scores_without_one(rendered: Any) -> None:
    pools = pools_of(rendered("overlays/cluster"))
    spot, on_demand = pools.pools["gpu-spot"], pools.pools["gpu"]
    assert (pools.defaults.train, pools.defaults.evaluate) == ("gpu-spot", "cpu")
    assert spot.gpu is not None
    assert spot.gpu.resource == "nvidia.com/gpu"
    assert spot.device == "cuda"
    assert spot.node_selector.items() > on_demand.node_selector.items()
    assert {t["key"] for t in spot.tolerations} == {"nvidia.com/gpu", "disentanglement.dev/capacity"}
    assert pools.pools["cpu"].gpu is None


@pytest.mark.parametrize("minor", ["1.35", "1.36", "1.37"])
def test_a_job_on_each_pool_is_valid(stack: Items, minor: str) -> None:
    for _, job in jobs(stack):
        kubernetes_validate.validate(job, minor, strict=True)


def test_workers_are_as_unprivileged_as_services(stack: Items) -> None:
    for name, job in jobs(stack):
        (pod,) = pod_templates([job])
        assert pod.spec["securityContext"]["runAsNonRoot"] is True, name
        assert pod.spec["automountServiceAccountToken"] is False, name
        assert pod.spec["serviceAccountName"] == "disentanglement-worker", name
        (container,) = pod.containers
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
        kinds = {kind for volume in pod.spec["volumes"] for kind in volume.keys() - {"name"}}
        assert kinds <= {"emptyDir", "configMap", "persistentVolumeClaim"}, name


def test_workers_have_requests_and_limits_of_cpu_memory_and_disk(stack: Items) -> None:
    for name, job in jobs(stack):
        ((container,),) = [pod.containers for pod in pod_templates([job])]
        for kind in ("requests", "limits"):
            assert {"cpu", "memory", "ephemeral-storage"} <= container["resources"][kind].keys(), name


def test_workers_find_all_that_they_name(stack: Items) -> None:
    classes = {item["metadata"]["name"] for item in of_kind(stack, "PriorityClass")}
    claims = {item["metadata"]["name"] for item in of_kind(stack, "PersistentVolumeClaim")}
    accounts = {item["metadata"]["name"] for item in of_kind(stack, "ServiceAccount")}
    for name, job in jobs(stack):
        (pod,) = pod_templates([job])
        assert pod.spec["priorityClassName"] in classes, name
        assert pod.spec["serviceAccountName"] in accounts, name
        assert _claims(pod) <= claims, name
        mounted = [mount["name"] for mount in pod.containers[0]["volumeMounts"]]
        assert sorted(mounted) == sorted(volume["name"] for volume in pod.spec["volumes"]), name


def test_a_cache_that_workers_share_is_mounted_where_they_look_for_it(rendered: Any) -> None:
    for _, job in jobs(rendered("overlays/cluster")):
        (pod,) = pod_templates([job])
        env = {entry["name"]: entry["value"] for entry in pod.containers[0]["env"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in pod.containers[0]["volumeMounts"]}
        assert _claims(pod) == {"disentanglement-cache"}
        assert mounts[env["DISENTANGLEMENT_CACHE"]] == "cache"


def test_a_cache_of_its_own_fits_in_a_pod(stack: Items) -> None:
    for name, job in jobs(stack):
        (pod,) = pod_templates([job])
        env = {entry["name"]: entry["value"] for entry in pod.containers[0]["env"]}
        if env["DISENTANGLEMENT_CACHE"].startswith("/var/lib/disentanglement/"):
            disk = quantity(pod.containers[0]["resources"]["limits"]["ephemeral-storage"])
            assert float(env["DISENTANGLEMENT_CACHE_GIB"]) * 2**30 < disk, name


def test_the_example_of_an_admin_without_pools_of_his_own_is_read_too() -> None:
    assert parse_pools((K8S / "base/config/pools.yaml").read_text()).defaults.train == "cpu"


def test_every_example_of_the_documentation_is_read() -> None:
    text = (K8S.parent / "docs/worker-pools.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 4
    for example in examples:
        assert parse_pools(example).pools


def _claims(pod: PodTemplate) -> set[str]:
    claims = [volume["persistentVolumeClaim"] for volume in pod.spec["volumes"] if "persistentVolumeClaim" in volume]
    return {claim["claimName"] for claim in claims}
