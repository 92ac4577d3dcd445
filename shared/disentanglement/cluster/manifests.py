"""From a planned Job to the `batch/v1` object: pure, so that each line can be tested without a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from disentanglement.cluster import names
from disentanglement.cluster.actions import CreateJob, UpdateJob
from disentanglement.cluster.kinds import Object
from disentanglement.cluster.pools import Pool
from disentanglement.specs import Step
from disentanglement.steps.one_shot import ExitCode

USER = 65532
BACKOFF_LIMIT_PER_INDEX = 5
"""Tries at an index beyond the first, with growing pauses. Disruptions do not count (workers cap those)."""
GRACE_S: Mapping[Step, int] = {"train": 120, "postprocess": 60, "evaluate": 60}
"""For a checkpoint to be written; spot nodes often give less, then the one before serves."""
SCRATCH = "/var/lib/disentanglement"
CACHE_VARIABLE, DEVICE_VARIABLE = "DISENTANGLEMENT_CACHE", "DISENTANGLEMENT_DEVICE"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"


@dataclass(frozen=True)
class Owner:
    """Whom Jobs belong to: they go when it does. A Study, or the object of the form without a custom resource."""

    name: str
    uid: str
    namespace: str
    api_version: str = names.API_VERSION
    kind: str = names.KIND

    def reference(self) -> Object:
        """As an object's metadata has it."""
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }


@dataclass(frozen=True)
class JobSettings:
    """What all Jobs of a study have in common, besides their work."""

    owner: Owner
    project: str
    store_study: str
    """The study's name in the store."""
    images: Mapping[Step, str]
    pools: Mapping[Step, Pool]
    queue: str = ""
    priority_class: str = ""


def job_manifest(job: CreateJob, settings: JobSettings) -> Object:
    """The Job to create."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job.name,
            "namespace": settings.owner.namespace,
            "labels": {**_labels(job, settings), **_queue_labels(settings)},
            "annotations": {
                names.CELL_LABEL: job.cell,  # whole: a label's value has at most 63 characters
                names.PLAN_ANNOTATION: job.plan,
                names.MODELS_ANNOTATION: names.format_numbers(job.models),
                names.PACK_ANNOTATION: str(job.pack),
                names.GENERATION_ANNOTATION: str(job.generation),
            },
            "ownerReferences": [settings.owner.reference()],
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": job.num_groups,
            "parallelism": job.parallelism,
            "backoffLimitPerIndex": BACKOFF_LIMIT_PER_INDEX,
            "maxFailedIndexes": job.num_groups,  # one failed group stops no other
            "podReplacementPolicy": "Failed",  # never two pods of one index
            "podFailurePolicy": {"rules": _failure_rules()},
            **({"suspend": True} if settings.queue else {}),
            "template": {
                "metadata": {"labels": _labels(job, settings)},
                "spec": _pod(job, settings, settings.pools[job.step]),
            },
        },
    }


def job_patch(update: UpdateJob) -> Object:
    """The merge patch of a Job."""
    changes = {
        "parallelism": update.parallelism,
        "suspend": update.suspend,
        "ttlSecondsAfterFinished": update.ttl_s,
    }
    return {"spec": {name: value for name, value in changes.items() if value is not None}}


def arguments(job: CreateJob, settings: JobSettings) -> list[str]:
    """What the worker is told."""
    words = ["run", "--study", settings.store_study, "--project", settings.project, "--plan", job.plan]
    words += ["--cell", job.cell, "--models", names.format_numbers(job.models), "--pack", str(job.pack)]
    return [*words, "--index", "$(JOB_COMPLETION_INDEX)", *(["--with-codes"] if job.with_codes else [])]


def _labels(job: CreateJob, settings: JobSettings) -> dict[str, str]:
    return {
        names.NAME_LABEL: "worker",
        names.PART_OF_LABEL: names.PART_OF,
        names.MANAGED_BY_LABEL: names.CONTROLLER,
        names.STUDY_LABEL: names.resource_name(settings.store_study),  # the owner may be a launcher's Job
        names.STEP_LABEL: job.step,
        names.CELL_LABEL: job.cell[: names.MAX_LABEL].rstrip("._-"),
    }


def _queue_labels(settings: JobSettings) -> dict[str, str]:
    if not settings.queue:
        return {}
    priority = {PRIORITY_LABEL: settings.priority_class} if settings.priority_class else {}
    return {names.QUEUE_LABEL: settings.queue, **priority}


def _failure_rules() -> list[Object]:
    """The first rule that fits counts: a preempted worker ends with 75, and is not to blame."""

    def on_exit(code: ExitCode, action: str) -> Object:
        codes = {"containerName": names.WORKER_CONTAINER, "operator": "In", "values": [int(code)]}
        return {"action": action, "onExitCodes": codes}

    return [
        on_exit(ExitCode.OTHER_CONTRACT, "FailJob"),
        on_exit(ExitCode.FAILED, "FailIndex"),
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]


def _pod(job: CreateJob, settings: JobSettings, pool: Pool) -> Object:
    priority = pool.priority_class_name if settings.queue else settings.priority_class or pool.priority_class_name
    optional: Object = {
        "nodeSelector": pool.node_selector,
        "tolerations": list(pool.tolerations),
        "runtimeClassName": pool.runtime_class_name,
        "priorityClassName": priority,
        "imagePullSecrets": [{"name": name} for name in pool.image_pull_secrets],
    }
    return {
        "restartPolicy": "Never",
        "serviceAccountName": names.WORKER_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_S[job.step],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(job, settings, pool)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "scratch", "emptyDir": {}}, *pool.volumes],
        **{name: value for name, value in optional.items() if value},
    }


def _container(job: CreateJob, settings: JobSettings, pool: Pool) -> Object:
    return {
        "name": names.WORKER_CONTAINER,
        "image": settings.images[job.step],
        "args": arguments(job, settings),
        "env": list(_environment(pool)),
        "envFrom": [
            {"configMapRef": {"name": names.STORE_CONFIG}},
            {"secretRef": {"name": names.WORKER_SECRET}},
        ],
        "resources": _resources(pool),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "scratch", "mountPath": SCRATCH},
            *pool.volume_mounts,
        ],
    }


def _environment(pool: Pool) -> Iterator[Mapping[str, Any]]:
    """Ours, unless the pool says otherwise."""
    given = {entry.get("name") for entry in pool.env}
    for name, value in ((CACHE_VARIABLE, f"{SCRATCH}/cache"), (DEVICE_VARIABLE, pool.device)):
        if name not in given:
            yield {"name": name, "value": value}
    yield from pool.env


def _resources(pool: Pool) -> Object:
    gpu = {pool.gpu.resource: str(pool.gpu.count)} if pool.gpu else {}
    return {"requests": {**pool.resources.requests, **gpu}, "limits": {**pool.resources.limits, **gpu}}
