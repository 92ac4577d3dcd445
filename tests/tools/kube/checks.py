"""What an installation refuses and says: bad Studies, rights, Pod Security, tokens, a bad image, GPUs."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
import tiny_steps
import yaml
from kube.comparison import resource_spec
from kube.installed import NAMESPACE, REPOSITORY, Installed
from kube.rights import check_rights

from disentanglement import Client
from disentanglement.errors import DisentanglementError
from disentanglement.specs import StudySpec

SAID_WITHIN_S = 240.0
GPU_NODE_LABELS = ("nvidia.com/gpu.present=true", "disentanglement.dev/capacity=spot")
GPU_NODE_TAINT = "nvidia.com/gpu=present:NoSchedule"

Change = tuple[Mapping[str, Any], str]
BAD_STUDIES: tuple[Change, ...] = (
    ({"study": "unsupervised_study_v1"}, "exactly one of study and inline"),
    ({"parallelism": 0}, "spec.parallelism"),
    ({"modelsPerPod": "many"}, "spec.modelsPerPod"),
    ({"selection": {"models": "1 to 3"}}, "spec.selection.models"),
    ({"colour": "red"}, 'unknown field "spec.colour"'),
)


def run_checks(installed: Installed, folder: Path) -> str:
    """All of them; how many.

    Raises:
        AssertionError: with what each of those said that failed.
    """
    failed = []
    for check in CHECKS:
        began, said = time.monotonic(), ""
        try:
            check(installed)
        except (AssertionError, TimeoutError, RuntimeError, DisentanglementError) as error:
            said = f": {type(error).__name__}: {error}"
            failed.append(f"{check.__name__}{said}")
        seconds = time.monotonic() - began
        print(f"  {check.__name__.replace('_', ' ')}: {seconds:.0f} s{said}", flush=True)
    assert not failed, "\n".join(failed)
    return f"{len(CHECKS)} groups of checks"


def bad_studies_are_refused_by_field(installed: Installed) -> None:
    """By the API server, before anything is stored."""
    good = resource_spec(_study("refused"))
    for changes, field in BAD_STUDIES:
        said = _applied(installed, "refused", {**good, **changes})
        assert field in said, f"{changes}: {said}"
    assert "refused" not in installed.kubectl("get", "studies", "--output=name")


def what_may_not_change_does_not(installed: Installed) -> None:
    """A Study's models are fixed; its parallelism is not."""
    good = {**resource_spec(_study("fixed")), "paused": True}
    installed.apply_study("fixed", good)
    said = _applied(installed, "fixed", {**good, "modelsPerPod": 2})
    assert "modelsPerPod" in said, said
    installed.apply_study("fixed", {**good, "parallelism": 1})
    installed.wait_for_phase("fixed", "Paused", SAID_WITHIN_S)
    installed.kubectl("delete", "study", "fixed")


def kubectl_explains_a_study(installed: Installed) -> None:
    """With the descriptions of the types."""
    assert "parallelism" in installed.kubectl("explain", "study.spec")
    assert "Pods" in installed.kubectl("explain", "study.spec.parallelism")


def accounts_may_do_what_they_do_alone(installed: Installed) -> None:
    """Every verb on every kind of object, asked of the API server."""
    check_rights(installed.plane.kubectl)


def a_pod_that_may_be_root_is_refused(installed: Installed) -> None:
    """By Pod Security, as the namespace's label asks."""
    container = {"name": "c", "image": "disentanglement/aggregator:0.1.0"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, "spec": {"containers": [container]}}
    said = installed.kubectl("apply", "-f", "-", input=yaml.safe_dump(pod), check=False)
    assert 'violates PodSecurity "restricted' in said, said


def services_are_probed_by_grpc_and_want_a_token(installed: Installed) -> None:
    """Probes need none, on their own port; every other call does."""
    for name in ("trainer", "postprocessor", "evaluator", "aggregator"):
        [container] = installed.pod_of(name)["spec"]["containers"]
        assert "grpc" in container["readinessProbe"]
        assert "grpc" in container["livenessProbe"]
    address = installed.address_of("aggregator", 50050)
    with Client(address, insecure=True) as client, pytest.raises(DisentanglementError, match="token"):
        client.metrics()
    with Client(address, token=installed.token(), insecure=True) as client:
        assert any(metric.name == "mig" for metric in client.metrics())
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(timeout=20)


def a_bad_image_ends_in_a_condition(installed: Installed) -> None:
    """That names the image; and the Study goes on once the image is right."""
    right = installed.get("configmap", "worker-images")["data"]["DISENTANGLEMENT_TRAINER_IMAGE"]
    _use_image(installed, "disentanglement/trainer:absent")
    try:
        installed.apply_study("bad-image", resource_spec(_study("bad_image")))
        installed.wait(
            lambda: "disentanglement/trainer:absent" in _conditions(installed, "bad-image"),
            "no condition names the image",
            SAID_WITHIN_S,
        )
    finally:
        _use_image(installed, right)
    installed.wait_for_phase("bad-image", "Succeeded", SAID_WITHIN_S)
    installed.kubectl("delete", "study", "bad-image")


def an_unknown_pool_ends_in_a_condition(installed: Installed) -> None:
    """That lists the pools there are."""
    installed.apply_study("no-pool", {**resource_spec(_study("no_pool")), "pool": "moon"})
    installed.wait(lambda: "moon" in _conditions(installed, "no-pool"), "no condition", SAID_WITHIN_S)
    assert "cpu" in _conditions(installed, "no-pool")
    installed.kubectl("delete", "study", "no-pool")


def a_queue_without_kueue_ends_in_a_condition(installed: Installed) -> None:
    """Never a Job that is suspended for ever."""
    installed.apply_study("queued", {**resource_spec(_study("queued")), "queue": "research"})
    installed.wait(lambda: "Kueue" in _conditions(installed, "queued"), "no condition", SAID_WITHIN_S)
    assert not installed.items("jobs", "disentanglement.dev/study=queued")
    installed.kubectl("delete", "study", "queued")


def the_cluster_overlay_schedules_on_a_gpu(installed: Installed) -> None:
    """Its pools, on a node that says it has GPUs; torch finds none there and says so, and nothing runs on the CPU."""
    before = installed.get("configmap", "worker-pools")["data"]["pools.yaml"]
    node = installed.cluster.nodes[-1].name
    patch = '[{"op": "add", "path": "/status/capacity/nvidia.com~1gpu", "value": "2"}]'
    installed.kubectl("patch", "node", node, "--subresource=status", "--type=json", f"--patch={patch}")
    installed.kubectl("label", "node", node, *GPU_NODE_LABELS)
    installed.kubectl("taint", "node", node, GPU_NODE_TAINT)
    try:
        _use_pools(installed, _cluster_pools(installed))
        installed.apply_study("on-gpu", resource_spec(_study("on_gpu")))
        selector = "disentanglement.dev/study=on-gpu"
        installed.wait(
            lambda: any(pod["spec"].get("nodeName") == node for pod in installed.items("pods", selector)),
            "no pod on the GPU's node",
            SAID_WITHIN_S,
        )
        pod = installed.items("pods", selector)[0]
        assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
        installed.wait(lambda: "CUDA" in _said_of(installed, "on-gpu"), "nothing tells of CUDA", SAID_WITHIN_S)
    finally:
        installed.kubectl("delete", "study", "on-gpu", "--ignore-not-found")
        _use_pools(installed, before)
        installed.kubectl("taint", "node", node, f"{GPU_NODE_TAINT}-")


CHECKS = (
    bad_studies_are_refused_by_field,
    what_may_not_change_does_not,
    kubectl_explains_a_study,
    accounts_may_do_what_they_do_alone,
    a_pod_that_may_be_root_is_refused,
    services_are_probed_by_grpc_and_want_a_token,
    an_unknown_pool_ends_in_a_condition,
    a_queue_without_kueue_ends_in_a_condition,
    a_bad_image_ends_in_a_condition,
    the_cluster_overlay_schedules_on_a_gpu,
)


def _study(name: str) -> StudySpec:
    """One model that no other study has: what is computed is not computed again, and nothing would be waited for."""
    return tiny_steps.study(name=name, grid=None, model__random_seed=1000 + zlib.crc32(name.encode()) % 1000)


def _applied(installed: Installed, name: str, spec: Mapping[str, Any]) -> str:
    metadata = {"name": name, "namespace": NAMESPACE}
    item = {"apiVersion": "disentanglement.dev/v1alpha1", "kind": "Study", "metadata": metadata, "spec": spec}
    return installed.kubectl("apply", "--validate=strict", "-f", "-", input=yaml.safe_dump(item), check=False)


def _conditions(installed: Installed, study: str) -> str:
    conditions = installed.get("study", study).get("status", {}).get("conditions", [])
    return "\n".join(f"{each['type']} {each['reason']} {each.get('message', '')}" for each in conditions)


def _said_of(installed: Installed, study: str) -> str:
    return yaml.safe_dump(installed.get("study", study).get("status", {}))


def _use_image(installed: Installed, image: str) -> None:
    patch = f'{{"data": {{"DISENTANGLEMENT_TRAINER_IMAGE": "{image}"}}}}'
    installed.kubectl("patch", "configmap", "worker-images", "--type=merge", f"--patch={patch}")
    _restart_controller(installed)


def _use_pools(installed: Installed, pools: str) -> None:
    patch = yaml.safe_dump({"data": {"pools.yaml": pools}})
    installed.kubectl("patch", "configmap", "worker-pools", "--type=merge", f"--patch={patch}")
    _restart_controller(installed)


def _restart_controller(installed: Installed) -> None:
    installed.kubectl("rollout", "restart", "deployment/controller")
    installed.kubectl("rollout", "status", "deployment/controller", "--timeout=120s")


def _cluster_pools(installed: Installed) -> str:
    """The overlay's own, with requests that fit this machine and its disk in place of a shared volume."""
    rendered = yaml.safe_load_all(installed.plane.kubectl("kustomize", REPOSITORY / "k8s" / "overlays" / "cluster"))
    [config] = [item for item in rendered if item["kind"] == "ConfigMap" and item["metadata"]["name"] == "worker-pools"]
    pools = yaml.safe_load(config["data"]["pools.yaml"])
    for pool in pools["pools"].values():
        pool["resources"] = {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "2Gi"}}
        for volume in pool["volumes"]:
            if "persistentVolumeClaim" in volume:
                del volume["persistentVolumeClaim"]
                volume["emptyDir"] = {}
    return str(yaml.safe_dump(pools))
