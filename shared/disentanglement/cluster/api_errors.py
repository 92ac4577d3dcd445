"""What the API server's refusals mean, as our errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from disentanglement.errors import (
    ArtifactConflict,
    ArtifactNotFound,
    DisentanglementError,
    PermissionDenied,
    ResourceExhausted,
    SpecError,
    Unauthenticated,
    Unavailable,
    Violation,
)

LONGEST_WAIT_S = 30.0
ACCEPTED = "what the API server accepts"
WHOLE = '"object": '
"""In place of the value, before what a rule about a whole object says."""


class OutOfDate(Unavailable):
    """The server has forgotten the moment that was asked for (410): list again."""


class QuotaExceeded(ResourceExhausted):
    """The namespace's ResourceQuota has no room for the object: it may have later."""


class Refusal(Violation):
    """A field that the API server refuses, in its own words."""

    def __str__(self) -> str:
        said = self.given.removeprefix("Invalid value: ").removeprefix(WHOLE)
        return f"{self.field}: {said} (so says the API server)"


def error_of(what: str, status: int, headers: Mapping[str, str], body: bytes) -> DisentanglementError:
    """The error for an answer that is none; `what` tells what was asked for."""
    told = _status(body)
    message = f"{what}: {told.get('message') or f'HTTP {status}'}"
    match status:
        case 400 | 422:
            return SpecError(_violations(what, told))
        case 401:
            return Unauthenticated(f"{message} (wanted credentials that the cluster accepts: renew the kubeconfig)")
        case 403 if "exceeded quota" in message:
            return QuotaExceeded(message, retry_after_s=LONGEST_WAIT_S)
        case 403:
            return PermissionDenied(message)
        case 404:
            return ArtifactNotFound(message)
        case 409:
            return ArtifactConflict(message)
        case 410:
            return OutOfDate(message)
        case 429:
            return ResourceExhausted(message, retry_after_s=_retry_after_s(headers, told))
        case _:
            return Unavailable(message)


def _status(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:  # a proxy in between has words of its own
        return {"message": body[:500].decode(errors="replace").strip()}
    return told if isinstance(told, dict) else {}


def _violations(what: str, told: Mapping[str, Any]) -> Iterator[Violation]:
    details = told.get("details") or {}
    causes = details.get("causes") or []
    for cause in causes:
        yield Refusal(cause.get("field") or what, ACCEPTED, cause.get("message", ""))
    if not causes:
        yield Refusal(what, ACCEPTED, told.get("message", ""))


def _retry_after_s(headers: Mapping[str, str], told: Mapping[str, Any]) -> float:
    text = headers.get("Retry-After") or str((told.get("details") or {}).get("retryAfterSeconds", 1))
    return min(float(text), LONGEST_WAIT_S) if text.isdecimal() else 1.0
