"""A real Kubernetes cluster with real pods, on this machine, in a network namespace of its own. Needs root.

    with Cluster(folder, nodes=2) as cluster:
        cluster.import_image(Path("images.tar"))
        cluster.plane.kubectl("apply", "-k", "k8s/overlays/local")

Everything ends with the block, and the host is left as it was; `clean_up` does that for a run that was killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import build_tools
from kube import control_plane, node
from kube.control_plane import ControlPlane, Ports
from kube.leftovers import remove_leftovers
from kube.network import Network
from kube.node import Node
from kube.pause_image import write_pause_image
from kube.processes import Processes, Running, kill_recorded

GROUPS = (*control_plane.GROUPS, "node", "coredns")
PORTS = Ports(api=6443, etcd=2379, etcd_peer=2380, manager=10257, scheduler=10259)
"""In a network namespace of our own no port is taken."""
SERVICES = "10.97.0.0/20"
NODES_READY_WITHIN_S = 90.0
POLL_EVERY_S = 0.3


def missing_programs() -> str | None:
    """What to do before a cluster can start, or None."""
    if not all(map(build_tools.is_built, GROUPS)):
        return f"run `make tools TEST_SERVERS='{' '.join(GROUPS)}'`. {build_tools.what_is_missing() or ''}".strip()
    return node.missing_programs()


class Cluster(Running):
    """Control plane, nodes, kube-proxy and names (CoreDNS beside the nodes, not in a pod)."""

    def __init__(self, folder: Path, *, nodes: int = 1) -> None:
        self.folder = folder
        self.network = Network(f"dlt-{os.getpid()}")
        self.plane = ControlPlane(
            folder,
            address=self.network.gateway,
            ports=PORTS,
            service_cidr=SERVICES,
            prefix=self.network.enter,
            flags={"kube-controller-manager": ["--node-monitor-grace-period=16s", "--node-monitor-period=2s"]},
        )
        self.nodes = [Node(folder, self.plane, self.network, index) for index in range(nodes)]
        self.processes = Processes(folder / "services", prefix=self.network.enter)

    def start(self) -> None:
        """From certificates to nodes that are Ready."""
        (self.folder / "network").write_text(self.network.name)
        self.network.up()
        self.plane.start()
        self._start_names()
        pause = write_pause_image(self.folder)
        for each in self.nodes:
            each.start_containerd()
            each.import_image(pause)
            each.start_kubelet()
        self._start_proxy()
        self.wait_for_nodes()

    def stop(self) -> None:
        """Ends everything that was started."""
        for each in self.nodes:
            with suppress(OSError):
                each.stop()
        self.processes.stop()
        self.plane.stop()
        self.network.down()
        remove_leftovers(self.folder)

    def import_image(self, archive: Path) -> None:
        """Gives all nodes the images of an archive."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: each.import_image(archive), self.nodes))

    def wait_for_nodes(self) -> None:
        """Waits until every node says that it is Ready.

        Raises:
            TimeoutError: with the end of the kubelets' logs.
        """
        deadline = time.monotonic() + NODES_READY_WITHIN_S
        while self._ready_nodes() < {each.name for each in self.nodes}:
            if time.monotonic() > deadline:
                raise TimeoutError("\n".join(each.processes.tail("kubelet") for each in self.nodes))
            time.sleep(POLL_EVERY_S)

    def node_of(self, name: str) -> Node:
        """The node of this name."""
        return next(each for each in self.nodes if each.name == name)

    def run(self, *command: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs a command inside the cluster's network, as the host's user."""
        words = [*self.network.enter, *map(str, command)]
        return subprocess.run(words, text=True, capture_output=True, **options)

    def _ready_nodes(self) -> set[str]:
        items = json.loads(self.plane.kubectl("get", "nodes", "--output=json"))["items"]
        return {
            item["metadata"]["name"]
            for item in items
            for condition in item["status"].get("conditions", [])
            if condition["type"] == "Ready" and condition["status"] == "True"
        }

    def _start_names(self) -> None:
        """Names of Services, on the port where pods look for them. The administrator's rights spare a role."""
        corefile = self.folder / "Corefile"
        corefile.write_text(
            f".:53 {{\n  bind {self.network.gateway}\n  errors\n  kubernetes cluster.local in-addr.arpa {{\n"
            f"    kubeconfig {self.plane.admin_kubeconfig}\n    pods insecure\n  }}\n  cache 5\n}}\n"
        )
        self.processes.start("coredns", [_program("coredns"), "-conf", corefile])

    def _start_proxy(self) -> None:
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "bindAddress": self.network.gateway,
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "clientConnection": {"kubeconfig": str(self.plane.kubeconfig("kube-proxy", "system:kube-proxy"))},
            "clusterCIDR": self.network.range,
            "hostnameOverride": self.nodes[0].name,
            "conntrack": {"maxPerCore": 0, "min": 0},
            "oomScoreAdj": 0,
        }
        path = self.folder / "kube-proxy.json"
        path.write_text(json.dumps(config))
        self.processes.start("kube-proxy", [_program("kube-proxy"), f"--config={path}", "--v=1"])


def clean_up(folder: Path) -> None:
    """Removes what a run that was killed left behind."""
    kill_recorded(folder)
    marker = folder / "network"
    if not marker.exists():
        return
    network = Network(marker.read_text())
    plane = ControlPlane(folder, ports=PORTS)
    for path in sorted(folder.glob("node*")):
        if path.is_dir():
            Node(folder, plane, network, int(path.name.removeprefix("node")) - 1).stop()
    network.down()
    remove_leftovers(folder)


def _program(name: str) -> Path:
    path = build_tools.program(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not built: {missing_programs()}")
    return path
