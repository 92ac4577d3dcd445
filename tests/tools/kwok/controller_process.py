"""Our controller as a process beside a test's control plane, with the rights of its own service account."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from kube.control_plane import ControlPlane

from disentanglement.cluster.names import SYSTEM_NAMESPACE

NAMESPACE = SYSTEM_NAMESPACE
SERVICE_ACCOUNT = "disentanglement-controller"
USER = f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"
TOOLS = Path(__file__).parent.parent
REPOSITORY = TOOLS.parent.parent
STOP_WITHIN_S = 20.0
NEEDED_FIRST = ("Namespace", "CustomResourceDefinition")
INSTALLED = (
    *NEEDED_FIRST,
    "ConfigMap",
    "PriorityClass",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
)
"""What the tests take of `k8s/base`: the controller runs beside the cluster, and the services are not needed."""

POOLS: Mapping[str, Any] = {
    "pools": {
        "gpu": {
            "nodeSelector": {"disentanglement.dev/pool": "gpu"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "4Gi"}},
            "gpu": {"resource": "nvidia.com/gpu", "count": 1},
            "device": "cuda",
        },
        "cpu": {
            "nodeSelector": {"disentanglement.dev/pool": "cpu"},
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        },
    },
    "defaults": {"train": "gpu", "postprocess": "gpu", "evaluate": "cpu"},
}


def install(plane: ControlPlane) -> None:
    """Namespace, resource definition, service accounts and rights, as `k8s/base` has them."""
    rendered = yaml.safe_load_all(plane.kubectl("kustomize", REPOSITORY / "k8s" / "base"))
    wanted = [item for item in rendered if item and item["kind"] in INSTALLED]
    wanted.sort(key=lambda item: item["kind"] not in NEEDED_FIRST)
    plane.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(wanted))
    plane.kubectl("wait", "--for=condition=Established", "crd/studies.disentanglement.dev", "--timeout=30s")


def kubeconfig_of_service_account(plane: ControlPlane, folder: Path, account: str = SERVICE_ACCOUNT) -> Path:
    """A kubeconfig with nothing but the token of a service account, by default the controller's."""
    token = plane.kubectl("create", "token", account, f"--namespace={NAMESPACE}", "--duration=24h").strip()
    [cluster] = yaml.safe_load(plane.admin_kubeconfig.read_text())["clusters"]
    path = folder / f"{account}.kubeconfig"
    path.touch(mode=0o600)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": account,
        "clusters": [cluster],
        "users": [{"name": account, "user": {"token": token}}],
        "contexts": [
            {"name": account, "context": {"cluster": cluster["name"], "user": account, "namespace": NAMESPACE}}
        ],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def settings(folder: Path, kubeconfig: Path, store: Mapping[str, str]) -> dict[str, str]:
    """The controller's environment: where the cluster, the store and the pools are."""
    pools = folder / "pools.yaml"
    pools.write_text(yaml.safe_dump(dict(POOLS)))
    images = {
        f"DISENTANGLEMENT_{name}_IMAGE": f"disentanglement/{name.lower()}:test"
        for name in ("TRAINER", "POSTPROCESSOR", "EVALUATOR")
    }
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder),
        "PYTHONPATH": str(TOOLS),
        "KUBECONFIG": str(kubeconfig),
        "DISENTANGLEMENT_WORKER_POOLS": str(pools),
        **images,
        **store,
    }


class ControllerProcess:
    """`control`, to be killed and started again."""

    def __init__(
        self, environment: Mapping[str, str], log: Path, module: str = "disentanglement.services.aggregator"
    ) -> None:
        self._environment = dict(environment)
        self._log = log
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ControllerProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the process that runs or ran last."""
        return self._process.pid if self._process else 0

    @property
    def log_tail(self) -> str:
        """The end of what it wrote."""
        return self._log.read_text()[-4000:] if self._log.exists() else ""

    def start(self) -> None:
        """Starts a process; its log is appended to."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, "control"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """SIGKILL, and a new process."""
        self._end(signal.SIGKILL)
        self.start()

    def stop(self) -> None:
        """SIGTERM; SIGKILL where that does not help in time."""
        self._end(signal.SIGTERM)

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
