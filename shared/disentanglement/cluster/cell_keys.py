"""The step keys of one cell of a plan, packed: a study of 12,600 models has a quarter of a million of them.

Shapes: M models of the cell, S steps of one kind of a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from disentanglement.specs import STEPS, EvaluateSpec, Step, StepKey
from disentanglement.specs.canonical import StepIdentity
from disentanglement.studies.pending import StepId
from disentanglement.studies.plan import PlanCell, PlannedModel

Flags = NDArray[np.bool_]
_Identities = dict[int, tuple[EvaluateSpec, StepIdentity]]


@dataclass(frozen=True, slots=True)
class PackedKeys:
    """The keys of one kind of step, in the order of the plan."""

    digests_MS: NDArray[np.bytes_]
    order: NDArray[np.int32]
    """Where each stands in the flattened array, sorted by digest."""

    @classmethod
    def of(cls, digests: list[list[str]]) -> Self:
        """From the last parts of the keys, by model."""
        width = len(digests[0]) if digests else 0
        packed = np.array(digests, dtype="S52").reshape(len(digests), width)
        return cls(packed, np.argsort(packed, axis=None).astype(np.int32))

    def find(self, digests: Iterable[str]) -> Flags:
        """Which keys are among those, by model and step; keys that the plan does not have are passed over."""
        found = np.array(list(digests), dtype="S52")
        flags = np.zeros(self.digests_MS.size, dtype=np.bool_)
        if found.size and flags.size:
            flat = self.digests_MS.ravel()
            places = np.minimum(np.searchsorted(flat, found, sorter=self.order), flat.size - 1)
            positions = self.order[places]
            flags[positions[flat[positions] == found]] = True
        return flags.reshape(self.digests_MS.shape)


@dataclass(frozen=True, slots=True)
class CellKeys:
    """A cell of a plan, as far as what is done of it is concerned."""

    cell: str
    numbers_M: NDArray[np.int32]
    keys: Mapping[Step, PackedKeys]
    data_digest: str

    @classmethod
    def of(cls, cell: PlanCell) -> Self:
        """Of a cell of a plan, which is needed no more afterwards."""
        digests: dict[Step, list[list[str]]] = {step: [] for step in STEPS}
        identities: _Identities = {}
        for model in cell.planned:
            digests["train"].append([model.key.digest])
            digests["postprocess"].append([representation.key.digest for representation in model.representations])
            digests["evaluate"].append(list(_evaluation_digests(model, identities)))
        return cls(
            cell=cell.cell,
            numbers_M=np.array(cell.numbers, dtype=np.int32),
            keys={step: PackedKeys.of(rows) for step, rows in digests.items()},
            data_digest=cell.models[0].dataset.digest,
        )

    def numbers(self, flags_M: Flags) -> frozenset[int]:
        """Numbers of the models that are flagged."""
        return frozenset(self.numbers_M[flags_M].tolist())

    def ids(self, step: Step, number: int) -> list[StepId]:
        """The steps of one kind of a model, in the order of the plan."""
        [row] = np.flatnonzero(self.numbers_M == number)
        return [(step, self.key(digest)) for digest in self.keys[step].digests_MS[row]]

    def key(self, digest: bytes) -> StepKey:
        """The whole key."""
        dataset, _, method = self.cell.partition(".")
        return StepKey(dataset, method, digest.decode())


def _evaluation_digests(model: PlannedModel, identities: _Identities) -> Iterator[str]:
    for representation in model.representations:
        for spec in representation.evaluations:
            yield _identity(spec, identities).digest([representation.key])


def _identity(spec: EvaluateSpec, identities: _Identities) -> StepIdentity:
    """Made once for a spec that models share. The spec is kept too: another object may get the id of a lost one."""
    known = identities.get(id(spec))
    if known is None:
        known = identities[id(spec)] = (spec, StepIdentity.of(spec))
    return known[1]
