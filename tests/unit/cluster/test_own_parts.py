"""The worked example of `docs/examples/` as a Study, whose code the controller wants trusted and at hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from plugin_files import plugin_files
from tiny_cluster import TinyCluster
from tiny_kubernetes import tiny_kubernetes

from disentanglement.cluster.crd import definition
from disentanglement.cluster.expansion import study_spec
from disentanglement.cluster.resource import StudyResource
from disentanglement.cluster.submission import resource_of
from disentanglement.specs import StudySpec, canonical, parse_spec
from disentanglement.specs.plugins import EVERYTHING, VARIABLE, plugins_of
from disentanglement.steps.admission import admit_study
from disentanglement.studies.records import load_plan, load_study

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
STUDY = yaml.safe_load((EXAMPLES / "study.yaml").read_text())
LISTED = "my_model,my_networks,my_metric"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[TinyCluster]:
    with tiny_kubernetes() as kubernetes:
        yield TinyCluster(kubernetes, tmp_path)


@pytest.fixture(autouse=True)
def _example() -> Iterator[None]:
    with plugin_files(EXAMPLES):
        yield


def apply(cluster: TinyCluster) -> None:
    spec: dict[str, Any] = resource_of(STUDY)["spec"]
    cluster.apply("own-parts", **spec)
    cluster.look("own-parts")


def test_the_resource_stands_for_the_same_study_and_fits_its_definition() -> None:
    item = resource_of(STUDY)
    assert canonical(study_spec(StudyResource.from_object(item))) == canonical(parse_spec(StudySpec, STUDY))
    schema = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    jsonschema.Draft4Validator(schema).validate(item["spec"])


def test_a_controller_that_does_not_trust_the_code_says_how_it_would(
    cluster: TinyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    apply(cluster)
    status, reason, message = cluster.condition("Accepted", "own-parts")
    assert (status, reason) == ("False", "InvalidSpec")
    assert VARIABLE in message


def test_a_controller_plans_as_the_command_does(cluster: TinyCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, LISTED)
    apply(cluster)
    assert cluster.condition("Accepted", "own-parts")[0] == "True"
    plan = load_plan(cluster.store, load_study(cluster.store, "default", "own_parts").plan)
    locally = admit_study(cluster.store, parse_spec(StudySpec, STUDY), trusted=EVERYTHING)
    assert plan.digest == locally.digest
    assert all(plugin.source_digest for model in plan.models for _, plugin in plugins_of([model.train]))
