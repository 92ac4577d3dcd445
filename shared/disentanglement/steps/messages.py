"""What a pool and its worker processes say to each other: one JSON object a line, no pickle.

To a worker: `{"run": {work item}, "recompute": false}`, `{"stop": true}`.
From a worker: `{"progress": ...}`, then exactly one of `{"result": ...}` and `{"error": ...}`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from disentanglement import errors
from disentanglement.errors import DisentanglementError, NonFiniteLoss, ResourceExhausted, SpecError, Violation
from disentanglement.specs import EvaluateSpec, PostprocessSpec, StepKey, StepSpec, TrainSpec, canonical, parse_spec
from disentanglement.studies.pending import WorkItem

SPEC_TYPES: dict[str, type[TrainSpec] | type[PostprocessSpec] | type[EvaluateSpec]] = {
    "train": TrainSpec,
    "postprocess": PostprocessSpec,
    "evaluate": EvaluateSpec,
}


@dataclass(frozen=True, slots=True)
class StepResult:
    """A committed step: the attempt whose manifest stands, and whether this run computed it."""

    attempt: str
    content_digest: str
    computed: bool
    determinism_violation: bool = False


def line(message: dict[str, Any]) -> bytes:
    """One message as one line."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def item_to_plain(item: WorkItem) -> dict[str, Any]:
    """A work item as plain JSON."""
    return {
        "number": item.number,
        "step": item.step,
        "spec": canonical(item.spec),
        "upstream": [str(key) for key in item.upstream],
    }


def item_from_plain(plain: dict[str, Any]) -> WorkItem:
    """The inverse of `item_to_plain`."""
    spec: StepSpec = parse_spec(SPEC_TYPES[plain["step"]], plain["spec"])
    return WorkItem(plain["number"], spec, tuple(StepKey.parse(key) for key in plain["upstream"]))


def error_to_plain(error: DisentanglementError) -> dict[str, Any]:
    """An error as plain JSON: its type, and what its constructor needs."""
    plain: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    match error:
        case SpecError():
            plain["violations"] = [[v.field, v.wanted, v.given] for v in error.violations]
        case NonFiniteLoss():
            plain |= {"step": error.step, "what": error.what}
        case ResourceExhausted():
            plain["retry_after_s"] = error.retry_after_s
    return plain


def error_from_plain(plain: dict[str, Any]) -> DisentanglementError:
    """The inverse of `error_to_plain`; a type that is not ours becomes the root class."""
    match plain["type"]:
        case "SpecError":
            return SpecError([Violation(*violation) for violation in plain["violations"]])
        case "NonFiniteLoss":
            return NonFiniteLoss(plain["step"], plain["what"])
        case "ResourceExhausted":
            return ResourceExhausted(plain["message"], retry_after_s=plain["retry_after_s"])
        case name:
            kind = getattr(errors, name, None)
            if isinstance(kind, type) and issubclass(kind, DisentanglementError):
                return kind(plain["message"])
            return DisentanglementError(plain["message"])
