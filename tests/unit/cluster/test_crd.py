"""The CustomResourceDefinition is written from the types, and structural as Kubernetes wants it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from disentanglement.cluster.crd import FIXED, definition, definition_text
from disentanglement.cluster.resource import StudyResourceSpec

FILE = Path(__file__).parents[3] / "k8s" / "base" / "crd" / "studies.yaml"
MAY_CHANGE = {"metrics", "parallelism", "priorityClass", "paused", "retryGeneration"}


def spec_schema() -> dict[str, Any]:
    found: dict[str, Any] = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def schemas(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from schemas(part, f"{path}.{name}")
    if "items" in schema:
        yield from schemas(schema["items"], f"{path}[]")


def test_the_file_is_current() -> None:
    assert FILE.read_text() == definition_text(), "run `make schema`"


def test_every_field_has_a_type_or_is_open() -> None:
    root = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for path, schema in schemas(root):
        assert "type" in schema or schema.get("x-kubernetes-preserve-unknown-fields"), path
        assert not {"$ref", "anyOf", "title", "const", "additionalProperties"} & schema.keys(), path


def test_every_field_that_a_researcher_writes_is_explained() -> None:
    for name, schema in spec_schema()["properties"].items():
        assert schema.get("description"), name


def test_each_field_may_change_or_a_rule_says_that_it_may_not() -> None:
    fields = {field.alias or name for name, field in StudyResourceSpec.model_fields.items()}
    assert fields == set(spec_schema()["properties"]) == set(FIXED) | MAY_CHANGE
    ruled = " ".join(rule["rule"] for rule in spec_schema()["x-kubernetes-validations"])
    assert all(f"self.{name} == oldSelf.{name}" in ruled for name in FIXED)
    assert not any(f"self.{name} == oldSelf.{name}" in ruled for name in MAY_CHANGE)


def test_the_columns_show_how_far_a_study_is() -> None:
    columns = definition()["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in columns] == ["Total", "Trained", "Evaluated", "Failed", "Phase", "Age"]
    status = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    paths = {path for path, _ in schemas(status, ".status")}
    shown = {column["jsonPath"] for column in columns if column["jsonPath"].startswith(".status")}
    assert shown <= paths


def test_the_server_fills_in_nothing_that_decides_a_number() -> None:
    inline = spec_schema()["properties"]["inline"]
    assert not [path for path, schema in schemas(inline) if "default" in schema]


def test_the_text_is_the_definition() -> None:
    assert yaml.safe_load(definition_text()) == definition()
