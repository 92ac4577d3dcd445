"""Studies driven by a cluster's controller: this process only makes, changes and removes their resources."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from disentanglement.cluster.names import DEFAULT_PROJECT
from disentanglement.cluster.studies import ClusterStudies, require_project
from disentanglement.cluster.submission import named, resource_spec, study_resource
from disentanglement.errors import ArtifactConflict, SpecError
from disentanglement.rpc.study_runs import Elsewhere
from disentanglement.storage.store import Store
from disentanglement.studies.pending import StepId
from disentanglement.studies.records import load_study


class ClusterDriver:
    """Implements `rpc.study_drivers.StudyDriver`; nothing runs in this process."""

    def __init__(self, store: Store, studies: ClusterStudies) -> None:
        self._store = store
        self._studies = studies

    @classmethod
    def connected(cls, store: Store, env: Mapping[str, str]) -> ClusterDriver:
        """To the cluster that this process runs in."""
        from disentanglement.cluster.kubernetes_jobs import connect

        return cls(store, ClusterStudies(connect(env, field_manager="disentanglement-aggregator")))

    def check(self, project: str, study: str) -> None:
        """SpecError for a project or a name that no resource of our namespace can have."""
        require_project(project)
        named(study, field="spec.name")

    def find(self, project: str, study: str) -> None:
        """Nothing runs here."""

    def error_of(self, project: str, study: str) -> None:
        """What goes wrong is in the resource's conditions."""

    async def elsewhere(self, project: str, study: str) -> Elsewhere:
        """What the resource says; those of other namespaces are not looked at."""
        if project != DEFAULT_PROJECT:
            return Elsewhere()
        standing = await asyncio.to_thread(self._studies.standing, study)
        return Elsewhere(
            is_driven=standing.is_there and (standing.phase == "Running" or standing.is_tried_again),
            is_paused=standing.phase == "Paused",
            is_gone=not standing.is_there,
            refused="" if standing.is_tried_again else standing.refused,
        )

    async def begin(self, project: str, study: str) -> None:
        """Makes the resource of a submitted study."""
        await asyncio.to_thread(self._begin, project, study)

    async def stop(self, project: str, study: str, *, for_good: bool = False) -> None:
        """Removes the resource where it shall stop for good."""
        require_project(project)
        if for_good:
            await asyncio.to_thread(self._studies.remove, study)

    async def retry(self, project: str, study: str, steps: Sequence[StepId], *, are_all: bool) -> None:
        """Raises the resource's retryGeneration: the controller forgets the failures."""
        require_project(project)
        if not are_all:
            raise SpecError.of("models", "nothing: in a cluster all failed models are tried again together", "some")
        await asyncio.to_thread(self._studies.retry, study)

    async def resume(self, projects: Sequence[str]) -> None:
        """The controller goes on by itself."""

    async def drain(self) -> None:
        """The controller goes on."""

    def _begin(self, project: str, study: str) -> None:
        spec = load_study(self._store, project, study).study_spec()
        try:
            self._studies.ask(study_resource(study, resource_spec(spec)))
        except ArtifactConflict as error:
            raise SpecError.of("spec.name", "the name of no other study", f"{study} ({error})") from None
