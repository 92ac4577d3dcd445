"""How the command ends: one number per kind of end, shown in `disentangle --help`."""

from __future__ import annotations

from enum import IntEnum

from disentanglement import errors


class ExitCode(IntEnum):
    """Exit codes of `disentangle`; 69, 75 and up are those of sysexits.h and of shells."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    NOT_FOUND = 3
    FAILED = 4
    CORRUPT = 5
    DIFFERENT = 6
    UNAVAILABLE = 69
    TRY_AGAIN = 75
    DENIED = 77
    REFUSED = 78
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.UNEXPECTED: "unexpected error (a bug: the log has the traceback)",
    ExitCode.USAGE: "wrong usage, or a spec that can't succeed as written",
    ExitCode.NOT_FOUND: "no such study, model, data set or file",
    ExitCode.FAILED: "a step failed for good, or a metric has no value",
    ExitCode.CORRUPT: "stored bytes do not match their digest",
    ExitCode.DIFFERENT: "computing again gave other numbers",
    ExitCode.UNAVAILABLE: "store or service can't be reached: try again",
    ExitCode.TRY_AGAIN: "stopped or busy, checkpoints kept: run it again",
    ExitCode.DENIED: "no token, a wrong one, or one without the right",
    ExitCode.REFUSED: "the store refuses its credentials, or has no such bucket",
    ExitCode.INTERRUPTED: "Ctrl-C, checkpoints kept: run it again",
}

BY_ERROR: dict[type[errors.DisentanglementError], ExitCode] = {
    errors.DisentanglementError: ExitCode.FAILED,
    errors.SpecError: ExitCode.USAGE,
    errors.NotBuiltYet: ExitCode.USAGE,
    errors.ArtifactConflict: ExitCode.USAGE,
    errors.ArtifactNotFound: ExitCode.NOT_FOUND,
    errors.StepNotCommitted: ExitCode.NOT_FOUND,
    errors.CorruptArtifact: ExitCode.CORRUPT,
    errors.Unavailable: ExitCode.UNAVAILABLE,
    errors.ResourceExhausted: ExitCode.TRY_AGAIN,
    errors.Interrupted: ExitCode.TRY_AGAIN,
    errors.Unauthenticated: ExitCode.DENIED,
    errors.PermissionDenied: ExitCode.DENIED,
    errors.StoreRefused: ExitCode.REFUSED,
}
"""The nearest class above an error counts; what is not named has failed for good."""


def exit_code_of(error: errors.DisentanglementError) -> ExitCode:
    """The exit code of an error that ends the command."""
    return next(BY_ERROR[kind] for kind in type(error).__mro__ if kind in BY_ERROR)


def listing() -> str:
    """The table for `--help`."""
    return "Exit codes:\n\n" + "\n\n".join(f"{code.value}: {meaning}" for code, meaning in MEANINGS.items())
