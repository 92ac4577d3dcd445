"""Every error that the project raises on purpose.

The type answers "may this be tried again?": only `Unavailable`, `ResourceExhausted` and `Interrupted` may.
Messages name the field, what was wanted and what came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar


class DisentanglementError(Exception):
    """Root of the errors raised on purpose; `retryable` tells whether the same call may succeed later."""

    retryable: ClassVar[bool] = False

    @property
    def reason(self) -> str:
        """A stable machine-readable name, e.g. `CODES_MISSING`."""
        name = type(self).__name__
        return "".join(f"_{c}" if c.isupper() and i else c for i, c in enumerate(name)).upper()


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that is wrong: its path (`objective.beta_vae.beta`), what was wanted, what was given."""

    field: str
    wanted: str
    given: str

    def __str__(self) -> str:
        return f"{self.field}: wanted {self.wanted}, got {self.given}"


class SpecError(DisentanglementError):
    """A request that can never succeed as written."""

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations: Sequence[Violation] = tuple(violations)
        super().__init__("; ".join(map(str, self.violations)))

    def __reduce__(self) -> tuple[type[SpecError], tuple[Sequence[Violation]]]:
        return (type(self), (self.violations,))

    @classmethod
    def of(cls, field: str, wanted: str, given: object) -> SpecError:
        """The common case: one field."""
        return cls([Violation(field, wanted, str(given))])


class MetricUndefined(DisentanglementError):
    """The metric has no value on these arrays; the message names the code or factor to blame."""


class ArtifactNotFound(DisentanglementError):
    """There is no such job, study, representation or object."""


class StepNotCommitted(DisentanglementError):
    """An input step of this step has not been committed yet."""


class CodesMissing(StepNotCommitted):
    """The codes of a model were evicted: extract them again, then retry."""


class ArtifactConflict(DisentanglementError):
    """The key holds other content already."""


class CorruptArtifact(DisentanglementError):
    """Stored bytes do not match their recorded digest; never retried."""


class NotBuiltYet(DisentanglementError):
    """The protocol knows it, this release does not do it."""


class TrainingFailed(DisentanglementError):
    """The step cannot succeed as specified."""


class NonFiniteLoss(TrainingFailed):
    """A loss became NaN or infinite; the message has the step, and whose loss and which of its terms it was."""

    def __init__(self, step: int, what: str = "the loss") -> None:
        self.step, self.what = step, what
        super().__init__(f"{what} is not finite at step {step}; lower the learning rate or the strength")

    def __reduce__(self) -> tuple[type[NonFiniteLoss], tuple[int, str]]:
        return (NonFiniteLoss, (self.step, self.what))


class DeviceUnusable(DisentanglementError):
    """The device that was asked for can't be computed on; the work itself is not to blame."""


class Cancelled(DisentanglementError):
    """Someone asked for this work to stop for good; checkpoints stay."""


class Unauthenticated(DisentanglementError):
    """No token, or a wrong one."""


class PermissionDenied(DisentanglementError):
    """The token lacks the right."""


class StoreRefused(DisentanglementError):
    """The store does not let us in (credentials, permissions, no bucket): no step and no caller is to blame."""


class Interrupted(DisentanglementError):
    """Asked to stop (SIGTERM, Ctrl-C) with a checkpoint in place: run the same command again."""

    retryable: ClassVar[bool] = True


class Unavailable(DisentanglementError):
    """The store or a service cannot be reached; may succeed when tried again."""

    retryable: ClassVar[bool] = True


class DeadlineExceeded(Unavailable):
    """No answer in time."""


class WorkerDied(Unavailable):
    """The process that computed a step ended without an answer, e.g. for want of memory."""


class ResourceExhausted(DisentanglementError):
    """A queue is full or a cap is reached; try again after `retry_after_s` seconds."""

    retryable: ClassVar[bool] = True

    def __init__(self, message: str, *, retry_after_s: float = 5.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)
