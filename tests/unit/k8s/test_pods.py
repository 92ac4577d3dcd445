"""What an admin expects of every pod that we run."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from typing import Any

from manifests import Item, PodTemplate, named, of_kind, pod_templates, quantity

Items = list[dict[str, Any]]

SERVICES = ("aggregator", "trainer", "postprocessor", "evaluator")
TALK_TO_THE_API = ("aggregator", "trainer", "controller")
WAITS_ONLY = "DaemonSet/image-pre-pull"
GIB = 2**30


def containers(stack: Items) -> list[tuple[str, Item]]:
    return [(f"{pod.name}/{c['name']}", c) for pod in pod_templates(stack) for c in pod.containers]


def long_running(stack: Items) -> list[PodTemplate]:
    return [pod for pod in pod_templates(stack) if pod.is_long_running]


def test_an_installation_has_the_four_services_the_controller_and_the_collector(stack: Items) -> None:
    names = {pod.name for pod in pod_templates(stack)}
    assert names >= {*(f"Deployment/{name}" for name in (*SERVICES, "controller")), "CronJob/collector"}


def test_every_container_has_requests_and_limits_of_cpu_memory_and_disk(items: Items) -> None:
    for name, container in containers(items):
        for resource in ("cpu", "memory", "ephemeral-storage"):
            least = quantity(container["resources"]["requests"][resource])
            most = quantity(container["resources"]["limits"][resource])
            assert 0 < least <= most, f"{name}: {resource}"


def test_the_idle_stack_asks_for_less_than_one_cpu_and_two_gib(stack: Items) -> None:
    sums: Counter[str] = Counter()
    for pod in long_running(stack):
        for resource in ("cpu", "memory"):
            apart = sum(quantity(c["resources"]["requests"][resource]) for c in pod.spec["containers"])
            first = [quantity(c["resources"]["requests"][resource]) for c in pod.spec.get("initContainers", ())]
            sums[resource] += max([apart, *first]) * pod.replicas  # type: ignore[assignment]
    assert Decimal("0.3") < sums["cpu"] < 1
    assert GIB < sums["memory"] < 2 * GIB


def test_no_long_running_pod_asks_for_a_gpu(stack: Items) -> None:
    for pod in long_running(stack):
        for container in pod.containers:
            named_resources = {*container["resources"]["requests"], *container["resources"]["limits"]}
            assert named_resources == {"cpu", "memory", "ephemeral-storage"}, pod.name
            assert not container.get("resources", {}).get("claims"), pod.name


def test_every_image_has_a_version_and_is_pulled_once(items: Items) -> None:
    for name, container in containers(items):
        assert re.fullmatch(r"[a-z0-9./-]+:[0-9]+\.[0-9]+\.[0-9]+", container["image"]), f"{name}: {container['image']}"
        assert container["imagePullPolicy"] == "IfNotPresent", name


def test_every_container_is_unprivileged_and_can_not_write_to_its_image(items: Items) -> None:
    for name, container in containers(items):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


def test_every_pod_is_admitted_by_the_restricted_level_of_pod_security(items: Items) -> None:
    for pod in pod_templates(items):
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"] is True, pod.name
        assert context["runAsUser"] == context["runAsGroup"] == 65532, pod.name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, pod.name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys(), pod.name
        kinds = {kind for volume in pod.spec.get("volumes", ()) for kind in volume.keys() - {"name"}}
        assert kinds <= {"emptyDir", "configMap", "secret", "persistentVolumeClaim"}, pod.name
        assert not any("hostPort" in port for c in pod.containers for port in c.get("ports", ())), pod.name


def test_pod_security_is_enforced_by_the_label_of_the_namespace(items: Items) -> None:
    (namespace,) = of_kind(items, "Namespace")
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels["pod-security.kubernetes.io/warn"] == "restricted"


def test_what_is_written_goes_to_volumes_of_a_limited_size(items: Items) -> None:
    for pod in pod_templates(items):
        empty = {volume["name"]: volume["emptyDir"] for volume in pod.spec.get("volumes", ()) if "emptyDir" in volume}
        assert all(quantity(volume["sizeLimit"]) > 0 for volume in empty.values()), pod.name
        mounted = {mount["mountPath"]: mount for c in pod.spec["containers"] for mount in c.get("volumeMounts", ())}
        if pod.owner["kind"] != "DaemonSet":
            assert mounted["/tmp"]["name"] in empty, pod.name
        writable = {path for path, mount in mounted.items() if not mount.get("readOnly")}
        assert writable <= {"/tmp", "/var/lib/disentanglement", "/data"}, pod.name


def test_the_cache_keeps_below_the_volume_that_it_is_on(stack: Items) -> None:
    limit = float(named(stack, "ConfigMap", "disentanglement-services")["data"]["DISENTANGLEMENT_CACHE_GIB"])
    for name in SERVICES:
        volumes = {v["name"]: v for v in named(stack, "Deployment", name)["spec"]["template"]["spec"]["volumes"]}
        assert limit * GIB < quantity(volumes["data"]["emptyDir"]["sizeLimit"])


def test_every_long_running_pod_is_probed_for_start_readiness_and_life(stack: Items) -> None:
    for pod in long_running(stack):
        if pod.name == WAITS_ONLY:
            continue
        (container,) = pod.spec["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert 0 < container[probe]["timeoutSeconds"] <= container[probe]["periodSeconds"] * 2, pod.name
            if pod.owner["kind"] == "Deployment":
                assert container[probe]["grpc"] == {"port": 8086}, pod.name
        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 60, pod.name


def test_health_is_served_where_it_is_probed(stack: Items) -> None:
    for pod in of_kind(stack, "Deployment"):
        (container,) = pod["spec"]["template"]["spec"]["containers"]
        assert "--health-listen=0.0.0.0:8086" in container["args"], pod["metadata"]["name"]
        assert {"name": "health", "containerPort": 8086}.items() <= _ports(container)["health"].items()


def test_only_who_talks_to_the_api_server_has_a_token_mounted(stack: Items) -> None:
    for pod in pod_templates(stack):
        wanted = pod.owner["kind"] == "Deployment" and pod.owner["metadata"]["name"] in TALK_TO_THE_API
        assert pod.spec["automountServiceAccountToken"] is wanted, pod.name


def test_pods_run_under_the_accounts_that_fit_their_rights(stack: Items) -> None:
    accounts = {pod.name: pod.spec.get("serviceAccountName") for pod in pod_templates(stack)}
    assert accounts["Deployment/aggregator"] == accounts["Deployment/trainer"] == "disentanglement-aggregator"
    assert accounts["Deployment/postprocessor"] == accounts["Deployment/evaluator"] == "disentanglement-worker"
    assert accounts["Deployment/controller"] == "disentanglement-controller"
    assert accounts["CronJob/collector"] == "disentanglement-collector"


def test_everybody_has_store_credentials_of_their_own(stack: Items) -> None:
    wanted = {name: "worker" for name in ("trainer", "postprocessor", "evaluator")}
    wanted |= {"aggregator": "controller", "controller": "controller", "collector": "collector"}
    for pod in pod_templates(stack):
        if (name := pod.owner["metadata"]["name"]) not in wanted:
            continue
        (container,) = pod.spec["containers"]
        secrets = [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source]
        assert [s for s in secrets if "-store-" in s] == [f"disentanglement-store-{wanted[name]}"]
        assert ("disentanglement-token" in secrets) is (name in SERVICES)


def test_no_credential_stands_in_a_manifest_but_in_a_secret(items: Items) -> None:
    for item in of_kind(items, "ConfigMap"):
        words = ("SECRET", "ACCESS_KEY", "PASSWORD", "DISENTANGLEMENT_TOKEN")
        assert not any(word in key for key in item.get("data", {}) for word in words), item["metadata"]["name"]
    for name, container in containers(items):
        assert not any("SECRET" in e["name"] or "TOKEN" in e["name"] for e in container.get("env", ())), name


def test_everything_is_labelled_as_ours(items: Items) -> None:
    for item in items:
        metadata = item["metadata"]
        labels = {**metadata.get("labels", {})}
        if item["apiVersion"].startswith("kueue.x-k8s.io/") or item["kind"] == "Namespace":
            continue
        assert labels.get("app.kubernetes.io/part-of") == "disentanglement", f"{item['kind']}/{metadata['name']}"


def test_every_pod_says_what_it_is(stack: Items) -> None:
    for pod in pod_templates(stack):
        assert pod.labels["app.kubernetes.io/name"] == pod.owner["metadata"]["name"], pod.name
        assert pod.labels["app.kubernetes.io/part-of"] == "disentanglement", pod.name


def test_services_have_time_to_checkpoint_before_they_are_killed(stack: Items) -> None:
    grace = {pod.name: pod.spec["terminationGracePeriodSeconds"] for pod in long_running(stack)}
    assert all(grace[f"Deployment/{name}"] >= 120 for name in ("trainer", "postprocessor", "evaluator"))
    assert grace["Deployment/aggregator"] >= 60
    assert grace["Deployment/controller"] >= 30


def test_a_drain_is_never_blocked_for_good(stack: Items) -> None:
    budgets = {b["metadata"]["name"]: b["spec"] for b in of_kind(stack, "PodDisruptionBudget")}
    replicated = {pod.owner["metadata"]["name"]: pod for pod in long_running(stack) if pod.name != WAITS_ONLY}
    assert budgets.keys() == replicated.keys()
    for name, budget in budgets.items():
        assert budget["maxUnavailable"] == 1, name
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow", name
        assert budget["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}


def test_a_service_finds_its_pods_and_their_port(stack: Items) -> None:
    pods = {pod.owner["metadata"]["name"]: pod for pod in long_running(stack)}
    for service in of_kind(stack, "Service"):
        name, spec = service["metadata"]["name"], service["spec"]
        assert spec["type"] == "ClusterIP", name
        assert spec["selector"].items() <= pods[name].labels.items()
        (port,) = spec["ports"]
        assert _ports(pods[name].spec["containers"][0])[port["targetPort"]]["containerPort"] == port["port"]


def test_workers_give_way_to_services_and_to_others(stack: Items) -> None:
    values = {item["metadata"]["name"]: item["value"] for item in of_kind(stack, "PriorityClass")}
    assert values["disentanglement-services"] > 0 > values["disentanglement-urgent"] > values["disentanglement-studies"]
    assert values["disentanglement-studies"] >= -10  # below, the cluster autoscaler adds no node for a pod
    assert not any(item.get("globalDefault") for item in of_kind(stack, "PriorityClass"))
    for pod in pod_templates(stack):
        assert pod.spec["priorityClassName"] in values, pod.name


def test_pods_wait_for_no_config_that_nobody_makes(stack: Items) -> None:
    made = {(item["kind"], item["metadata"]["name"]) for item in of_kind(stack, "ConfigMap", "Secret")}
    given_by_the_admin = {
        ("Secret", f"disentanglement-{name}")
        for name in ("token", "store-worker", "store-controller", "store-collector", "tls")
    }
    for pod in pod_templates(stack):
        for kind, name in _references(pod):
            assert (kind, name) in made | given_by_the_admin, f"{pod.name}: {kind} {name}"


def _ports(container: Item) -> dict[str, Item]:
    return {port["name"]: port for port in container["ports"]}


def _references(pod: PodTemplate) -> list[tuple[str, str]]:
    found = []
    for container in pod.containers:
        for source in container.get("envFrom", ()):
            found += [("ConfigMap", source["configMapRef"]["name"])] if "configMapRef" in source else []
            found += [("Secret", source["secretRef"]["name"])] if "secretRef" in source else []
    for volume in pod.spec.get("volumes", ()):
        if "configMap" in volume and not volume["configMap"].get("optional"):
            found.append(("ConfigMap", volume["configMap"]["name"]))
        if "secret" in volume:
            found.append(("Secret", volume["secret"]["secretName"]))
    return found
