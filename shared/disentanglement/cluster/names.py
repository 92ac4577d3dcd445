"""The words that our objects in a cluster have in common: the API, labels, annotations, and names derived from work."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from disentanglement.errors import SpecError

GROUP = "disentanglement.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "Study"
PLURAL = "studies"
SINGULAR = "study"

SYSTEM_NAMESPACE = "disentanglement"
DEFAULT_PROJECT = "default"

NAME_LABEL = "app.kubernetes.io/name"
PART_OF_LABEL = "app.kubernetes.io/part-of"
PART_OF = "disentanglement"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
CONTROLLER = "disentanglement-controller"
TRAINER = "disentanglement-trainer"
"""Manages the Studies of single trainings."""
STUDY_LABEL = f"{GROUP}/study"
STEP_LABEL = f"{GROUP}/step"
CELL_LABEL = f"{GROUP}/cell"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

PLAN_ANNOTATION = f"{GROUP}/plan"
MODELS_ANNOTATION = f"{GROUP}/models"
PACK_ANNOTATION = f"{GROUP}/pack"
GENERATION_ANNOTATION = f"{GROUP}/generation"
EXCUSED_ANNOTATION = f"{GROUP}/excused"
"""Failed indexes of a Job that nobody is to blame for: all of their tries waited for something."""
"""The `retryGeneration` of the study when the Job was made."""

WORKER_CONTAINER = "worker"
WORKER_ACCOUNT = "disentanglement-worker"
STORE_CONFIG = "disentanglement-store"
WORKER_SECRET = "disentanglement-store-worker"

MAX_NAME = 52
"""Of a study: a Job's name and a label's value have at most 63 characters."""
NAME_PATTERN = r"^[a-z]([a-z0-9-]*[a-z0-9])?$"
MAX_LABEL = 63
MAX_JOB_NAME = 59
"""A pod's host name is the Job's with `-` and an index of up to three digits, and has at most 63 characters."""
DIGEST_LENGTH = 10


def check_study_name(name: str) -> str:
    """The name itself.

    Raises:
        SpecError: no study's resource can be named so.
    """
    if len(name) > MAX_NAME or not re.fullmatch(NAME_PATTERN, name):
        wanted = f"at most {MAX_NAME} small letters, digits and `-`, a letter first and no `-` last"
        raise SpecError.of("metadata.name", wanted, name)
    return name


def store_name(resource_name: str) -> str:
    """A study's name in the store: `quick-start` is `quick_start` there."""
    return resource_name.replace("-", "_")


def resource_name(study: str) -> str:
    """The name of the resource of a study of the store."""
    return study.replace("_", "-")


def project_of(namespace: str, own_namespace: str) -> str:
    """The project that a namespace's studies belong to: `default` in the controller's own.

    Raises:
        SpecError: the namespace is another one, but would have that same project.
    """
    if namespace == own_namespace:
        return DEFAULT_PROJECT
    if namespace == DEFAULT_PROJECT:
        wanted = f"any but `{DEFAULT_PROJECT}`, whose studies would be mixed with those of namespace {own_namespace}"
        raise SpecError.of("namespace", wanted, namespace)
    return store_name(namespace)


def job_name(study: str, cell: str, step: str, identity: Sequence[object]) -> str:
    """The name of a Job: readable, at most `MAX_JOB_NAME` characters, and the same for the same work.

    The digest at the end is over everything that is given, so that what is cut off still tells Jobs apart.
    """
    parts = "\n".join(map(str, (study, cell, step, *identity)))
    digest = hashlib.sha256(parts.encode()).hexdigest()[:DIGEST_LENGTH]
    readable = re.sub(r"[^a-z0-9]+", "-", f"{study}-{cell}".lower()).strip("-")
    kept = MAX_JOB_NAME - DIGEST_LENGTH - len(step) - 2
    return f"{readable[:kept].rstrip('-')}-{step}-{digest}"


def format_numbers(numbers: Sequence[int]) -> str:
    """`0-299,305` of ascending numbers; the inverse of `parse_numbers`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
