"""Installations on a real API server: one command, admitted as it is, and again without harm."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from kube.control_plane import ControlPlane
from manifests import K8S, Item, PodTemplate, pod_templates, render

STACKS = ("overlays/local", "overlays/cluster")
HOME = "disentanglement"

pytestmark = pytest.mark.control_plane


@pytest.fixture(scope="module")
def api_server(control_plane_programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd and an API server with nothing in it; no controller makes pods of what is applied."""
    plane = ControlPlane(tmp_path_factory.mktemp("api-server"))
    try:
        plane.start("etcd", "kube-apiserver")
        yield plane
    finally:
        plane.stop()


def apply(api_server: ControlPlane, folder: str) -> subprocess.CompletedProcess[str]:
    """`kubectl apply -k`, which succeeds and warns of nothing."""
    done = api_server.run_kubectl("apply", "-k", K8S / folder)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done


@pytest.mark.parametrize("stack", STACKS)
def test_one_command_installs_everything_and_again_changes_nothing(api_server: ControlPlane, stack: str) -> None:
    assert "deployment.apps/controller " in apply(api_server, stack).stdout
    before = generations(api_server)
    apply(api_server, stack)
    assert before
    assert generations(api_server) == before


@pytest.mark.parametrize("stack", STACKS)
def test_every_pod_is_admitted_by_the_namespace(api_server: ControlPlane, kubectl_program: Path, stack: str) -> None:
    apply(api_server, stack)
    pods = list(pod_templates(render(kubectl_program, K8S / stack)))
    answer = create(api_server, [with_claims(pod) for pod in pods])
    assert answer.returncode == 0, answer.stderr
    assert len(answer.stdout.splitlines()) == len(pods)


def test_a_pod_that_could_become_root_is_not_admitted(api_server: ControlPlane) -> None:
    apply(api_server, "overlays/local")
    container = {"name": "root", "image": "example.com/root:1.0.0"}
    answer = create(api_server, [{"serviceAccountName": "disentanglement-worker", "containers": [container]}])
    assert answer.returncode != 0
    assert 'violates PodSecurity "restricted' in answer.stderr


def test_a_further_namespace_is_installed_beside(api_server: ControlPlane) -> None:
    apply(api_server, "overlays/local")
    apply(api_server, "namespace")
    account = f"system:serviceaccount:{HOME}:disentanglement-controller"
    asked = ("auth", "can-i", "create", "jobs.batch", f"--as={account}")
    assert api_server.kubectl(*asked, "-n", "vision").strip() == "yes"
    assert api_server.kubectl(*asked, "-n", "default", check=False).strip() == "no"


def generations(api_server: ControlPlane) -> str:
    """How often the wish of each object was changed; `configured` alone may mean that kubectl sent what stood."""
    kinds = "deployments,statefulsets,daemonsets,cronjobs,poddisruptionbudgets,networkpolicies,services"
    columns = "custom-columns=KIND:.kind,NAME:.metadata.name,GENERATION:.metadata.generation"
    return api_server.kubectl("get", kinds, "-n", HOME, "-o", columns)


def with_claims(pod: PodTemplate) -> Item:
    """The pod with the volumes that a StatefulSet adds to it."""
    claims = [claim["metadata"]["name"] for claim in pod.owner["spec"].get("volumeClaimTemplates", ())]
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": f"{name}-0"}} for name in claims]
    return {**pod.spec, "volumes": [*pod.spec["volumes"], *volumes]} if claims else pod.spec


def create(api_server: ControlPlane, specs: Sequence[Item]) -> subprocess.CompletedProcess[str]:
    """What the API server says to pods."""
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"tried-{number}", "namespace": HOME}, "spec": spec}
        for number, spec in enumerate(specs)
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})
    return api_server.run_kubectl("create", "--dry-run=server", "-f", "-", input=text)
