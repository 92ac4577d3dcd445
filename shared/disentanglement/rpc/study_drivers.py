"""Who works studies off for the aggregator: this process, or a cluster's controller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from disentanglement.errors import DisentanglementError
from disentanglement.rpc.study_runs import Elsewhere, StudyRun
from disentanglement.studies.pending import StepId


class StudyDriver(Protocol):
    """Begins, stops and finds studies."""

    def check(self, project: str, study: str) -> None:
        """Before anything is written.

        Raises:
            SpecError: a study of this project or name can't be driven here.
        """
        ...

    def find(self, project: str, study: str) -> StudyRun | None:
        """The run of a study that is going on in this process."""
        ...

    def error_of(self, project: str, study: str) -> DisentanglementError | None:
        """Why a study that is not finished is not driven any more."""
        ...

    async def elsewhere(self, project: str, study: str) -> Elsewhere:
        """What is known of a study that is not driven in this process."""
        ...

    async def begin(self, project: str, study: str) -> None:
        """Drives a submitted study from where it stands."""
        ...

    async def stop(self, project: str, study: str, *, for_good: bool = False) -> None:
        """Stops driving; `for_good` also asks the running steps to stop."""
        ...

    async def retry(self, project: str, study: str, steps: Sequence[StepId], *, are_all: bool) -> None:
        """Lets failed steps be tried again; `are_all`: they are all that failed.

        Raises:
            SpecError: only all of them can be tried again.
        """
        ...

    async def resume(self, projects: Sequence[str]) -> None:
        """Goes on with the studies that are neither finished nor cancelled."""
        ...

    async def drain(self) -> None:
        """Before this process ends."""
        ...
