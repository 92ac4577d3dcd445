"""How the command ends."""

from __future__ import annotations

import inspect

import pytest

from disentanglement import errors
from disentanglement.cli.exit_codes import MEANINGS, ExitCode, exit_code_of
from disentanglement.errors import DisentanglementError, NonFiniteLoss, SpecError

OURS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, DisentanglementError) and kind not in (SpecError, NonFiniteLoss, errors.ResourceExhausted)
]


def test_every_exit_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_every_error_of_ours_ends_with_a_documented_code_that_is_not_success(
    kind: type[DisentanglementError],
) -> None:
    code = exit_code_of(kind("something"))
    assert code in MEANINGS
    assert code not in (ExitCode.OK, ExitCode.UNEXPECTED)


@pytest.mark.parametrize("kind", [kind for kind in OURS if kind.retryable], ids=lambda kind: kind.__name__)
def test_what_may_be_tried_again_says_so_by_its_code(kind: type[DisentanglementError]) -> None:
    assert exit_code_of(kind("something")) in (ExitCode.UNAVAILABLE, ExitCode.TRY_AGAIN)


def test_some_codes_by_hand() -> None:
    assert exit_code_of(SpecError.of("a", "b", "c")) == 2
    assert exit_code_of(errors.ArtifactNotFound("x")) == 3
    assert exit_code_of(NonFiniteLoss(7)) == 4
    assert exit_code_of(errors.DeadlineExceeded("x")) == 69
    assert exit_code_of(errors.PermissionDenied("x")) == 77
    assert exit_code_of(errors.StoreRefused("x")) == 78
