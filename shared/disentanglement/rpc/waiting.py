"""How long a call may wait for its work."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from disentanglement.errors import SpecError

LONGEST_WAIT_S = 60.0


def wait_s(wait: Duration) -> float:
    """A request's `wait` in seconds, 60 at most; SpecError for a negative or malformed one."""
    seconds = wait.seconds + wait.nanos / 1e9
    if seconds < 0 or not -1e9 < wait.nanos < 1e9:
        raise SpecError.of("wait", "0 s or more", f"{wait.seconds} s and {wait.nanos} ns")
    return min(seconds, LONGEST_WAIT_S)
