"""Clients repeat by themselves only what may be repeated."""

from __future__ import annotations

import json
import re

from google.protobuf.descriptor_pb2 import MethodOptions

from disentanglement.rpc.retries import SERVICES, idempotent_methods, service_config

READS = re.compile(r"(Get|BatchGet|List|Watch|Query|Export|Download)[A-Z]\w+")


def test_reads_and_creates_with_a_request_id_are_repeated_and_nothing_else() -> None:
    for method in idempotent_methods():
        is_read = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
        assert is_read == bool(READS.fullmatch(method.name)), method.full_name
        assert is_read or "request_id" in method.input_type.fields_by_name, method.full_name


def test_what_changes_something_without_a_request_id_is_not_repeated() -> None:
    repeated = {method.name for method in idempotent_methods()}
    assert {"CreateTrainingJob", "ExtractRepresentation", "EvaluateMetrics", "CreateStudy"} <= repeated
    assert not repeated & {"CancelTrainingJob", "CancelStudy", "RetryFailedModels", "UploadArray", "CreateReasoningJob"}


def test_every_read_is_repeated() -> None:
    every_method = [method for service in SERVICES for method in service.methods]
    reads = {method.full_name for method in every_method if READS.fullmatch(method.name)}
    assert reads <= {method.full_name for method in idempotent_methods()}


def test_every_create_and_every_list_has_what_it_needs() -> None:
    for method in (method for service in SERVICES for method in service.methods):
        fields = set(method.input_type.fields_by_name)
        if method.name.startswith("Create"):
            assert "request_id" in fields, method.full_name
        if method.name.startswith(("List", "Query")):
            assert {"page_size", "page_token"} <= fields, method.full_name
            assert "next_page_token" in method.output_type.fields_by_name, method.full_name


def test_the_service_config_names_services_as_the_wire_does() -> None:
    [config] = json.loads(service_config())["methodConfig"]
    assert {"service": "disentanglement.v1.TrainerService", "method": "GetTrainingJob"} in config["name"]
    assert config["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
