from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from disentanglement.rpc.callers import CALLER_HEADER, MAX_LENGTH, caller_of
from disentanglement.rpc.relay import _is_passed_on


@dataclass
class Context:
    metadata: tuple[tuple[str, str], ...] | None

    def invocation_metadata(self) -> Any:
        return self.metadata

    def peer(self) -> str:
        return "ipv4:127.0.0.1:40000"


@pytest.mark.parametrize(
    ("metadata", "caller"),
    [
        (None, "ipv4:127.0.0.1:40000"),
        ((("authorization", "Bearer x"),), "ipv4:127.0.0.1:40000"),
        ((("a", "b"), (CALLER_HEADER, "ipv4:10.0.0.7:5")), "ipv4:10.0.0.7:5"),
        (((CALLER_HEADER, "x" * 1000),), "x" * MAX_LENGTH),
    ],
)
def test_a_caller_is_the_connection_or_what_a_relay_says_it_was(metadata: Any, caller: str) -> None:
    assert caller_of(Context(metadata)) == caller  # type: ignore[arg-type]


def test_a_relay_does_not_pass_on_who_a_client_says_it_is() -> None:
    assert not _is_passed_on(CALLER_HEADER)
