"""What a study takes, before it is begun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from disentanglement.specs import EvaluateSpec, PostprocessSpec, TrainSpec
from disentanglement.steps.ledger import StudyLedger
from disentanglement.storage.data_sets import find_data_set
from disentanglement.storage.store import Store
from disentanglement.studies.pending import steps_of
from disentanglement.studies.plan import Plan
from disentanglement.studies.progress import costs
from disentanglement.v1 import study_pb2

WEIGHT_BYTES = 3 << 20
"""Weights and history of one model of the reference's size, rounded up."""


def study_cost(store: Store, ledger: StudyLedger, plan: Plan) -> study_pb2.StudyCost:
    """Counts, and what is still to compute on one worker."""
    committed = ledger.committed(plan)
    items = [item for model in plan.models for item in steps_of(model)]
    left = [(item, seconds) for item, seconds in costs(plan.models) if item.id not in committed]
    cost = study_pb2.StudyCost(
        models=len(plan.models),
        representations=sum(isinstance(item.spec, PostprocessSpec) for item in items),
        evaluations=sum(isinstance(item.spec, EvaluateSpec) for item in items),
        committed_steps=len(items) - len(left),
        training_steps=sum(item.spec.training_steps for item, _ in left if isinstance(item.spec, TrainSpec)),
        storage_bytes=_stored_bytes(store, (model.train for model in plan.models)),
    )
    cost.compute_time.FromNanoseconds(round(sum(seconds for _, seconds in left) * 1e9))
    return cost


def _stored_bytes(store: Store, specs: Iterable[TrainSpec]) -> int:
    """Weights, and the codes of every stored image: mean and log-variance in float32."""
    latents: Counter[tuple[str, str]] = Counter()
    models = 0
    for spec in specs:
        latents[spec.dataset.name, spec.dataset.digest] += spec.architecture.num_latent
        models += 1
    codes = sum(8 * count * _num_images(store, *data_set) for data_set, count in latents.items())
    return WEIGHT_BYTES * models + codes


def _num_images(store: Store, name: str, digest: str) -> int:
    found = find_data_set(store, name, digest)
    return found.num_images if found is not None else 0
