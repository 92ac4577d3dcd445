"""Kueue's objects, which no cluster of these tests can try: their fields, and that a worker's pod would be admitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from manifests import Item, named, of_kind, quantity

from disentanglement.cluster.pools import Pool, parse_pools

Items = list[dict[str, Any]]
KUEUE = "cluster with Kueue"
API = "kueue.x-k8s.io/v1beta2"


def closed(*required: str, **properties: Any) -> dict[str, Any]:
    """The schema of an object that has these fields and no others."""
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
EFFECTS = {"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]}
FUNGIBLE = {"enum": ["MayStopSearch", "TryNextFlavor"]}
RESOURCE = closed("name", "nominalQuota", name=TEXT, nominalQuota=TEXT, borrowingLimit=TEXT, lendingLimit=TEXT)
GROUP = closed(
    "coveredResources",
    "flavors",
    coveredResources={"type": "array", "items": TEXT, "maxItems": 16, "uniqueItems": True},
    flavors={"type": "array", "items": closed("name", "resources", name=TEXT, resources={"items": RESOURCE})},
)
SPECS: Mapping[str, Any] = {
    "ResourceFlavor": closed(
        nodeLabels=LABELS,
        nodeTaints={"items": closed("key", "effect", key=TEXT, value=TEXT, effect=EFFECTS), "maxItems": 8},
        tolerations={"items": closed("key", key=TEXT, operator=TEXT, value=TEXT, effect=EFFECTS), "maxItems": 8},
    ),
    "ClusterQueue": closed(
        "resourceGroups",
        cohortName=TEXT,
        namespaceSelector={"type": "object"},
        queueingStrategy={"enum": ["StrictFIFO", "BestEffortFIFO"]},
        fairSharing=closed(weight=TEXT),
        flavorFungibility=closed(whenCanBorrow=FUNGIBLE, whenCanPreempt=FUNGIBLE),
        preemption=closed(
            reclaimWithinCohort={"enum": ["Never", "LowerPriority", "Any"]},
            borrowWithinCohort={"type": "object"},
            withinClusterQueue={"enum": ["Never", "LowerPriority", "LowerOrNewerEqualPriority"]},
        ),
        resourceGroups={"type": "array", "items": GROUP, "maxItems": 16},
    ),
    "LocalQueue": closed("clusterQueue", clusterQueue=TEXT),
}
"""The fields that we use, as the definitions of Kueue 0.19 have them."""


@pytest.fixture
def queues(rendered: Callable[[str], Items]) -> Items:
    """Kueue's objects alone."""
    return [item for item in rendered(KUEUE) if item["apiVersion"].startswith("kueue.")]


def test_every_object_has_fields_that_kueue_knows(queues: Items) -> None:
    assert {item["kind"] for item in queues} == SPECS.keys()
    for item in queues:
        assert item["apiVersion"] == API
        assert ("namespace" in item["metadata"]) is (item["kind"] == "LocalQueue")
        errors = [error.message for error in Draft202012Validator(SPECS[item["kind"]]).iter_errors(item["spec"])]
        assert not errors, item["metadata"]["name"]


def test_queues_lead_to_queues_and_flavors_that_are_there(queues: Items) -> None:
    flavors = {item["metadata"]["name"] for item in of_kind(queues, "ResourceFlavor")}
    groups = {item["metadata"]["name"]: item["spec"] for item in of_kind(queues, "ClusterQueue")}
    for item in of_kind(queues, "LocalQueue"):
        assert item["spec"]["clusterQueue"] in groups
        assert item["metadata"]["namespace"] == "disentanglement"
    for spec in groups.values():
        assert {flavor["name"] for group in spec["resourceGroups"] for flavor in group["flavors"]} == flavors


def test_groups_share_one_cohort_fairly_and_get_back_what_is_theirs(queues: Items) -> None:
    groups = [item["spec"] for item in of_kind(queues, "ClusterQueue")]
    assert len(groups) > 1
    assert {spec["cohortName"] for spec in groups} == {"research"}
    for spec in groups:
        assert Decimal(spec["fairSharing"]["weight"]) > 0
        assert spec["preemption"]["reclaimWithinCohort"] == "Any"


def test_every_flavor_has_a_quota_of_every_resource_of_its_group(queues: Items) -> None:
    for item in of_kind(queues, "ClusterQueue"):
        for group in item["spec"]["resourceGroups"]:
            for flavor in group["flavors"]:
                assert [r["name"] for r in flavor["resources"]] == group["coveredResources"], flavor["name"]
                assert all(quantity(r["nominalQuota"]) >= 0 for r in flavor["resources"])


@pytest.mark.parametrize(
    ("pool", "flavor"), [("gpu-spot", "gpu-spot"), ("gpu", "gpu-spot"), ("cpu", "cpu")], ids=lambda value: str(value)
)
def test_a_worker_of_each_pool_is_admitted_to_the_flavor_that_is_meant(
    rendered: Callable[[str], Items], queues: Items, pool: str, flavor: str
) -> None:
    chosen = parse_pools(named(rendered(KUEUE), "ConfigMap", "worker-pools")["data"]["pools.yaml"]).pools[pool]
    for item in of_kind(queues, "ClusterQueue"):
        assert first_flavor(chosen, item, queues) == flavor


def first_flavor(pool: Pool, group: Item, queues: Items) -> str:
    """The first flavor whose nodes the pool selects and tolerates, and that has what a worker asks for."""
    gpu = {pool.gpu.resource: str(pool.gpu.count)} if pool.gpu else {}
    asked = {**pool.resources.requests, **gpu}
    (resources,) = group["spec"]["resourceGroups"]
    assert asked.keys() <= set(resources["coveredResources"]), "Kueue never admits what no quota covers"
    for entry in resources["flavors"]:
        flavor = named(queues, "ResourceFlavor", entry["name"])["spec"]
        quotas = {resource["name"]: quantity(resource["nominalQuota"]) for resource in entry["resources"]}
        labels = flavor.get("nodeLabels", {})
        tolerated = [*pool.tolerations, *flavor.get("tolerations", ())]
        if (
            all(labels.get(name, value) == value for name, value in pool.node_selector.items())
            and all(any(t.get("key") == taint["key"] for t in tolerated) for taint in flavor.get("nodeTaints", ()))
            and all(quantity(amount) <= quotas[name] for name, amount in asked.items())
        ):
            return str(entry["name"])
    return ""
