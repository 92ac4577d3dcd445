"""What keeps Jobs and pods of a study from working: told in the condition Degraded, as long as it is so."""

from __future__ import annotations

import pytest
from tiny_cluster import NAMESPACE, TinyCluster, failed_pod, waiting_pod
from tiny_kubernetes import Fault

from disentanglement.cluster.kinds import EVENTS, Object


def test_a_gpu_that_no_node_has_is_told(cluster: TinyCluster) -> None:
    cluster.put_node("worker-1", cpu="8")
    cluster.apply(pool="gpu")
    cluster.look()
    status, reason, message = cluster.condition("Degraded")
    assert (status, reason) == ("True", "GpuMissing")
    assert "nvidia.com/gpu" in message
    assert len(cluster.jobs_of("train")) == 1, "nodes may be added when pods need them"
    cluster.put_node("worker-2", nvidia_com_gpu="4")
    cluster.look(times=4)
    assert cluster.condition("Degraded")[0] == "False"


def test_an_image_that_cannot_be_had_is_told(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.progress(job, active=1)
    cluster.put_pod(job, "worker-0", 0, waiting_pod("ImagePullBackOff", "not found"))
    cluster.look()
    status, reason, message = cluster.condition("Degraded")
    assert (status, reason) == ("True", "ImageNotPulled")
    assert "trainer:1" in message
    assert "worker-images" in message


def test_missing_configuration_of_the_workers_is_told(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.progress(job, active=1)
    cluster.put_pod(
        job, "w", 0, waiting_pod("CreateContainerConfigError", 'configmap "disentanglement-store" not found')
    )
    cluster.look()
    assert cluster.condition("Degraded")[1] == "ConfigMissing"
    assert "disentanglement-store" in cluster.condition("Degraded")[2]


NO_DRIVER = "attempt ended\ntrainer: PyTorch cannot compute on cuda: ... (PyTorch 2.15.0; no NVIDIA driver is loaded)"


def test_pods_that_fail_and_are_tried_again_are_told_with_their_last_line(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.put_pod(job, "worker-0", 0, failed_pod(1, NO_DRIVER))
    cluster.progress(job, active=0, failed=1)
    cluster.look()
    status, reason, message = cluster.condition("Degraded")
    assert (status, reason) == ("True", "WorkersFail")
    assert message.startswith("pod worker-0 failed and is tried again: trainer: PyTorch cannot compute on cuda")
    assert "install the GPU driver" in message
    cluster.progress(job, active=1, ready=1, failed=1, completedIndexes="0")
    cluster.look()
    assert cluster.condition("Degraded")[0] == "False", "the next try went well"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (failed_pod(75), False),
        (failed_pod(137), False),
        (failed_pod(137, reason="OOMKilled"), True),
        (failed_pod(1, finished="2020-01-01T00:00:00Z"), False),
        ({"phase": "Failed", "reason": "Evicted"}, False),
    ],
    ids=["asked to try again", "killed", "out of memory", "long ago", "nobody saw its end"],
)
def test_pods_are_told_of_that_fail_by_themselves(cluster: TinyCluster, status: Object, told: bool) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.put_pod(job, "worker-0", 0, status)
    cluster.progress(job, active=0, failed=1)
    cluster.look()
    assert (cluster.condition("Degraded")[1] == "WorkersFail") is told


def test_pods_that_cannot_be_made_are_told(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    event = {
        "metadata": {"namespace": NAMESPACE, "name": "e"},
        "involvedObject": {"name": job["metadata"]["name"]},
        "reason": "FailedCreate",
        "message": "pods is forbidden: exceeded quota: gpus",
    }
    cluster.kubernetes.put(EVENTS.path(NAMESPACE, "e"), event)
    old = {"message": "old", "lastTimestamp": "2020-01-01T00:00:00Z"}
    cluster.kubernetes.put(
        EVENTS.path(NAMESPACE, "f"), {**event, **old, "metadata": {"namespace": NAMESPACE, "name": "f"}}
    )
    cluster.look()
    assert cluster.condition("Degraded")[1] == "PodsNotCreated"
    assert "exceeded quota" in cluster.condition("Degraded")[2]
    cluster.kubernetes.remove(EVENTS.path(NAMESPACE, "e"))
    cluster.look()
    assert cluster.condition("Degraded")[0] == "False", "what is left is old"


def test_a_job_that_the_api_server_refuses_is_told(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.kubernetes.faults.append(
        Fault("POST", "/jobs", 422, message="spec.template.spec.tolerations: Invalid value")
    )
    cluster.look()
    assert cluster.condition("Degraded")[:2] == ("True", "JobRefused")
    assert "tolerations" in cluster.condition("Degraded")[2]
    cluster.look()
    assert cluster.condition("Degraded")[0] == "False"
    assert len(cluster.jobs_of("train")) == 1


def test_workers_of_another_contract_version_are_told(cluster: TinyCluster) -> None:
    cluster.apply()
    cluster.look()
    [job] = cluster.jobs_of("train")
    cluster.end(job, reason="PodFailurePolicy")
    cluster.look(times=2)
    status, reason, message = cluster.condition("Degraded")
    assert (status, reason) == ("True", "OtherContract")
    assert "trainer:1" in message
    assert len(cluster.jobs_of("train")) == 1, "the same image would end the same way"
