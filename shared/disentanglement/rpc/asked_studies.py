"""The study that a request asks for: written out, or a published one, or a part of it."""

from __future__ import annotations

from disentanglement.errors import SpecError
from disentanglement.rpc.convert import from_proto, struct_to_plain
from disentanglement.specs import MetricSpec, Selection, StudySpec
from disentanglement.studies.published import study_spec
from disentanglement.studies.variants import variant
from disentanglement.v1 import aggregator_service_pb2 as pb

ONLY_WITH_PUBLISHED = ("study_name", "selection", "changes", "metrics")


def asked_study(request: pb.CreateStudyRequest) -> StudySpec:
    """The study of a request.

    Raises:
        SpecError: naming each wrong field.
    """
    given = {field.name for field, _ in request.ListFields()}
    match request.WhichOneof("study"):
        case "published":
            return _published(request)
        case "spec":
            for field in ONLY_WITH_PUBLISHED:
                if field in given:
                    raise SpecError.of(field, "nothing with `spec`, which has fields for it", "a value")
            return from_proto(request.spec, StudySpec, field="spec")
        case _:
            raise SpecError.of("study", "exactly one of spec, published", "nothing")


def _published(request: pb.CreateStudyRequest) -> StudySpec:
    study = study_spec(request.published, field="published")
    metrics = [from_proto(metric, MetricSpec, field=f"metrics.{i}") for i, metric in enumerate(request.metrics)]
    return variant(
        study,
        selection=from_proto(request.selection, Selection, field="selection"),
        changes=struct_to_plain(request.changes, field="changes"),
        metrics=metrics or None,
        name=request.study_name or None,
    )
