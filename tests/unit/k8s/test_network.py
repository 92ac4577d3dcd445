"""Who reaches whom, worked out from the rendered policies: no network plugin enforces them where tests run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from manifests import of_kind
from network_policies import NAME, Pod, is_allowed

Items = list[dict[str, Any]]

HOME = "disentanglement"
SERVICES = {"aggregator": 50050, "trainer": 50051, "postprocessor": 50052, "evaluator": 50053}
CLIENTS_OF_THE_STORE = (*SERVICES, "controller", "collector", "worker")
ALL = (*CLIENTS_OF_THE_STORE, "minio", "minio-set-up", "image-pre-pull")
CLIENT = {"disentanglement.dev/client": "true"}

DNS = Pod("kube-system", {}, {"kubernetes.io/metadata.name": "kube-system"}, address="10.0.0.53")
API_SERVER = Pod("", address="10.0.0.2")
INTERNET = Pod("", address="93.184.216.34")
METADATA = Pod("", address="169.254.169.254")


def pod(name: str, namespace: str = HOME) -> Pod:
    """A pod of ours."""
    ports = {"grpc": SERVICES[name]} if name in SERVICES else {"s3": 9000}
    labels = {"kubernetes.io/metadata.name": namespace}
    if namespace != HOME:
        labels["disentanglement.dev/studies"] = "true"
    return Pod(namespace, {NAME: name}, labels, ports)


def test_nothing_is_allowed_that_no_policy_names(stack: Items) -> None:
    stranger = Pod(HOME, {NAME: "stranger"}, {"kubernetes.io/metadata.name": HOME})
    for target in (*map(pod, ALL), API_SERVER, INTERNET, METADATA, stranger):
        assert not is_allowed(stack, stranger, target, 443)
    for name in ALL:
        assert not is_allowed(stack, pod(name), stranger, 80)
        assert not is_allowed(stack, Pod("elsewhere"), pod(name), SERVICES.get(name, 9000))


def test_everybody_may_ask_the_dns_and_nothing_else_there(items: Items) -> None:
    (namespace,) = of_kind(items, "Namespace")
    home = namespace["metadata"]["name"]
    assert is_allowed(items, pod("worker", home), DNS, 53, "UDP")
    assert is_allowed(items, pod("worker", home), DNS, 53)
    assert not is_allowed(items, pod("worker", home), DNS, 8080)


def test_the_aggregator_alone_reaches_the_other_services(stack: Items) -> None:
    for name, port in SERVICES.items():
        for source in ALL:
            wanted = source == "aggregator" and name != "aggregator"
            assert is_allowed(stack, pod(source), pod(name), port) is wanted, f"{source} -> {name}"
        assert not is_allowed(stack, pod("aggregator"), pod(name), 22)


def test_clients_with_a_label_reach_the_aggregator_and_no_further(stack: Items) -> None:
    here = Pod(HOME, CLIENT, {"kubernetes.io/metadata.name": HOME})
    of_a_labelled_namespace = Pod("notebooks", {}, CLIENT)
    for name, port in SERVICES.items():
        for client in (here, of_a_labelled_namespace):
            assert is_allowed(stack, client, pod(name), port) is (name == "aggregator"), name
    assert not is_allowed(stack, Pod("notebooks", CLIENT, {}), pod("aggregator"), SERVICES["aggregator"])


def test_three_may_talk_to_the_api_server(stack: Items) -> None:
    may = {name for name in ALL if is_allowed(stack, pod(name), API_SERVER, 6443)}
    assert may == {"controller", "aggregator", "trainer"}


def test_in_a_trial_the_clients_of_the_store_reach_minio_and_nobody_else_does(
    rendered: Callable[[str], Items],
) -> None:
    items = rendered("overlays/local")
    may = {name for name in ALL if is_allowed(items, pod(name), pod("minio"), 9000)}
    assert may == {*CLIENTS_OF_THE_STORE, "minio-set-up"}
    assert not any(is_allowed(items, pod(name), INTERNET, 80) for name in ALL)
    assert not any(is_allowed(items, pod(name), INTERNET, 443) for name in ("worker", "evaluator", "minio"))


def test_in_a_cluster_the_clients_of_the_store_reach_an_s3_outside_but_no_metadata_service(
    rendered: Callable[[str], Items],
) -> None:
    items = rendered("overlays/cluster")
    may = {name for name in ALL if is_allowed(items, pod(name), INTERNET, 443)}
    assert may == {*CLIENTS_OF_THE_STORE}
    assert not any(is_allowed(items, pod(name), INTERNET, 80) for name in ALL)
    assert not any(is_allowed(items, pod(name), METADATA, 80) for name in ALL)
    assert not is_allowed(items, pod("worker"), METADATA, 443)


@pytest.mark.parametrize("target", [INTERNET, pod("minio")], ids=["an S3 outside", "MinIO"])
def test_workers_of_a_further_namespace_reach_the_store(rendered: Callable[[str], Items], target: Pod) -> None:
    worker = pod("worker", "vision")
    both = [*rendered("namespace"), *rendered("overlays/local")]
    assert is_allowed(both, worker, target, 9000 if target.namespace else 443)
    assert not is_allowed(both, pod("notebook", "vision"), target, 9000 if target.namespace else 443)
    assert not any(is_allowed(both, worker, pod(name), port) for name, port in SERVICES.items())


def test_a_launcher_reaches_the_api_server_and_the_store(rendered: Callable[[str], Items]) -> None:
    both = [*rendered("namespace with a launcher"), *rendered("overlays/local")]
    launcher = pod("launcher", "vision")
    assert is_allowed(both, launcher, API_SERVER, 6443)
    assert is_allowed(both, launcher, pod("minio"), 9000)
    assert is_allowed(both, launcher, DNS, 53, "UDP")
    assert not any(is_allowed(both, launcher, pod(name), port) for name, port in SERVICES.items())
    assert not is_allowed(both, pod("worker", "vision"), API_SERVER, 6443)
