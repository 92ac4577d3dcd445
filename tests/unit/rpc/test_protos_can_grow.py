"""What later releases add to the protos must not break the clients of this one."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from disentanglement.v1 import (
    aggregator_service_pb2,
    dataset_pb2,
    evaluator_service_pb2,
    job_pb2,
    metric_pb2,
    model_pb2,
    postprocessor_service_pb2,
    study_pb2,
    trainer_service_pb2,
)

FILES = [
    module.DESCRIPTOR
    for module in (
        aggregator_service_pb2,
        dataset_pb2,
        evaluator_service_pb2,
        job_pb2,
        metric_pb2,
        model_pb2,
        postprocessor_service_pb2,
        study_pb2,
        trainer_service_pb2,
    )
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.rpartition("/")[2])
def test_no_number_is_reserved_as_nothing_was_ever_deleted(file: FileDescriptor) -> None:
    """`reserved` is for what was deleted: a number that was reserved can't be used without a breaking change."""
    plain = FileDescriptorProto()
    file.CopyToProto(plain)
    reserved = {m.name: list(m.reserved_name) for m in plain.message_type if m.reserved_name or m.reserved_range}
    assert not reserved
