"""A token is never sent to another host in clear unless somebody says so out loud."""

from __future__ import annotations

from pathlib import Path

import pytest

from disentanglement import Client
from disentanglement.cli.local_services import environment
from disentanglement.cli.remote_study import Server
from disentanglement.errors import SpecError
from disentanglement.rpc.security import Security, is_local
from disentanglement.services.aggregator.settings import AggregatorSettings

ELSEWHERE = "aggregator.example.org:50050"


def test_a_client_refuses_to_send_its_token_to_another_host_in_clear() -> None:
    with pytest.raises(SpecError, match=r"DISENTANGLEMENT_TLS_CA.*aggregator\.example\.org.*in clear"):
        Client(ELSEWHERE, "secret")


def test_a_client_sends_its_token_in_clear_where_insecure_says_so() -> None:
    with Client(ELSEWHERE, "secret", insecure=True), Client(ELSEWHERE), Client("[::1]:50050", "secret"):
        pass


def test_the_system_s_roots_make_a_connection_encrypted() -> None:
    assert Security("system").credentials(ELSEWHERE, "secret") is not None
    assert Security.from_env({"DISENTANGLEMENT_TLS_CA": "system"}).credentials(ELSEWHERE, None) is not None


def test_a_file_of_authorities_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"missing\.pem"):
        Security(tmp_path / "missing.pem").credentials(ELSEWHERE, None)


def test_the_command_refuses_as_the_client_does(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(ELSEWHERE, "secret", "default")
    with pytest.raises(SpecError, match="in clear"), server.client():
        pass
    monkeypatch.setenv("DISENTANGLEMENT_INSECURE_CHANNEL", "1")
    with server.client():
        pass


def test_the_aggregator_s_channels_follow_the_environment() -> None:
    settings = AggregatorSettings.from_env({"DISENTANGLEMENT_TOKEN": "secret"})
    with pytest.raises(SpecError, match="in clear"):
        settings.security.credentials("evaluator:50053", settings.token)
    assert settings.security.credentials("127.0.0.1:50053", settings.token) is None
    said = AggregatorSettings.from_env({"DISENTANGLEMENT_INSECURE_CHANNEL": "1"})
    assert said.security.credentials("evaluator:50053", "secret") is None


def test_words_that_are_neither_0_nor_1_allow_nothing() -> None:
    with pytest.raises(SpecError, match="DISENTANGLEMENT_INSECURE_CHANNEL"):
        Security.from_env({"DISENTANGLEMENT_INSECURE_CHANNEL": "yes"})


def test_services_of_this_machine_do_not_inherit_how_others_are_reached() -> None:
    assert environment({"DISENTANGLEMENT_TLS_CA": "system", "HOME": "/"}) == {"HOME": "/"}


@pytest.mark.parametrize("target", ["localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1"])
def test_loopback_targets_are_local(target: str) -> None:
    assert is_local(target)


@pytest.mark.parametrize("target", ["", "localhost.example.org:1", "10.0.0.1:1", "dns:///x/127.0.0.1:1", "0.0.0.0:1"])
def test_other_targets_are_not_local(target: str) -> None:
    assert not is_local(target)
