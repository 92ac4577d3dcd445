"""Our errors as gRPC statuses and back: one dict for the codes, google.rpc details for the rest.

Details travel in a trailer. Together with the message they stay under 4 KB, because a client that is sent more sees
RESOURCE_EXHAUSTED in place of the real status.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from disentanglement import errors
from disentanglement.errors import DisentanglementError, SpecError, Violation

LOG = logging.getLogger(__name__)

DOMAIN = "disentanglement"
DETAILS_KEY = "grpc-status-details-bin"
MAX_BYTES = 4096
"""Of the message, as it is percent-encoded, and of the details, as base64."""
MAX_MESSAGE_BYTES = 700
"""Of the message, percent-encoded; it travels twice."""
MAX_PART_CHARACTERS = 300
"""Of each part of a violation."""
OTHERS = "(others)"
"""The field of the last violation where some were left out."""

CODES: dict[type[DisentanglementError], grpc.StatusCode] = {
    errors.SpecError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.MetricUndefined: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ArtifactNotFound: grpc.StatusCode.NOT_FOUND,
    errors.StepNotCommitted: grpc.StatusCode.FAILED_PRECONDITION,
    errors.CodesMissing: grpc.StatusCode.FAILED_PRECONDITION,
    errors.TrainingFailed: grpc.StatusCode.FAILED_PRECONDITION,
    errors.NonFiniteLoss: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ArtifactConflict: grpc.StatusCode.ALREADY_EXISTS,
    errors.CorruptArtifact: grpc.StatusCode.DATA_LOSS,
    errors.NotBuiltYet: grpc.StatusCode.UNIMPLEMENTED,
    errors.Cancelled: grpc.StatusCode.CANCELLED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.StoreRefused: grpc.StatusCode.FAILED_PRECONDITION,
    errors.WorkerDied: grpc.StatusCode.UNAVAILABLE,
    errors.DeviceUnusable: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Interrupted: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DisentanglementError: grpc.StatusCode.INTERNAL,
}
"""The first class of a code is the one that a status without our details becomes."""

_REASONS = {kind.__new__(kind).reason: kind for kind in CODES}


def code_of(error: DisentanglementError) -> grpc.StatusCode:
    """The status code of an error: that of its class, or of the nearest base that has one."""
    return next(CODES[base] for base in type(error).__mro__ if base in CODES)


def to_status(error: DisentanglementError) -> grpc.Status:
    """The status with `google.rpc` details, at most 4 KB; violations that do not fit are counted."""
    message = _shortened_message(str(error) or error.reason)
    details: list[Message] = [ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=_metadata(error))]
    if isinstance(error, errors.ResourceExhausted):
        details.append(_retry_info(error))
    status = Status(code=code_of(error).value[0], message=message, details=map(_packed, details))
    if isinstance(error, SpecError):
        status.details.append(_packed(_bad_request(error.violations, room=_room(status))))
    wire: grpc.Status = rpc_status.to_status(status)
    return wire


def from_rpc_error(error: grpc.RpcError) -> DisentanglementError:
    """Our exception for what a call failed with, violations and retry delay restored; `raise ... from error`."""
    code: grpc.StatusCode = error.code()
    message: str = error.details() or code.name
    trailer: Iterable[Any] = error.trailing_metadata() or ()
    details = _details((key, value) for key, value in trailer)
    info = next((info for info in _unpacked(details, ErrorInfo) if info.domain == DOMAIN), ErrorInfo())
    kind = _REASONS.get(info.reason) or next((kind for kind in CODES if CODES[kind] is code), DisentanglementError)
    if issubclass(kind, SpecError):
        return kind(_violations(details) or [Violation("request", "a valid one", message)])
    if issubclass(kind, errors.ResourceExhausted):
        after_s = _retry_after_s(details)
        return kind(message) if after_s is None else kind(message, retry_after_s=after_s)
    if issubclass(kind, errors.NonFiniteLoss):
        return _non_finite_loss(info)
    return kind(message)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: DisentanglementError) -> NoReturn:
    """End the call with the status of an error."""
    status = to_status(error)
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort raises")


@asynccontextmanager
async def aborting(context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """Around the body of a servicer's method: what it raises becomes the call's status.

    An exception that nobody meant to raise is logged with its traceback; the client learns a number to find it by.
    """
    try:
        yield
    except DisentanglementError as error:
        await abort(context, error)
    except grpc.aio.AioRpcError as error:  # from another service
        await abort(context, from_rpc_error(error))
    except (asyncio.CancelledError, grpc.aio.AbortError):
        raise
    except Exception:
        incident = uuid.uuid4().hex
        LOG.exception("unexpected error in a call", extra={"incident": incident})
        await abort(context, DisentanglementError(f"internal error; the server's log has it as incident {incident}"))


# ------------------------------------------------------------------------------------------------- error to details


def _metadata(error: DisentanglementError) -> dict[str, str]:
    return {"step": str(error.step), "what": error.what} if isinstance(error, errors.NonFiniteLoss) else {}


def _retry_info(error: errors.ResourceExhausted) -> RetryInfo:
    info = RetryInfo()
    info.retry_delay.FromNanoseconds(round(max(0.0, error.retry_after_s) * 1e9))
    return info


def _bad_request(violations: Sequence[Violation], *, room: int) -> BadRequest:
    """As many violations as fit into `room` bytes; the last says how many were left out."""
    fields = [_field_violation(violation) for violation in violations[: MAX_BYTES // 4]]
    kept = _count_that_fits(fields, room - _size(_left_out(len(violations))))
    if kept == len(violations):
        return BadRequest(field_violations=fields)
    return BadRequest(field_violations=[*fields[:kept], _left_out(len(violations) - kept)])


def _count_that_fits(fields: Iterable[BadRequest.FieldViolation], room: int) -> int:
    kept = 0
    for field in fields:
        room -= _size(field)
        if room < 0:
            break
        kept += 1
    return kept


def _field_violation(violation: Violation) -> BadRequest.FieldViolation:
    field, wanted, given = (_cut(part) for part in (violation.field, violation.wanted, violation.given))
    return BadRequest.FieldViolation(field=field, description=f"wanted {wanted}, got {given}")


def _left_out(count: int) -> BadRequest.FieldViolation:
    return _field_violation(Violation(OTHERS, "valid values there too", f"{count} more violations, left out here"))


def _size(field: BadRequest.FieldViolation) -> int:
    return int(field.ByteSize()) + 4  # tag and length


def _room(status: Status) -> int:
    """Bytes left for a BadRequest: the trailer is base64, 3 bytes in 4 characters."""
    return (MAX_BYTES - len(quote(status.message))) * 3 // 4 - int(status.ByteSize()) - 96


def _cut(text: str) -> str:
    valid = text.encode(errors="replace").decode()
    return valid if len(valid) <= MAX_PART_CHARACTERS else f"{valid[: MAX_PART_CHARACTERS - 3]}..."


def _shortened_message(text: str) -> str:
    valid = text.encode(errors="replace").decode()
    if len(quote(valid)) <= MAX_MESSAGE_BYTES:
        return valid
    kept, size = 0, len(quote("..."))
    while (size := size + len(quote(valid[kept]))) <= MAX_MESSAGE_BYTES:
        kept += 1
    return f"{valid[:kept]}..."


# ------------------------------------------------------------------------------------------------- details to error

AnyDetail = TypeVar("AnyDetail", bound=Message)


def _non_finite_loss(info: ErrorInfo) -> errors.NonFiniteLoss:
    step = info.metadata.get("step", "")
    return errors.NonFiniteLoss(int(step) if step.isdecimal() else 0, info.metadata.get("what", "the loss"))


def _details(metadata: Iterable[tuple[str, str | bytes]]) -> list[AnyMessage]:
    encoded = next((value for key, value in metadata if key == DETAILS_KEY), b"")
    try:
        return list(Status.FromString(encoded).details) if isinstance(encoded, bytes) else []
    except DecodeError:
        return []


def _unpacked(details: Iterable[AnyMessage], kind: type[AnyDetail]) -> list[AnyDetail]:
    found = []
    for detail in details:
        message = kind()
        if detail.TypeName() == message.DESCRIPTOR.full_name and _unpacks(detail, message):
            found.append(message)
    return found


def _unpacks(detail: AnyMessage, message: Message) -> bool:
    try:
        return detail.Unpack(message)
    except DecodeError:
        return False


def _violations(details: Iterable[AnyMessage]) -> list[Violation]:
    requests = _unpacked(details, BadRequest)
    return [_violation(field) for request in requests for field in request.field_violations]


def _violation(field: BadRequest.FieldViolation) -> Violation:
    wanted, _, given = field.description.removeprefix("wanted ").partition(", got ")
    return Violation(field.field, wanted, given)


def _retry_after_s(details: Iterable[AnyMessage]) -> float | None:
    return next((info.retry_delay.ToNanoseconds() / 1e9 for info in _unpacked(details, RetryInfo)), None)


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
