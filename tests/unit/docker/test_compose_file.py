"""What docker/compose.yaml must say, and that real compose reads it; no container engine is needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from images import TARGETS, version

DOCKER = Path(__file__).parents[3] / "docker"
FILE = DOCKER / "compose.yaml"
IMAGE_LIST = Path(__file__).parents[3] / "k8s" / "base" / "config" / "images.env"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
COMPUTING = ("trainer", "postprocessor")


def test_it_has_minio_its_bucket_and_the_four_services_for_cpus_and_gpus() -> None:
    assert SERVICES.keys() == {"minio", "bucket", "evaluator", "aggregator"} | {
        f"{name}{suffix}" for name in COMPUTING for suffix in ("", "-gpu")
    }
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        f"{name}{suffix}": [profile] for name in COMPUTING for suffix, profile in (("", "cpu"), ("-gpu", "gpu"))
    }


def test_old_compose_reads_it_too() -> None:
    assert not {"version", "name", "secrets", "include"} & COMPOSE.keys()
    assert not any("build" in service for service in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_its_images_are_ours_at_the_version_of_the_project(name: str) -> None:
    found = re.fullmatch(r"\$\{IMAGE_PREFIX:-\}disentanglement/(\w+):\$\{IMAGE_TAG:-(.+)\}", SERVICES[name]["image"])
    assert found is not None
    assert found[1] in TARGETS
    assert found[2] == version()


@pytest.mark.parametrize("name", SERVICES)
def test_containers_may_do_little_and_come_back(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("on-failure" if name == "bucket" else "unless-stopped")


def test_ports_are_open_on_loopback_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_everybody_waits_for_health_and_nobody_for_a_service_that_a_profile_leaves_out() -> None:
    for service in SERVICES.values():
        for other, condition in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other == "bucket" else "service_healthy"
            assert condition == {"condition": wanted}
            assert "profiles" not in SERVICES[other]
    assert all(SERVICES[name].get("depends_on") for name in SERVICES if name != "minio")


@pytest.mark.parametrize("name", COMPUTING)
def test_with_a_gpu_a_service_has_the_same_address_and_another_device(name: str) -> None:
    cpu, gpu = SERVICES[name], SERVICES[f"{name}-gpu"]
    assert cpu["networks"] == gpu["networks"] == {"default": {"aliases": [name]}}
    assert gpu["environment"] == {**cpu["environment"], "DISENTANGLEMENT_DEVICE": "cuda"}
    assert gpu["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


def test_secrets_have_no_default_and_stand_in_the_example() -> None:
    needed = set(re.findall(r"\$\{(\w+):\?", FILE.read_text()))
    assert needed == {"DISENTANGLEMENT_TOKEN", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"}
    example = (DOCKER / ".env.example").read_text()
    assert all(re.search(rf"(?m)^{name}=\S", example) for name in needed)
    optional = set(re.findall(r"\$\{(\w+):-", FILE.read_text())) - {"DISENTANGLEMENT_LOG_LEVEL"}
    assert all(re.search(rf"(?m)^#?{name}=", example) for name in optional)


def test_the_image_list_of_the_cluster_names_the_same_images() -> None:
    listed = dict(line.split("=") for line in IMAGE_LIST.read_text().splitlines() if not line.startswith("#"))
    assert listed == {
        f"DISENTANGLEMENT_{target.upper()}_IMAGE": f"disentanglement/{target}:{version()}" for target in TARGETS
    }


def read_by(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """What compose makes of the file, for both profiles."""
    options = [
        "--env-file",
        str(DOCKER / ".env.example"),
        "--profile",
        "cpu",
        "--profile",
        "gpu",
        "config",
        "--services",
    ]
    return subprocess.run(
        [*command, "--file", str(FILE), *options],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )


@pytest.mark.parametrize("command", [["docker-compose"], ["docker", "compose"]])
def test_real_compose_reads_it(command: list[str], tmp_path: Path) -> None:
    if shutil.which(command[0]) is None or subprocess.run([*command, "version"], capture_output=True).returncode:
        pytest.skip(f"{' '.join(command)} is not installed")
    said = read_by(command, tmp_path)
    assert said.returncode == 0, said.stderr
    assert set(said.stdout.split()) == SERVICES.keys()
