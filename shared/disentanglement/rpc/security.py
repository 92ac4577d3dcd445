"""Whether a connection is encrypted, and that a token never travels in clear by accident."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import grpc

from disentanglement.errors import SpecError

TLS_CA_VARIABLE = "DISENTANGLEMENT_TLS_CA"
INSECURE_VARIABLE = "DISENTANGLEMENT_INSECURE_CHANNEL"
SYSTEM: Literal["system"] = "system"

Authority = Path | Literal["system"]
"""A file of certificate authorities (PEM), or the roots that gRPC comes with for this system."""


@dataclass(frozen=True, slots=True)
class Security:
    """How channels are opened; TLS is used where `tls_ca` is given."""

    tls_ca: Authority | None = None
    is_insecure_allowed: bool = False
    """Said out loud: the token may be sent to other hosts in clear."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Security:
        """From DISENTANGLEMENT_TLS_CA (a file, or `system`) and DISENTANGLEMENT_INSECURE_CHANNEL (1: allowed)."""
        return cls(authority(env.get(TLS_CA_VARIABLE)), is_insecure_allowed(env))

    def credentials(self, target: str, token: str | None) -> grpc.ChannelCredentials | None:
        """TLS for the channel to `target`; None where it is not encrypted.

        Raises:
            SpecError: the file is not there, or the token would be sent to another host in clear.
        """
        if self.tls_ca == SYSTEM:
            return grpc.ssl_channel_credentials()
        if self.tls_ca is not None:
            return grpc.ssl_channel_credentials(_read(Path(self.tls_ca)))
        if token and not self.is_insecure_allowed and not is_local(target):
            wanted = (
                f"a file (PEM) or `system`, as a token is not sent to {target} in clear "
                f"(unless {INSECURE_VARIABLE}=1, or `insecure=True`, says so out loud)"
            )
            raise SpecError.of(TLS_CA_VARIABLE, wanted, "nothing")
        return None


def authority(text: str | None) -> Authority | None:
    """What an option or a variable says; None where it says nothing."""
    if not text:
        return None
    return SYSTEM if text == SYSTEM else Path(text)


def is_insecure_allowed(env: Mapping[str, str]) -> bool:
    """Whether somebody allowed in so many words that a token is sent in clear.

    Raises:
        SpecError: the variable is neither 0 nor 1.
    """
    text = env.get(INSECURE_VARIABLE) or "0"
    if text not in ("0", "1"):
        raise SpecError.of(INSECURE_VARIABLE, "0 or 1", text)
    return text == "1"


def is_local(target: str) -> bool:
    """Whether `host:port` is on this machine."""
    return is_loopback(target.rpartition(":")[0].removeprefix("[").removesuffix("]"))


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecError.of(TLS_CA_VARIABLE, "a file (PEM) that can be read, or `system`", path) from error
