"""What somebody can do about what a cluster says: words of its messages, and our sentences for them."""

from __future__ import annotations

from collections.abc import Mapping

EXIT_CODES: Mapping[int, str] = {
    75: "asked to try again (stopped, the store was away, or an input was not there yet)",
    78: "its models have failure records",
    79: "the image computes other numbers than the plan wants (contract versions differ)",
    137: "killed",
    143: "stopped",
}

OBSTACLES: Mapping[str, str] = {
    "ImageNotPulled": "can't get an image",
    "ConfigMissing": "can't start, for want of configuration",
    "ContainerNotStarted": "can't be started",
    "Unschedulable": "wait for a node",
}
"""What `pods.Obstacle.reason` means for a pod."""

_OBSTACLE_TODO: Mapping[str, str] = {
    "ImageNotPulled": "correct the name in the ConfigMap worker-images, or name the pool's imagePullSecrets in "
    "worker-pools, and restart the controller (kubectl -n disentanglement rollout restart deployment controller)",
    "ConfigMissing": "make the Secret or ConfigMap that is named, in this namespace",
    "ContainerNotStarted": "see the pool's runtimeClassName and volumes in worker-pools",
}

_SCHEDULING: Mapping[str, str] = {
    "Insufficient nvidia.com/gpu": "every GPU is taken, or no node advertises one: wait, or ask for GPU nodes (kubectl "
    "get nodes -o custom-columns='NAME:.metadata.name,GPUS:.status.allocatable.nvidia\\.com/gpu')",
    "Insufficient": "nodes are full: wait, lower the pool's requests in worker-pools, or add nodes",
    "didn't match Pod's node affinity/selector": "no node has the labels of the pool's nodeSelector in worker-pools",
    "untolerated taint": "the pool needs a toleration for that taint in worker-pools",
    "persistentvolumeclaim": "the pool's volume is missing or can't be bound in this namespace",
}

_ENDS: Mapping[str, str] = {
    "no NVIDIA driver is loaded": "install the GPU driver on that node, and name the runtime class of the "
    "NVIDIA container toolkit in the pool (runtimeClassName in worker-pools)",
    "PyTorch cannot compute on": "driver and image do not fit: see the pool's nodes, or build the images with another "
    "TORCH_INDEX",
    "OOMKilled": "raise the memory limit of the pool in worker-pools",
}

_CREATION: Mapping[str, str] = {
    "exceeded quota": "wait until others are done, ask for a larger ResourceQuota, or lower spec.parallelism",
    "violates PodSecurity": "what the pool adds (volumes, env) breaks the namespace's Pod Security level: worker-pools",
    "serviceaccount": "make the service account disentanglement-worker in this namespace",
}


def for_obstacle(reason: str, message: str) -> str:
    """What to do about a pod that does not start."""
    return _first(_SCHEDULING, message) if reason == "Unschedulable" else _OBSTACLE_TODO.get(reason, "")


def for_end(message: str) -> str:
    """What to do about pods that end badly before they have worked."""
    return _first(_ENDS, message)


def for_creation(message: str) -> str:
    """What to do about a pod that can't be made."""
    return _first(_CREATION, message)


def for_lost_node(node: str) -> str:
    """What to do about pods whose end nobody confirms."""
    taint = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
    return f"if the node is lost for good: kubectl taint node {node} {taint}"


def _first(table: Mapping[str, str], message: str) -> str:
    return next((todo for words, todo in table.items() if words in message), "")
