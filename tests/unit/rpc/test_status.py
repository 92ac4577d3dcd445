"""Errors as statuses and back: the client raises what the server raised."""

from __future__ import annotations

import asyncio
import base64
import inspect
import logging
from typing import Any, NoReturn
from urllib.parse import quote

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given, settings
from hypothesis import strategies as st

from disentanglement import errors
from disentanglement.errors import DisentanglementError, SpecError, Violation
from disentanglement.rpc.status import CODES, DETAILS_KEY, MAX_BYTES, OTHERS, aborting, from_rpc_error, to_status

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, DisentanglementError) and kind.__module__ == errors.__name__
]


class CallFailed(grpc.RpcError):
    """What a client catches: a status after it has crossed the wire."""

    def __init__(self, code: grpc.StatusCode, details: str, trailer: tuple[tuple[str, Any], ...] = ()) -> None:
        self._code, self._details, self._trailer = code, details, trailer

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> tuple[Any, ...]:
        return self._trailer


def crossed(error: DisentanglementError) -> DisentanglementError:
    status = to_status(error)
    return from_rpc_error(CallFailed(status.code, status.details, tuple(status.trailing_metadata)))


def rpc_status_of(error: DisentanglementError) -> Status:
    [(key, value)] = to_status(error).trailing_metadata
    assert key == DETAILS_KEY
    return Status.FromString(value)


def wire_bytes(error: DisentanglementError) -> int:
    status = to_status(error)
    trailers = [value for _, value in status.trailing_metadata if isinstance(value, bytes)]
    return len(quote(status.details)) + sum(len(base64.b64encode(value)) for value in trailers)


def example_of(kind: type[DisentanglementError]) -> DisentanglementError:
    if issubclass(kind, SpecError):
        return kind([Violation("objective.beta_vae.beta", "greater than or equal to 0", "-1.0")])
    if issubclass(kind, errors.NonFiniteLoss):
        return kind(17, "the discriminator's loss")
    if issubclass(kind, errors.ResourceExhausted):
        return kind("the queue is full", retry_after_s=2.5)
    return kind("what happened")


# ------------------------------------------------------------------------------------------------------ codes


def test_every_error_class_has_a_status_code() -> None:
    assert set(CODES) == set(CLASSES)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (SpecError, grpc.StatusCode.INVALID_ARGUMENT),
        (errors.MetricUndefined, grpc.StatusCode.INVALID_ARGUMENT),
        (errors.ArtifactNotFound, grpc.StatusCode.NOT_FOUND),
        (errors.StepNotCommitted, grpc.StatusCode.FAILED_PRECONDITION),
        (errors.CodesMissing, grpc.StatusCode.FAILED_PRECONDITION),
        (errors.NotBuiltYet, grpc.StatusCode.UNIMPLEMENTED),
        (errors.ResourceExhausted, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.Unavailable, grpc.StatusCode.UNAVAILABLE),
        (errors.Interrupted, grpc.StatusCode.UNAVAILABLE),
        (errors.CorruptArtifact, grpc.StatusCode.DATA_LOSS),
        (errors.Unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
        (errors.PermissionDenied, grpc.StatusCode.PERMISSION_DENIED),
        (errors.StoreRefused, grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
def test_situations_have_the_codes_that_the_protocol_promises(
    kind: type[DisentanglementError], code: grpc.StatusCode
) -> None:
    assert to_status(example_of(kind)).code is code


def test_only_errors_that_may_be_retried_have_a_code_that_clients_retry() -> None:
    retried = {kind for kind, code in CODES.items() if code is grpc.StatusCode.UNAVAILABLE}
    assert all(kind.retryable for kind in retried)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_comes_back_as_itself(kind: type[DisentanglementError]) -> None:
    sent = example_of(kind)
    received = crossed(sent)
    assert type(received) is kind
    assert (str(received), vars(received)) == (str(sent), vars(sent))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, SpecError),
        (grpc.StatusCode.NOT_FOUND, errors.ArtifactNotFound),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.StepNotCommitted),
        (grpc.StatusCode.UNIMPLEMENTED, errors.NotBuiltYet),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ResourceExhausted),
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.DATA_LOSS, errors.CorruptArtifact),
        (grpc.StatusCode.UNAUTHENTICATED, errors.Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, errors.PermissionDenied),
        (grpc.StatusCode.INTERNAL, DisentanglementError),
        (grpc.StatusCode.UNKNOWN, DisentanglementError),
    ],
)
def test_a_status_without_our_details_becomes_the_first_error_of_its_code(
    code: grpc.StatusCode, kind: type[DisentanglementError]
) -> None:
    received = from_rpc_error(CallFailed(code, "from a proxy"))
    assert type(received) is kind
    assert "from a proxy" in str(received)


def test_a_subclass_from_elsewhere_has_the_code_of_its_base() -> None:
    class BucketMissing(errors.Unavailable):
        pass

    assert to_status(BucketMissing("no bucket")).code is grpc.StatusCode.UNAVAILABLE
    assert type(crossed(BucketMissing("no bucket"))) is errors.Unavailable


# ---------------------------------------------------------------------------------------------------- details


def test_details_are_those_that_any_client_understands() -> None:
    status = rpc_status_of(example_of(SpecError))
    info, request = ErrorInfo(), BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(request)
    assert (info.reason, info.domain) == ("SPEC_ERROR", "disentanglement")
    assert [(each.field, each.description) for each in request.field_violations] == [
        ("objective.beta_vae.beta", "wanted greater than or equal to 0, got -1.0")
    ]


def test_what_a_caller_gave_is_restored_even_if_it_reads_like_our_words() -> None:
    sent = SpecError.of("dataset.name", "a known data set", "cars, got wanted, got stolen")
    assert vars(crossed(sent)) == vars(sent)


def test_a_full_queue_says_when_to_come_back() -> None:
    retry = RetryInfo()
    assert rpc_status_of(errors.ResourceExhausted("full", retry_after_s=2.5)).details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 2500


def test_violations_that_do_not_fit_are_counted() -> None:
    sent = SpecError([Violation(f"grid.product.{i}.sweep", "a known path", "x" * 50) for i in range(1000)])
    received = crossed(sent)
    assert isinstance(received, SpecError)
    *kept, last = received.violations
    assert kept == list(sent.violations[: len(kept)])
    assert len(kept) > 10
    assert last == Violation(OTHERS, "valid values there too", f"{1000 - len(kept)} more violations, left out here")
    assert 0.8 * MAX_BYTES < wire_bytes(sent) <= MAX_BYTES


violations = st.builds(Violation, st.text(max_size=400), st.text(max_size=400), st.text(max_size=400))


@settings(max_examples=100, deadline=None)
@given(sent=st.lists(violations, min_size=1, max_size=60).map(SpecError))
def test_a_status_is_never_larger_than_four_kilobytes(sent: SpecError) -> None:
    assert wire_bytes(sent) <= MAX_BYTES
    received = crossed(sent)
    assert isinstance(received, SpecError)
    assert received.violations


@settings(max_examples=50, deadline=None)
@given(message=st.text(max_size=5000), kind=st.sampled_from([errors.Unavailable, errors.ResourceExhausted]))
def test_messages_of_any_length_fit(message: str, kind: type[DisentanglementError]) -> None:
    assert wire_bytes(kind(message)) <= MAX_BYTES
    assert str(crossed(kind(message))).removesuffix("...") in (message or kind("").reason)


MALFORMED_REQUEST = AnyMessage(type_url="type.googleapis.com/google.rpc.BadRequest", value=b"\xff")


@pytest.mark.parametrize(
    "trailer",
    [
        ((DETAILS_KEY, b"\xff\xff"),),
        ((DETAILS_KEY, "text"),),
        (("another-bin", b"\x08\x03"),),
        ((DETAILS_KEY, Status(details=[MALFORMED_REQUEST]).SerializeToString()),),
    ],
)
def test_a_malformed_trailer_is_passed_over(trailer: tuple[tuple[str, Any], ...]) -> None:
    received = from_rpc_error(CallFailed(grpc.StatusCode.INVALID_ARGUMENT, "no such field", trailer))
    assert isinstance(received, SpecError)
    assert received.violations == (Violation("request", "a valid one", "no such field"),)


def test_details_of_another_domain_do_not_choose_our_class() -> None:
    status = Status(code=5)
    status.details.add().Pack(ErrorInfo(reason="SPEC_ERROR", domain="example.org"))
    failed = CallFailed(grpc.StatusCode.NOT_FOUND, "gone", ((DETAILS_KEY, status.SerializeToString()),))
    assert type(from_rpc_error(failed)) is errors.ArtifactNotFound


# ---------------------------------------------------------------------------------------------------- servicers


class Context:
    """The part of a servicer's context that ends a call."""

    def __init__(self) -> None:
        self.aborted: tuple[Any, ...] = ()

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        self.aborted = (code, details, trailing_metadata)
        raise grpc.aio.AbortError


async def ended(error: BaseException) -> tuple[Any, ...]:
    context: Any = Context()
    with pytest.raises(grpc.aio.AbortError):
        async with aborting(context):
            raise error
    return tuple(context.aborted)


async def test_errors_on_purpose_end_the_call_with_their_status() -> None:
    error = errors.CodesMissing("extract them again")
    status = to_status(error)
    assert await ended(error) == (status.code, status.details, status.trailing_metadata)


async def test_an_error_of_another_service_is_passed_on() -> None:
    status = to_status(example_of(SpecError))
    trailer = grpc.aio.Metadata(*status.trailing_metadata)
    code, details, _ = await ended(
        grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), trailer, status.details, None)
    )
    assert (code, details) == (status.code, status.details)


async def test_an_unexpected_error_is_logged_and_tells_the_client_nothing_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        code, details, trailer = await ended(KeyError("password=hunter2"))
    assert code is grpc.StatusCode.INTERNAL
    assert "hunter2" not in details
    assert all(b"hunter2" not in value for _, value in trailer)
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError
    assert record.__dict__["incident"] in details


async def test_a_call_that_its_body_has_ended_is_not_ended_again() -> None:
    context: Any = Context()
    with pytest.raises(grpc.aio.AbortError):
        async with aborting(context):
            await context.abort(grpc.StatusCode.OUT_OF_RANGE)
    assert context.aborted[0] is grpc.StatusCode.OUT_OF_RANGE


async def test_a_cancelled_call_stays_cancelled() -> None:
    context: Any = Context()
    with pytest.raises(asyncio.CancelledError):
        async with aborting(context):
            raise asyncio.CancelledError
    assert context.aborted == ()


async def test_a_body_that_succeeds_ends_nothing() -> None:
    context: Any = Context()
    async with aborting(context):
        pass
    assert context.aborted == ()
