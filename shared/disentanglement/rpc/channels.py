"""How a client connects: TLS or not, the token, and which calls gRPC repeats by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import grpc

from disentanglement.errors import DisentanglementError
from disentanglement.rpc.retries import channel_options
from disentanglement.rpc.security import Security
from disentanglement.rpc.tokens import bearer

MAX_MESSAGE_BYTES = 4 << 20
STREAM_S = 3600.0
"""The deadline of one stream; a watch is then taken up again."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0


@dataclass(frozen=True)
class Connection:
    """Where a client calls and as whom."""

    target: str
    token: str | None = field(default=None, repr=False)
    security: Security = field(default_factory=Security)
    timeout_s: float = 60.0
    patience_s: float = 60.0
    """How long a broken watch is taken up again before it fails."""

    @property
    def options(self) -> list[tuple[str, Any]]:
        """Options of the channel."""
        return [
            *channel_options(),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ]

    @property
    def credentials(self) -> grpc.ChannelCredentials | None:
        """TLS credentials, if any; SpecError where the token would be sent to another host in clear."""
        return self.security.credentials(self.target, self.token)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call carries."""
        return bearer(self.token)


@dataclass
class Patience:
    """Decides how long to pause before a broken stream is taken up again."""

    longest_s: float
    _waited_s: float = 0.0
    _pause_s: float = FIRST_PAUSE_S

    def succeeded(self) -> None:
        """Something arrived: patience is whole again."""
        self._waited_s, self._pause_s = 0.0, FIRST_PAUSE_S

    def pause_after(self, error: DisentanglementError) -> float:
        """Seconds to pause; raises the error where it can not pass or has lasted too long."""
        if not error.retryable or self._waited_s >= self.longest_s:
            raise error
        pause = self._pause_s
        self._waited_s += pause
        self._pause_s = min(2 * pause, LONGEST_PAUSE_S)
        return pause
