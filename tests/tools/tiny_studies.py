"""A Study, a Job of it and its pods in a tiny API server, as a controller would have left them."""

from __future__ import annotations

from typing import Any

from tiny_kubernetes import TinyKubernetes

from disentanglement.cluster.kinds import JOBS, PODS, STUDIES
from disentanglement.cluster.names import MODELS_ANNOTATION, PACK_ANNOTATION, STEP_LABEL, STUDY_LABEL

Object = dict[str, Any]
LAB = "lab"


def add_study(cluster: TinyKubernetes, name: str = "tiny", status: Object | None = None, **spec: Any) -> None:
    metadata = {"name": name, "namespace": LAB, "generation": 1}
    known = {"observedGeneration": 1, "phase": "Running"}
    item = {"metadata": metadata, "spec": spec, "status": {**known, **(status or {})}}
    cluster.put(STUDIES.path(LAB, name), item)


def add_pod(cluster: TinyKubernetes, index: int, phase: str = "Running", *, name: str = "", log: str = "") -> None:
    """A pod of the one Job of the study, which trains the models 10 to 13."""
    labels = {STUDY_LABEL: "tiny", STEP_LABEL: "train"}
    annotations = {MODELS_ANNOTATION: "10-13", PACK_ANNOTATION: "1"}
    job = {"metadata": {"name": "job", "namespace": LAB, "labels": labels, "annotations": annotations}, "spec": {}}
    cluster.put(JOBS.path(LAB, "job"), job)
    name = name or f"job-{index}"
    metadata = {
        "name": name,
        "namespace": LAB,
        "labels": {**labels, "batch.kubernetes.io/job-name": "job"},
        "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
    }
    cluster.put(PODS.path(LAB, name), {"metadata": metadata, "spec": {}, "status": {"phase": phase}})
    cluster.logs[PODS.path(LAB, name, "log")] = log


def the_study(cluster: TinyKubernetes, name: str = "tiny") -> Object:
    return cluster.objects[STUDIES.path(LAB, name)]
