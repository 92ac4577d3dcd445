"""Conditions of a Study: what is so, since when, why, and what somebody can do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from disentanglement.cluster.resource import Condition, ConditionStatus

LONGEST_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that somebody has to see: a word (`ImageNotPulled`), and a sentence with what to do."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition without its times."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""


def accepted(problem: Problem | None) -> Finding:
    """Whether the study can be worked off as it is written."""
    if problem is None:
        return Finding("Accepted", "True", "Planned", "the study is planned")
    return Finding("Accepted", "False", problem.reason, problem.message)


def degraded(problems: Sequence[Problem]) -> Finding:
    """Whether something is wrong that does not go away by itself; the first reason names it."""
    if not problems:
        return Finding("Degraded", "False", "AsExpected")
    message = "; ".join(problem.message for problem in problems)
    return Finding("Degraded", "True", problems[0].reason, message)


def counted(number: int, one: str, many: str) -> str:
    """`1 pod runs`, `2 pods run`."""
    return f"{number} {one if number == 1 else many}"


def dated(
    findings: Sequence[Finding], before: Sequence[Mapping[str, Any]], *, now: datetime, generation: int
) -> tuple[Condition, ...]:
    """Conditions; one whose status has not changed keeps the time of its last change."""
    standing = {entry.get("type"): entry for entry in before}
    return tuple(_dated(finding, standing.get(finding.type, {}), now, generation) for finding in findings)


def _dated(finding: Finding, before: Mapping[str, Any], now: datetime, generation: int) -> Condition:
    since = _time(before.get("lastTransitionTime")) if before.get("status") == finding.status else None
    return Condition(
        type=finding.type,
        status=finding.status,
        reason=finding.reason,
        message=_cut(finding.message),
        last_transition_time=since or now.replace(microsecond=0),
        observed_generation=generation,
    )


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _cut(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else f"{message[: LONGEST_MESSAGE - 3]}..."
