"""Which step a request means: by its key with the digest that is expected, or by a resource's name."""

from __future__ import annotations

from disentanglement.errors import ArtifactNotFound, CorruptArtifact, SpecError
from disentanglement.rpc.names import (
    REPRESENTATIONS,
    TRAINING_JOBS,
    is_model_name,
    parse_model_name,
    parse_step_key,
    parse_step_name,
)
from disentanglement.specs import Step, StepKey
from disentanglement.storage.commit import committed
from disentanglement.storage.jobs import get_job
from disentanglement.storage.store import Store
from disentanglement.studies.plan import PlannedModel
from disentanglement.studies.records import load_plan, load_study
from disentanglement.v1 import job_pb2


def train_key_of(store: Store, model: job_pb2.ModelRef, *, field: str = "model") -> StepKey:
    """The key of the training step that a reference names.

    Raises:
        SpecError: no reference, or a malformed one.
        ArtifactNotFound: no such job, study or model.
        CorruptArtifact: the committed step has another digest than the reference expects.
    """
    match model.WhichOneof("model"):
        case "step":
            return step_of_reference(store, "train", model.step, field=f"{field}.step")
        case "name" if is_model_name(model.name):
            return planned_model(store, model.name, field=f"{field}.name").key
        case "name":
            return _key_of_job(store, "train", model.name, TRAINING_JOBS, f"{field}.name")
        case _:
            raise SpecError.of(field, "exactly one of name, step", "nothing")


def representation_key_of(
    store: Store, representation: job_pb2.RepresentationRef, *, field: str = "representation"
) -> StepKey:
    """The key of the postprocess step that a reference names; raises as `train_key_of`."""
    match representation.WhichOneof("representation"):
        case "step":
            return step_of_reference(store, "postprocess", representation.step, field=f"{field}.step")
        case "name":
            return _key_of_job(store, "postprocess", representation.name, REPRESENTATIONS, f"{field}.name")
        case _:
            raise SpecError.of(field, "exactly one of name, step", "nothing")


def step_of_reference(store: Store, step: Step, reference: job_pb2.StepRef, *, field: str) -> StepKey:
    """The key in a reference, once its digest has been compared with that of the commit."""
    key = parse_step_key(reference.step_key, field=f"{field}.step_key")
    if reference.content_digest:
        manifest = committed(store, step, key)
        if manifest is not None and manifest.content_digest != reference.content_digest:
            wanted, found = reference.content_digest, manifest.content_digest
            raise CorruptArtifact(f"{step} {key}: wanted content digest {wanted[:64]}, got {found}")
    return key


def planned_model(store: Store, name: str, *, field: str) -> PlannedModel:
    """The model of a study that a name stands for; `ArtifactNotFound` where there is none."""
    model = parse_model_name(name, field=field)
    plan = load_plan(store, load_study(store, model.project, model.study).plan)
    try:
        return plan.model(model.number)
    except SpecError:
        raise ArtifactNotFound(f"study {model.study} has no model {model.number}") from None


def _key_of_job(store: Store, step: Step, name: str, collection: str, field: str) -> StepKey:
    project, key = parse_step_name(name, collection, field=field)
    get_job(store, project, step, key)  # raises where there is none
    return key
