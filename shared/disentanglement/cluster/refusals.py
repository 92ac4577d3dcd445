"""Actions that the API server refuses, as what is told of them."""

from __future__ import annotations

from disentanglement.cluster.actions import Action, ClearFailures, CreateJob, EvictCodes, RecordFailures, UpdateJob
from disentanglement.cluster.conditions import Problem
from disentanglement.errors import DisentanglementError, PermissionDenied, ResourceExhausted


def kind_of(action: Action) -> str:
    """Actions of one kind are refused for one reason."""
    return action.step if isinstance(action, CreateJob) else type(action).__name__


def writes_to_store(action: Action) -> bool:
    """Whether trouble with an action is the store's."""
    return isinstance(action, RecordFailures | ClearFailures | EvictCodes)


def refusal(action: Action, error: DisentanglementError) -> Problem:
    """What to tell of an action that was refused, and what to do about it."""
    name = action.name if isinstance(action, CreateJob | UpdateJob) else type(action).__name__
    match error:
        case ResourceExhausted():
            return Problem("QuotaExceeded", f"Job {name}: {error}; it is tried again by itself")
        case PermissionDenied():
            return Problem("Forbidden", f"Job {name}: {error}; see the roles in k8s/base")
        case _:
            return Problem("JobRefused", f"Job {name}: {error}; correct the pool in the ConfigMap worker-pools")
