"""Every object against the schemas of three releases of Kubernetes, where an unknown field is an error."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
from kubernetes_validate.utils import all_versions
from manifests import of_kind

MINORS = ("1.35", "1.36", "1.37")
OTHERS = ("CustomResourceDefinition",)
"""Without a strict schema: its fields hold any JSON schema."""

Items = list[dict[str, Any]]


@cache
def validated(text: str, minor: str) -> str:
    """The release whose schema the object has; once for what several overlays have in common."""
    item = json.loads(text)
    return str(kubernetes_validate.validate(item, minor, strict=item["kind"] not in OTHERS))


@pytest.mark.parametrize("minor", MINORS)
def test_every_object_is_valid(items: Items, minor: str) -> None:
    for item in items:
        if item["apiVersion"].startswith("kueue.x-k8s.io/"):
            continue
        assert validated(json.dumps(item), minor) == minor


def test_an_unknown_field_would_be_found(items: Items) -> None:
    for kind in ("ResourceQuota", "Deployment"):
        for item in of_kind(items, kind):
            wrong = {**item, "spec": {**item["spec"], "replica": 1}}
            with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
                kubernetes_validate.validate(wrong, MINORS[-1], strict=True)


def test_the_newest_releases_are_those_that_are_checked() -> None:
    known = {tuple(map(int, version.split(".")[:2])) for version in all_versions()}
    assert [f"{major}.{minor}" for major, minor in sorted(known)[-3:]] == list(MINORS)


def test_a_name_stands_for_one_object(items: Items) -> None:
    names = [(i["apiVersion"], i["kind"], i["metadata"].get("namespace"), i["metadata"]["name"]) for i in items]
    assert len(set(names)) == len(names)


def test_the_namespace_and_the_kinds_come_before_what_needs_them(items: Items) -> None:
    kinds = [item["kind"] for item in items]
    assert kinds[0] == "Namespace"
    if "CustomResourceDefinition" in kinds:
        assert kinds.index("CustomResourceDefinition") == 1


def test_everything_that_has_a_namespace_is_in_the_one_that_is_made(items: Items) -> None:
    (namespace,) = of_kind(items, "Namespace")
    for item in items:
        assert item["metadata"].get("namespace", namespace["metadata"]["name"]) == namespace["metadata"]["name"]
