"""How many pods each Job may have, so that all together never exceed a limit. Running pods are not moved about."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from disentanglement.cluster.actions import Action, DeleteJob, UpdateJob
from disentanglement.cluster.state import JobView

QUEUED_PARTS = 4
"""Kueue admits a Job whole and its size stays: a new one waits until so large a part of the limit is free."""


RESERVED_PARTS = 4
"""Of the limit that is kept from trainings as soon as extractions wait, one part: a Job over hundreds of models would
else keep codes, and all scores, back until its end. At most so many trainings are interrupted for that, once, and go
on from their checkpoints. A Job's size stays under Kueue, so nothing is reserved there."""


class Shares:
    """The pods of some Jobs under one limit; pods that are still ending count."""

    def __init__(self, limit: int, jobs: Sequence[JobView], *, is_queued: bool) -> None:
        self._limit = limit
        self.going = [job for job in jobs if not job.is_finished]
        """The Jobs that have not ended."""
        self._is_queued = is_queued
        self._reserved = 0
        self._free = limit - sum(job.pods for job in jobs)

    def reserve(self, num_groups: int) -> None:
        """Keeps room from trainings for so many groups that are or will be extracted."""
        if not self._is_queued:
            self._reserved = min(num_groups, max(1, self._limit // RESERVED_PARTS))

    def changes(self, *, keep: Collection[str]) -> Iterator[Action]:
        """Takes pods away where the limit is exceeded, and gives what is free to Jobs that can use it.

        The Jobs named in `keep` are not deleted: their failures are not written down yet.
        """
        left = self._limit
        to_train = self._limit - self._reserved
        for job in self.going:
            kept = min(job.share, left, to_train if job.step == "train" else left)
            left -= kept
            to_train -= kept if job.step == "train" else 0
            if job.is_deleting:
                continue
            if kept < job.share:
                yield from self._shrunk(job, kept, keep)
            elif not job.is_queued:
                yield from self._grown(job)

    def take(self, num_groups: int) -> int:
        """Pods for a new Job, 0 where it has to wait."""
        least = min(num_groups, -(-self._limit // QUEUED_PARTS)) if self._is_queued else 1
        if self._free < least:
            return 0
        share = min(num_groups, self._free)
        self._free -= share
        return share

    @property
    def _held(self) -> int:
        """Of what is reserved, the places that no extraction has yet."""
        return max(0, self._reserved - sum(job.share for job in self.going if job.step == "postprocess"))

    def _grown(self, job: JobView) -> Iterator[Action]:
        free = self._free - self._held if job.step == "train" else self._free
        more = min(job.remaining - job.share, free)
        if more > 0:
            self._free -= more
            yield UpdateJob(job.name, parallelism=job.share + more, suspend=False if job.is_suspended else None)
        elif job.is_suspended and not job.remaining:
            yield UpdateJob(job.name, suspend=False)  # so that it comes to its end

    def _shrunk(self, job: JobView, share: int, keep: Collection[str]) -> Iterator[Action]:
        if share or not job.is_queued:
            yield UpdateJob(job.name, parallelism=share)
        elif job.name not in keep:
            yield DeleteJob(job.name, job.uid, "parallelism was lowered, and Kueue admits no Job without pods")
