"""The stack installed in a test's cluster, as an admin and a researcher see it: by kubectl, by the store, by gRPC."""

from __future__ import annotations

import ctypes
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from kube.cluster import Cluster

from disentanglement.storage.settings import open_store
from disentanglement.storage.store import Store

REPOSITORY = Path(__file__).parents[3]
OVERLAY = REPOSITORY / "k8s" / "overlays" / "local"
CREDENTIALS = OVERLAY / "settings" / "trial-credentials"
NAMESPACE = "disentanglement"
POLL_EVERY_S = 0.5
CLONE_NEWNET = 0x40000000
OWNER = 65532
DATA_IMPORTED_WITHIN_S = 240.0

Object = dict[str, Any]


@contextmanager
def inside_network(cluster: Cluster) -> Iterator[None]:
    """In the block this process and the children it starts live in the cluster's network."""
    with Path("/proc/self/ns/net").open() as own, cluster.network.path.open() as theirs:
        _enter(theirs.fileno())
        try:
            yield
        finally:
            _enter(own.fileno())


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "the network namespace can not be entered")


class Installed:
    """One installation of `k8s/overlays/local`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.plane = cluster.plane

    # ---- installing
    def apply(self) -> None:
        """`kubectl apply -k`, and a volume for MinIO as a cluster's storage class would make it."""
        self._provide_volume()
        self.kubectl("apply", "--server-side", "-k", OVERLAY)

    def wait_until_available(self, deadline_s: float = 300.0) -> None:
        """Waits for MinIO, its set-up and every Deployment."""
        self.wait(
            lambda: all(
                item["status"].get("availableReplicas", 0) >= item["spec"]["replicas"]
                for item in self.items("deployments") + self.items("statefulsets")
            ),
            "the Deployments are not available",
            deadline_s,
        )

    def import_data(self, name: str) -> None:
        """Puts a data set into the store, by the Job of `k8s/studies/import-data.yaml`."""
        job = yaml.safe_load((REPOSITORY / "k8s" / "studies" / "import-data.yaml").read_text())
        job["metadata"]["name"] = f"import-{name.replace('_', '-')}"
        job["spec"]["template"]["spec"]["containers"][0]["command"][-1] = name
        self.kubectl("apply", "-f", "-", input=yaml.safe_dump(job))
        self.wait(
            lambda: self.get("job", job["metadata"]["name"])["status"].get("succeeded", 0) == 1,
            f"{name} is not imported",
            DATA_IMPORTED_WITHIN_S,
        )

    # ---- kubectl
    def kubectl(self, *arguments: object, input: str | None = None, check: bool = True) -> str:
        """As the administrator, in our namespace."""
        return self.plane.kubectl(f"--namespace={NAMESPACE}", *arguments, input=input, check=check)

    def get(self, kind: str, name: str) -> Object:
        """One object."""
        found: Object = json.loads(self.kubectl("get", kind, name, "--output=json"))
        return found

    def items(self, kind: str, selector: str = "") -> list[Object]:
        """The objects of a kind, with these labels."""
        found: list[Object] = json.loads(self.kubectl("get", kind, f"--selector={selector}", "--output=json"))["items"]
        return found

    def apply_study(self, name: str, spec: Mapping[str, Any]) -> None:
        """`kubectl apply -f` of a Study."""
        metadata = {"name": name, "namespace": NAMESPACE}
        item = {"apiVersion": "disentanglement.dev/v1alpha1", "kind": "Study", "metadata": metadata, "spec": spec}
        self.kubectl("apply", "-f", "-", input=yaml.safe_dump(item))

    def phase(self, study: str) -> str:
        """As `kubectl get studies` shows it."""
        phase: str = self.get("study", study).get("status", {}).get("phase", "")
        return phase

    def wait_for_phase(self, study: str, phase: str, deadline_s: float = 600.0) -> None:
        """Waits until the Study is there.

        Raises:
            TimeoutError: with the resource, the pods and what the controller said.
        """
        self.wait(lambda: self.phase(study) == phase, f"{study} is not {phase}", deadline_s)

    def training_pods(self, study: str, phase: str = "Running") -> list[Object]:
        """Pods that train models of the study."""
        selector = f"disentanglement.dev/study={study},disentanglement.dev/step=train"
        pods = self.items("pods", selector)
        return [pod for pod in pods if pod["status"]["phase"] == phase and "deletionTimestamp" not in pod["metadata"]]

    def pod_of(self, component: str) -> Object:
        """The pod of a Deployment or StatefulSet that is running now."""
        [pod] = [
            pod
            for pod in self.items("pods", f"app.kubernetes.io/name={component}")
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]
        return pod

    def kill_process_of(self, pod: Object) -> None:
        """SIGKILL to the pod's first process, from the outside.

        Raises:
            RuntimeError: the pod has no process any more.
        """
        if not self.cluster.node_of(pod["spec"]["nodeName"]).kill_process_of(pod["metadata"]["uid"]):
            raise RuntimeError(f"{pod['metadata']['name']} has no process")

    def wait(self, condition: Callable[[], bool], message: str, deadline_s: float) -> None:
        """Looks again and again; an API server that is away at the moment is waited for."""
        deadline = time.monotonic() + deadline_s
        while True:
            try:
                if condition():
                    return
            except (RuntimeError, ValueError):
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"{message}\n{self.state()}")
            time.sleep(POLL_EVERY_S)

    def state(self) -> str:
        """What someone would look at first."""
        looks = (
            ("get", "studies,jobs,pods", "--output=wide"),
            ("get", "studies", "--output=yaml"),
            ("get", "events", "--sort-by=.lastTimestamp"),
            ("logs", "deployment/controller", "--tail=60"),
        )
        return "\n".join(self.kubectl(*look, check=False)[-8000:] for look in looks)

    # ---- store
    def address_of(self, service: str, port: int) -> str:
        """`host:port` of a Service, for this process (`inside_network`)."""
        return f"{self.get('service', service)['spec']['clusterIP']}:{port}"

    def store(self) -> Store:
        """The store, with MinIO's own credentials (`inside_network`)."""
        root = environment_of(CREDENTIALS / "minio-root.env")
        settings = environment_of(OVERLAY / "settings" / "store.env")
        return open_store(
            settings["DISENTANGLEMENT_STORE"],
            {
                "DISENTANGLEMENT_S3_ENDPOINT": f"http://{self.address_of('minio', 9000)}",
                "DISENTANGLEMENT_S3_ACCESS_KEY": root["MINIO_ROOT_USER"],
                "DISENTANGLEMENT_S3_SECRET_KEY": root["MINIO_ROOT_PASSWORD"],
            },
        )

    def token(self) -> str:
        """What the services ask of their callers."""
        return environment_of(CREDENTIALS / "token.env")["DISENTANGLEMENT_TOKEN"]

    def _provide_volume(self) -> None:
        folder = self.cluster.folder / "minio-data"
        folder.mkdir(exist_ok=True)
        os.chown(folder, OWNER, OWNER)
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "minio-data"},
            "spec": {
                "capacity": {"storage": "20Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": str(folder)},
            },
        }
        self.kubectl("apply", "-f", "-", input=yaml.safe_dump(volume))


def environment_of(file: Path) -> dict[str, str]:
    """The variables of an env file."""
    lines = [line.strip() for line in file.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
