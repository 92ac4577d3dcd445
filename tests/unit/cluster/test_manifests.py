"""Jobs as the API takes them, and pools as an admin writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from disentanglement.cluster.actions import CreateJob, UpdateJob
from disentanglement.cluster.manifests import JobSettings, Owner, job_manifest, job_patch
from disentanglement.cluster.pools import Pools, parse_pools
from disentanglement.cluster.state import JobView
from disentanglement.errors import SpecError
from disentanglement.specs import Step
from disentanglement.steps.one_shot import ExitCode

POOLS = parse_pools(
    """
pools:
  gpu:
    device: cuda
    nodeSelector: {pool: gpu}
    tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
    gpu: {resource: nvidia.com/gpu, count: 1}
    runtimeClassName: nvidia
    priorityClassName: studies
    imagePullSecrets: [registry]
    resources: {requests: {cpu: "4", memory: 16Gi}, limits: {memory: 32Gi}}
    env: &env [{name: DISENTANGLEMENT_CACHE, value: /cache}]
    volumes: [{name: cache, persistentVolumeClaim: {claimName: cache}}]
    volumeMounts: [{name: cache, mountPath: /cache}]
  cpu:
    resources: {requests: {cpu: "2", memory: 4Gi}, limits: {memory: 8Gi}}
    env: *env
defaults: {train: gpu, postprocess: gpu, evaluate: cpu}
"""
)
KUSTOMIZED = sorted((Path(__file__).parents[3] / "k8s").rglob("pools.yaml"))
CREATE = CreateJob(
    name="quick-start-dsprites-full-beta-vae-train-0123456789",
    step="train",
    cell="dsprites_full.beta_vae",
    models=(0, 1, 2, 5, 6),
    pack=2,
    plan="d" * 64,
    generation=1,
    parallelism=2,
    with_codes=True,
)


def settings(**changes: Any) -> JobSettings:
    steps: tuple[Step, ...] = ("train", "postprocess", "evaluate")
    given: dict[str, Any] = {
        "owner": Owner("quick-start", "uid-1", "disentanglement"),
        "project": "default",
        "store_study": "quick_start",
        "images": {step: f"disentanglement/{step}:0.1.0" for step in steps},
        "pools": {step: POOLS.named("", step, field="spec.pool") for step in steps},
    }
    return JobSettings(**{**given, **changes})


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    return pod


def container_of(job: dict[str, Any]) -> dict[str, Any]:
    [container] = pod_of(job)["containers"]
    assert isinstance(container, dict)
    return container


def test_each_group_is_an_index_and_one_that_fails_stops_no_other() -> None:
    spec = job_manifest(CREATE, settings())["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 2)
    assert spec["maxFailedIndexes"] == spec["completions"]
    assert spec["podReplacementPolicy"] == "Failed"
    assert "activeDeadlineSeconds" not in spec
    assert "ttlSecondsAfterFinished" not in spec, "a Job is forgotten once its failures are written down, not before"
    assert "suspend" not in spec


def test_a_preempted_pod_is_not_counted_a_refused_one_fails_its_index_another_contract_the_job() -> None:
    rules = job_manifest(CREATE, settings())["spec"]["podFailurePolicy"]["rules"]
    by_exit = {rule["onExitCodes"]["values"][0]: rule["action"] for rule in rules if "onExitCodes" in rule}
    assert by_exit == {ExitCode.FAILED: "FailIndex", ExitCode.OTHER_CONTRACT: "FailJob"}
    [ignored] = [rule for rule in rules if rule["action"] == "Ignore"]
    assert ignored["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_the_worker_is_told_its_group() -> None:
    words = container_of(job_manifest(CREATE, settings()))["args"]
    assert words == (
        f"run --study quick_start --project default --plan {'d' * 64} --cell dsprites_full.beta_vae "
        "--models 0-2,5-6 --pack 2 --index $(JOB_COMPLETION_INDEX) --with-codes"
    ).split(" ")


def test_a_worker_has_no_right_and_can_write_nothing_but_its_scratch_space() -> None:
    job = job_manifest(CREATE, settings())
    pod, container = pod_of(job), container_of(job)
    assert pod["serviceAccountName"] == "disentanglement-worker"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [source for source in container["envFrom"]] == [
        {"configMapRef": {"name": "disentanglement-store"}},
        {"secretRef": {"name": "disentanglement-store-worker"}},
    ]
    assert pod["terminationGracePeriodSeconds"] >= 60
    assert pod["restartPolicy"] == "Never"


def test_the_pool_decides_where_a_step_runs() -> None:
    train = job_manifest(CREATE, settings())
    pod, container = pod_of(train), container_of(train)
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert pod["runtimeClassName"] == "nvidia"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert container["resources"]["limits"] == {"memory": "32Gi", "nvidia.com/gpu": "1"}
    assert container["resources"]["requests"] == {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}
    assert {"name": "DISENTANGLEMENT_DEVICE", "value": "cuda"} in container["env"]
    assert [each for each in container["env"] if each["name"] == "DISENTANGLEMENT_CACHE"] == [
        {"name": "DISENTANGLEMENT_CACHE", "value": "/cache"}
    ]
    evaluate = container_of(job_manifest(_with(step="evaluate", with_codes=False), settings()))
    assert "nvidia.com/gpu" not in evaluate["resources"]["limits"]
    assert evaluate["image"] == "disentanglement/evaluate:0.1.0"
    assert "--with-codes" not in evaluate["args"]


def test_a_queue_gets_the_job_suspended_and_labelled() -> None:
    job = job_manifest(CREATE, settings(queue="team", priority_class="high"))
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert job["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "high"
    assert pod_of(job)["priorityClassName"] == "studies", "high is Kueue's, not a class of pods"


def test_a_priority_class_without_a_queue_is_that_of_the_pods() -> None:
    assert pod_of(job_manifest(CREATE, settings(priority_class="high")))["priorityClassName"] == "high"


def test_a_job_goes_with_its_study() -> None:
    [owner] = job_manifest(CREATE, settings())["metadata"]["ownerReferences"]
    assert owner["uid"] == "uid-1"
    assert (owner["apiVersion"], owner["kind"]) == ("disentanglement.dev/v1alpha1", "Study")
    assert owner["controller"] is True


@pytest.mark.parametrize("cell", ["dsprites_full.beta_vae", "a" * 50 + "." + "b" * 50])
def test_a_job_is_read_back_as_it_was_made(cell: str) -> None:
    made = _with(cell=cell)
    item = job_manifest(made, settings(queue="team"))
    item["status"] = {
        "active": 1,
        "terminating": 1,
        "completedIndexes": "0,2",
        "failedIndexes": "1",
        "conditions": [
            {"type": "FailureTarget", "status": "True", "reason": "FailedIndexes"},
            {
                "type": "Failed",
                "status": "True",
                "reason": "FailedIndexes",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            },
        ],
    }
    view = JobView.from_object(item)
    assert view is not None
    assert (view.step, view.cell, view.models, view.pack) == (made.step, cell, made.models, made.pack)
    assert (view.plan, view.generation, view.parallelism) == (made.plan, made.generation, made.parallelism)
    assert (sorted(view.completed), sorted(view.failed)) == ([0, 2], [1])
    assert (view.end, view.end_reason, view.is_given_up) == ("Failed", "FailedIndexes", False)
    assert view.is_suspended
    assert view.is_queued
    assert view.image == "disentanglement/train:0.1.0"
    assert all(len(value) <= 63 for value in item["metadata"]["labels"].values())


def test_a_job_that_is_about_to_fail_has_not_ended() -> None:
    item = job_manifest(CREATE, settings())
    item["status"] = {"conditions": [{"type": "FailureTarget", "status": "True"}], "completedIndexes": ""}
    view = JobView.from_object(item)
    assert view is not None
    assert not view.is_finished
    assert view.remaining == 3


def test_other_peoples_jobs_are_not_ours() -> None:
    assert JobView.from_object({"metadata": {"name": "other"}, "spec": {}}) is None


def test_a_patch_has_what_changes_and_no_more() -> None:
    assert job_patch(UpdateJob("x", ttl_s=0)) == {"spec": {"ttlSecondsAfterFinished": 0}}
    assert job_patch(UpdateJob("x", parallelism=0, suspend=False)) == {"spec": {"parallelism": 0, "suspend": False}}


@pytest.mark.parametrize("path", KUSTOMIZED, ids=lambda path: str(path.parent.name))
def test_the_pools_that_we_ship_are_pools(path: Path) -> None:
    assert isinstance(parse_pools(path.read_text()), Pools)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"defaults": {"train": "tpu", "postprocess": "cpu", "evaluate": "cpu"}},
            "defaults.train to be one of the pools",
        ),
        ({"pools": {"cpu": {"resources": {"limits": {}}}}}, "resources.limits.memory"),
        ({"pools": {"cpu": {"resources": {"limits": {"memory": "1Gi"}}, "gpus": 1}}}, "pools.cpu.gpus: wanted a known"),
        ({"pools": {}}, "pools.yaml.pools"),
    ],
)
def test_what_is_wrong_with_pools_is_named(change: dict[str, Any], message: str) -> None:
    good = {
        "pools": {"cpu": {"resources": {"limits": {"memory": "1Gi"}}}},
        "defaults": {"train": "cpu", "postprocess": "cpu", "evaluate": "cpu"},
    }
    parse_pools(yaml.safe_dump(good))
    with pytest.raises(SpecError) as caught:
        parse_pools(yaml.safe_dump({**good, **change}))
    assert message in str(caught.value)


def test_a_pool_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(SpecError, match=r"spec\.pool: wanted one of this cluster's worker pools \(cpu, gpu; .*got tpu"):
        POOLS.named("tpu", "train", field="spec.pool")


def _with(**changes: Any) -> CreateJob:
    fields = {name: getattr(CREATE, name) for name in CreateJob.__dataclass_fields__}
    return CreateJob(**{**fields, **changes})
