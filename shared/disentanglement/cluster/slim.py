"""Objects of the API without what we never look at, so that many of them can be kept."""

from __future__ import annotations

from disentanglement.cluster.kinds import Object

_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "annotations",
    "ownerReferences",
)
_SPEC = ("parallelism", "completions", "suspend", "ttlSecondsAfterFinished")


def slim(job: Object) -> Object:
    """A Job without its template (but for names and images of its containers) and without what other writers noted."""
    spec = job.get("spec") or {}
    pod = (spec.get("template") or {}).get("spec") or {}
    containers = [{"name": found.get("name"), "image": found.get("image")} for found in pod.get("containers") or ()]
    kept = {name: spec[name] for name in _SPEC if name in spec}
    return {
        "metadata": {name: job["metadata"][name] for name in _METADATA if name in job["metadata"]},
        "spec": {**kept, "template": {"spec": {"containers": containers}}},
        "status": job.get("status") or {},
    }
