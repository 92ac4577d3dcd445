"""Which calls a client may repeat by itself: declared once, for idempotent calls alone.

The protos say it (`idempotency_level`): reads have no side effects; a create is idempotent because its resource is
named by what was asked for and its `request_id` tells a repeated request from another one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from disentanglement.v1 import (
    aggregator_service_pb2,
    evaluator_service_pb2,
    postprocessor_service_pb2,
    trainer_service_pb2,
)

SERVICES: tuple[ServiceDescriptor, ...] = (
    trainer_service_pb2.DESCRIPTOR.services_by_name["TrainerService"],
    postprocessor_service_pb2.DESCRIPTOR.services_by_name["PostprocessorService"],
    evaluator_service_pb2.DESCRIPTOR.services_by_name["EvaluatorService"],
    aggregator_service_pb2.DESCRIPTOR.services_by_name["AggregatorService"],
)

RETRY_POLICY = {
    "maxAttempts": 5,  # gRPC allows no more
    "initialBackoff": "0.2s",
    "maxBackoff": "5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],  # a full queue says itself when to come back
}


def idempotent_methods() -> Iterator[MethodDescriptor]:
    """The methods that may be called again when no answer came."""
    for service in SERVICES:
        for method in service.methods:
            if method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN:
                yield method


def service_config() -> str:
    """The JSON for a channel's option `grpc.service_config`."""
    names = [{"service": m.containing_service.full_name, "method": m.name} for m in idempotent_methods()]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": RETRY_POLICY}]})


def channel_options() -> list[tuple[str, str | int]]:
    """Options for a channel of any of the services."""
    return [("grpc.enable_retries", 1), ("grpc.service_config", service_config())]
