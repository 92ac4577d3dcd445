"""The states of a job and the moves between them."""

from __future__ import annotations

from enum import StrEnum

from disentanglement.errors import ArtifactConflict


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens unless somebody asks."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


ALLOWED: dict[JobState, frozenset[JobState]] = {
    # A commit by somebody else ends a queued job; a draining server puts a running one back.
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.SUCCEEDED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}),
    # Only the commit is for ever: failed and cancelled work may be asked for again, or be committed elsewhere.
    JobState.FAILED: frozenset({JobState.QUEUED, JobState.SUCCEEDED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED, JobState.SUCCEEDED}),
    JobState.SUCCEEDED: frozenset(),
}


def move(state: JobState, to: JobState) -> JobState:
    """The new state.

    Raises:
        ArtifactConflict: the table does not allow the move.
    """
    if to not in ALLOWED[state]:
        raise ArtifactConflict(f"a {state} job cannot become {to}")
    return to
