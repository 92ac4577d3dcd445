"""What an evaluation reads: a representation, or arrays of a client's own, which are checked before they are stored."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from disentanglement.errors import NotBuiltYet, ResourceExhausted, SpecError, Violation
from disentanglement.rpc.arrays import MAX_INLINE_BYTES, array_from_proto
from disentanglement.rpc.references import representation_key_of
from disentanglement.specs import StepKey
from disentanglement.steps.uploads import NAMES, Arrays, check_arrays, find_upload, get_array, register_arrays
from disentanglement.storage.store import Store
from disentanglement.v1 import evaluator_service_pb2 as pb


@dataclass(frozen=True)
class Source:
    """A valid source: the key of a representation, or arrays with their digests as they were sent."""

    key: StepKey | None
    arrays: Arrays = field(default_factory=dict)
    uploaded: dict[str, str] = field(default_factory=dict)

    def register(self, store: Store) -> StepKey:
        """The step key that metrics read; a client's own arrays are stored now."""
        return self.key if self.key is not None else register_arrays(store, self.arrays)


def read_source(store: Store, project: str, request: pb.EvaluateMetricsRequest) -> Source:
    """What a request wants scored; nothing is written.

    Raises:
        SpecError: naming the field that is missing or wrong.
        ArtifactNotFound: no such representation or upload.
        ResourceExhausted: more than 3 MiB of arrays inside the request.
    """
    match request.WhichOneof("source"):
        case "representation":
            return Source(representation_key_of(store, request.representation))
        case "codes":
            return _inline(request)
        case "uploaded":
            return _uploaded(store, project, request)
        case _:
            raise SpecError.of("source", "exactly one of representation, codes, uploaded", "nothing")


def _inline(request: pb.EvaluateMetricsRequest) -> Source:
    message = request.codes
    _refuse_factor_names(message)
    given = {name: getattr(message, name) for name in NAMES if message.HasField(name)}  # type: ignore[arg-type]  # NAMES are its fields
    if (total := sum(len(array.data) for array in given.values())) > MAX_INLINE_BYTES:
        raise ResourceExhausted(f"codes: {total} bytes of arrays; send more than {MAX_INLINE_BYTES} by UploadArray")
    arrays = {name: array_from_proto(array, field=f"codes.{name}") for name, array in given.items()}
    with _inside("codes"):
        check_arrays(arrays)
    digests = {name: hashlib.sha256(array.data).hexdigest() for name, array in given.items()}
    return Source(None, arrays, digests)


def _uploaded(store: Store, project: str, request: pb.EvaluateMetricsRequest) -> Source:
    message = request.uploaded
    _refuse_factor_names(message)
    digests = {name: getattr(message, f"{name}_sha256") for name in NAMES if getattr(message, f"{name}_sha256")}
    for name, sha256 in digests.items():
        if re.fullmatch(r"[0-9a-f]{64}", sha256, re.ASCII) is None:
            raise SpecError.of(f"uploaded.{name}_sha256", "64 hexadecimal digits", repr(sha256[:80]))
    arrays = {name: get_array(store, find_upload(store, project, sha256).stored) for name, sha256 in digests.items()}
    with _inside("uploaded"):
        check_arrays(arrays)
    return Source(None, arrays, digests)


def _refuse_factor_names(message: Any) -> None:
    if message.factor_names:
        raise NotBuiltYet("factor_names")


@contextmanager
def _inside(prefix: str) -> Iterator[None]:
    try:
        yield
    except SpecError as error:
        raise SpecError(
            Violation(f"{prefix}.{violation.field}", violation.wanted, violation.given)
            for violation in error.violations
        ) from None
