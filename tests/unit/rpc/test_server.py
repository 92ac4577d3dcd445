"""Where a server may listen, and for whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from disentanglement.errors import SpecError
from disentanglement.rpc.security import is_loopback
from disentanglement.rpc.server import Listening, host_of
from disentanglement.rpc.tokens import bearer

TOKEN = "s3cret"


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "some.pem"
    path.touch()
    return path


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:50051", "[::1]:80", "127.3.2.1:9"])
def test_on_loopback_nothing_is_needed(address: str) -> None:
    Listening(address).check()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "10.0.0.1:5", "example.org:443"])
def test_beyond_loopback_a_token_is_needed_always_and_tls_unless_refused_out_loud(address: str, pem: Path) -> None:
    for unguarded in (
        Listening(address),
        Listening(address, is_insecure_allowed=True),
        Listening(address, tls_cert=pem, tls_key=pem),
    ):
        with pytest.raises(SpecError, match="DISENTANGLEMENT_TOKEN"):
            unguarded.check()
    with pytest.raises(SpecError, match="--insecure-listen"):
        Listening(address, token=TOKEN).check()
    Listening(address, token=TOKEN, is_insecure_allowed=True).check()
    Listening(address, token=TOKEN, tls_cert=pem, tls_key=pem).check()


def test_half_of_tls_is_refused_everywhere(pem: Path) -> None:
    with pytest.raises(SpecError, match="--tls-cert and --tls-key together"):
        Listening(tls_cert=pem).check()
    with pytest.raises(SpecError, match="--tls-key: wanted a file"):
        Listening(tls_cert=pem, tls_key=pem.with_name("missing")).check()


@pytest.mark.parametrize("address", ["", "127.0.0.1", ":50051", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(SpecError, match="--listen: wanted host:port"):
        host_of(address)


def test_a_name_is_no_loopback_address_unless_it_is_localhost() -> None:
    assert is_loopback("localhost")
    assert not is_loopback("localhost.example.org")


def test_the_token_is_in_no_repr() -> None:
    assert TOKEN not in repr(Listening(token=TOKEN))
    assert bearer(TOKEN) == (("authorization", f"Bearer {TOKEN}"),)
    assert bearer(None) == bearer("") == ()
