"""What a controller may do about a study: each action is safe to do twice, and may be lost and asked for again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from disentanglement.specs import Step


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Make a Job over groups of models of one cell. That one of its name exists is as good as success."""

    name: str
    step: Step
    cell: str
    models: tuple[int, ...]
    pack: int
    plan: str
    generation: int
    parallelism: int
    with_codes: bool = False
    """After training, also extract (train only)."""

    @property
    def num_groups(self) -> int:
        """How many indexes it has."""
        return -(-len(self.models) // self.pack)

    def with_parallelism(self, parallelism: int) -> CreateJob:
        """The same with so many pods at once."""
        return replace(self, parallelism=parallelism)


@dataclass(frozen=True, slots=True)
class UpdateJob:
    """Merge into a Job's spec what is not None. The Job may be gone: then nothing is to be done."""

    name: str
    parallelism: int | None = None
    suspend: bool | None = None
    ttl_s: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete a Job (background, by uid); its models are not lost: what they lack is in no failure record."""

    name: str
    uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecordFailures:
    """Write failure records for one failed index of a Job: for each of its models, of the Job's steps the first one
    that has neither a manifest nor a record (for `evaluate`: every such score). Exit code and message come from the
    index's last pod, where it still exists."""

    job: str
    step: Step
    cell: str
    index: int
    models: tuple[int, ...]
    """Those of the index that have nothing to show."""
    reason: str = "RETRIES_SPENT"


@dataclass(frozen=True, slots=True)
class ClearFailures:
    """Delete every failure record of the study, then write into the store that it was done for this generation
    (`storage.failures.mark_cleared`). No Job is made for a generation before that is written."""

    generation: int


@dataclass(frozen=True, slots=True)
class EvictCodes:
    """Remove the codes of models all of whose scores are settled (`retention.codes: untilScored`)."""

    cell: str
    models: tuple[int, ...]


Action = CreateJob | UpdateJob | DeleteJob | RecordFailures | ClearFailures | EvictCodes
