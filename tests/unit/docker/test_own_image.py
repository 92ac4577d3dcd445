"""The Dockerfile of `docs/examples/`: its files lie where ours look for them, and may run there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from images import TARGETS

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "docs" / "examples"
DOCKERFILE = (EXAMPLES / "Dockerfile").read_text()
OURS = (ROOT / "docker" / "Dockerfile").read_text()


def instruction(name: str, text: str = DOCKERFILE) -> list[str]:
    """The arguments of every such instruction."""
    return re.findall(rf"(?m)^{name} (.+)$", text)


def modules_of(value: Any) -> set[str]:
    """Modules of all plugins in a study, by the names that it gives them."""
    if isinstance(value, dict):
        own = {value["plugin"]["name"].partition(":")[0]} if "plugin" in value else set()
        return own.union(*map(modules_of, value.values()))
    return set().union(*map(modules_of, value)) if isinstance(value, list) else set()


@pytest.fixture
def modules() -> set[str]:
    return modules_of(yaml.safe_load((EXAMPLES / "study.yaml").read_text()))


def test_every_module_of_the_study_is_in_the_image_and_trusted_there(modules: set[str]) -> None:
    (copied,) = instruction("COPY")
    *files, where = copied.split()
    assert {Path(name).stem for name in files} == modules
    assert all((EXAMPLES / name).is_file() for name in files)
    (trusted,) = instruction("ENV")
    assert trusted == f"DISENTANGLEMENT_PLUGINS={','.join(Path(name).stem for name in files)}"
    assert where == "/opt/app/"


def test_that_is_where_our_images_import_from() -> None:
    assert "echo /opt/app >" in OURS
    assert len(re.findall(r"COPY --from=app /opt/app /opt/app", OURS)) == 3


def test_it_can_be_built_upon_each_of_our_services() -> None:
    arguments = dict(argument.split("=", 1) for argument in instruction("ARG"))
    assert instruction("FROM") == ["${REGISTRY}/${SERVICE}:${TAG}"]
    assert arguments["SERVICE"] in TARGETS
    settings = (ROOT / "k8s" / "overlays" / "cluster" / "settings" / "images.env").read_text()
    assert f"{arguments['REGISTRY']}/{arguments['SERVICE']}:{arguments['TAG']}" in settings


def test_it_leaves_user_and_command_to_ours() -> None:
    assert not {"USER", "ENTRYPOINT", "CMD", "WORKDIR"} & set(re.findall(r"(?m)^([A-Z]+) ", DOCKERFILE))
