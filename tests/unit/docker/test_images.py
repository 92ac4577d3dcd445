"""tools/images.py: which command builds an image, and with which client."""

from __future__ import annotations

import subprocess
from pathlib import Path

import images
import pytest
from images import Build, CannotBuild, find_docker


def fake_docker(folder: Path, *, version: str, buildx: bool) -> str:
    """A client that answers what it is asked about itself; its folder."""
    folder.mkdir()
    program = folder / "docker"
    last = "exit 0" if buildx else "exit 1"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "Docker version {version}, build 1" && exit 0\n{last}\n'
    )
    program.chmod(0o755)
    return str(folder)


def test_a_build_names_its_target_its_tag_and_its_arguments() -> None:
    plan = Build("docker", "1.2", "registry.example.com/us/", {"BASE": "python:3", "TORCH_INDEX": ""}, "host")
    words = plan.command("trainer", {"ca.pem": Path("/ca")})
    text = " ".join(words)
    assert "--target trainer --tag registry.example.com/us/disentanglement/trainer:1.2" in text
    assert "--build-arg BASE=python:3" in text
    assert "TORCH_INDEX" not in text  # an empty one would begin the layer anew
    assert "--secret id=ca.pem,src=/ca" in text
    assert words[-3:] == ["--network", "host", "."]


def test_without_a_registry_names_have_no_host() -> None:
    assert Build("docker", "1").name("trainer") == "disentanglement/trainer:1"


def test_a_client_is_taken_that_has_buildkit(tmp_path: Path) -> None:
    new = fake_docker(tmp_path / "new", version="28.2.2", buildx=False)
    old = fake_docker(tmp_path / "old", version="20.10.24+dfsg1", buildx=False)
    with_plugin = fake_docker(tmp_path / "plugin", version="28.2.2", buildx=True)
    assert find_docker({"PATH": f"{new}:{old}"}) == f"{old}/docker"
    assert find_docker({"PATH": f"{new}:{with_plugin}"}) == f"{with_plugin}/docker"
    assert find_docker({"PATH": new, "DOCKER": "podman"}) == "podman"
    with pytest.raises(CannotBuild, match="buildx"):
        find_docker({"PATH": new})


def test_what_pip_is_told_about_indexes_goes_along_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "global.cert='/etc/ca'\nglobal.index-url='https://us:secret@host/simple'\n:env:.find-links='/wheels'\n"
    answer = subprocess.CompletedProcess([], 0, said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    assert images.pip_configuration() == "[global]\nindex-url = https://us:secret@host/simple\n"


def test_authorities_are_a_file_that_is_there(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert images.authorities({"PIP_CERT": "/no/such/file", "SSL_CERT_FILE": str(bundle)}) == bundle
    assert images.authorities({"PIP_CERT": str(tmp_path)}) is None
