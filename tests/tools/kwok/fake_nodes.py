"""Nodes that are not there: kwok keeps them Ready and plays their pods (`stages.yaml`)."""

from __future__ import annotations

from typing import Any

POOL_LABEL = "disentanglement.dev/pool"
GPUS_PER_NODE = 8
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
GPU_RESOURCES = {"cpu": "96", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "250"}
CPU_RESOURCES = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "250"}


def gpu_nodes(count: int) -> list[dict[str, Any]]:
    """Nodes with eight GPUs each, tainted as NVIDIA's operator does it."""
    resources = {**GPU_RESOURCES, "nvidia.com/gpu": str(GPUS_PER_NODE)}
    return [_node(f"gpu-{i}", "gpu", resources, taints=[GPU_TAINT]) for i in range(count)]


def cpu_nodes(count: int) -> list[dict[str, Any]]:
    """Nodes with 64 cores each."""
    return [_node(f"cpu-{i}", "cpu", CPU_RESOURCES, taints=[]) for i in range(count)]


def _node(name: str, pool: str, resources: dict[str, str], taints: list[dict[str, str]]) -> dict[str, Any]:
    labels = {
        POOL_LABEL: pool,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": taints},
        "status": {"capacity": resources, "allocatable": resources},
    }
