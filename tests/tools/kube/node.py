"""A real node: containerd and kubelet, with control groups, images and logs of its own below one folder. Needs root."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import build_tools
from kube.certificates import SERVER
from kube.control_plane import ControlPlane
from kube.network import BRIDGE, Network
from kube.pause_image import PAUSE_IMAGE
from kube.processes import Processes

PROGRAMS = ("containerd", "ctr", "runc", "ip", "nsenter", "iptables", "conntrack", "openssl", "gcc")
PACKAGES = "containerd runc containernetworking-plugins iptables iproute2 conntrack openssl gcc libc6-dev"
"""That bring the programs, on Debian."""
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CONTROL_GROUPS = Path("/sys/fs/cgroup")
READY_WITHIN_S, IMPORT_DEADLINE_S, REMOVE_DEADLINE_S = 60.0, 600.0, 60.0
POLL_EVERY_S = 0.1
CPU_SHARES = {"cpu.shares": 1024, "cpu.weight": 100}
"""Of each processor, as a kubelet gives the pods of a whole machine; else they all have what one process has."""
MOST_CPU_SHARES = 10_000
NOTHING_EVICTED = dict.fromkeys(
    ["memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree"], "0%"
)


def missing_programs() -> str | None:
    """What to do before a node can start, or None."""
    if os.geteuid() != 0:
        return "a real node needs root"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent or not any(folder.is_dir() for folder in CNI_FOLDERS):
        return f"{', '.join(absent) or 'CNI plugins'} missing: apt-get install --no-install-recommends {PACKAGES}"
    if not build_tools.is_built("node"):
        return "run `make tools TEST_SERVERS=node`"
    return None


class Node:
    """One node of a cluster, by number from 0; all share one network."""

    def __init__(self, folder: Path, plane: ControlPlane, network: Network, index: int) -> None:
        self.index = index
        self.name = f"node{index + 1}"
        self.folder = folder / self.name
        self.plane = plane
        self.network = network
        self.processes = Processes(self.folder / "processes", prefix=network.enter)
        self.control_group = f"{network.name}-{self.name}"

    @property
    def address(self) -> str:
        """On the network's bridge."""
        return self.network.node_address(self.index)

    @property
    def socket(self) -> Path:
        """Where containerd listens."""
        return self.folder / "containerd.sock"

    def start(self) -> None:
        """Starts containerd and the kubelet, which registers the node."""
        self.start_containerd()
        self.start_kubelet()

    def start_containerd(self) -> None:
        """Starts containerd, to which images can then be given."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.network.add_address(self.index)
        _make_control_group(self.control_group)
        config = self._write("containerd.toml", self._containerd_config())
        self._write("cni/10-bridge.conflist", json.dumps(self._cni_config()))
        self.processes.start("containerd", ["containerd", "--config", config, "--log-level", "warn"])
        deadline = time.monotonic() + READY_WITHIN_S
        while self._ctr("version", check=False).returncode:
            if time.monotonic() > deadline:
                raise TimeoutError(f"containerd is not ready: {self.processes.tail('containerd')}")
            time.sleep(POLL_EVERY_S)

    def start_kubelet(self) -> None:
        """Starts the kubelet, again if it was killed."""
        config = self._write("kubelet.json", json.dumps(self._kubelet_config()))
        kubeconfig = self.plane.kubeconfig(self.name, f"system:node:{self.name}", ["system:nodes"])
        kubelet = [
            _program("kubelet"),
            f"--config={config}",
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.address}",
            f"--root-dir={self.folder / 'kubelet'}",
            f"--cert-dir={self.folder / 'pki'}",
            "--v=1",
        ]
        self.processes.start("kubelet", kubelet)

    def import_image(self, archive: Path) -> None:
        """Gives the node the images of an archive as `docker save` writes it."""
        self._ctr("images", "import", archive, deadline_s=IMPORT_DEADLINE_S)

    def lose(self) -> None:
        """The node is gone from one moment to the next: kubelet, containers and containerd are killed."""
        self.processes.kill("kubelet")
        self._kill_containers()
        self.processes.kill("containerd")

    def kill_process_of(self, pod_uid: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Signals the oldest process in the containers of a pod (not its pause); how many were signalled."""
        pids = [pid for pid in self._pids_of(pod_uid) if b"/pause" not in _command_line(pid)]
        for pid in pids[:1]:
            os.kill(pid, number)
        return len(pids[:1])

    def stop(self) -> None:
        """Ends all of it: processes, containers, mounts and control groups."""
        self.processes.kill("kubelet", signal.SIGTERM)
        self._kill_containers()
        self.processes.stop()
        _unmount_below(self.folder)
        _remove_control_group(self.control_group)

    def _kill_containers(self) -> None:
        for pid in _processes_below(self.control_group):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in _shims_of(self.socket):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _pids_of(self, pod_uid: str) -> list[int]:
        return sorted(pid for pid, group in _groups_below(self.control_group) if pod_uid in group)

    def _ctr(
        self, *arguments: object, check: bool = True, deadline_s: float = 30.0
    ) -> subprocess.CompletedProcess[bytes]:
        command = ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *map(str, arguments)]
        return subprocess.run(command, check=check, capture_output=True, timeout=deadline_s)

    def _write(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def _containerd_config(self) -> str:
        plugins = next(folder for folder in CNI_FOLDERS if folder.is_dir())
        return f"""
version = 2
root = "{self.folder}/containerd"
state = "{self.folder}/containerd-state"
oom_score = 0
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{self.folder}/cni"
"""

    def _cni_config(self) -> dict[str, Any]:
        first, last = 20 + 100 * self.index, 119 + 100 * self.index
        addresses = {
            "subnet": self.network.range,
            "rangeStart": f"{self.network.prefix}.{first}",
            "rangeEnd": f"{self.network.prefix}.{last}",
            "gateway": self.network.gateway,
        }
        ipam = {
            "type": "host-local",
            "dataDir": str(self.folder / "addresses"),
            "ranges": [[addresses]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipMasq": False, "hairpinMode": True}
        plugins = [{**bridge, "ipam": ipam}, {"type": "portmap", "capabilities": {"portMappings": True}}]
        return {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}

    def _kubelet_config(self) -> dict[str, Any]:
        hosts = f"DNS:{self.name},IP:{self.address},IP:127.0.0.1"
        crt, key = self.plane.authority.issue(f"{self.name}-server", self.name, uses=[SERVER], hosts=hosts)
        ca = str(self.plane.authority.certificate)
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "port": 10250,
            "healthzPort": 0,
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "tlsCertFile": str(crt),
            "tlsPrivateKeyFile": str(key),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": ca},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.control_group}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,
            "maxOpenFiles": 20000,
            "podLogsDir": str(self.folder / "pod-logs"),
            "evictionHard": NOTHING_EVICTED,
            "imageGCHighThresholdPercent": 100,
            "maxPods": 60,
            "clusterDNS": [self.network.gateway],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "nodeStatusUpdateFrequency": "4s",
            "serializeImagePulls": False,
        }


def _program(name: str) -> Path:
    path = build_tools.program(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not built: make tools TEST_SERVERS=node")
    return path


# ------------------------------------------------------------------------------------------------------ control groups
def _hierarchies() -> list[Path]:
    """One for each controller with version 1, the only one with version 2."""
    if (CONTROL_GROUPS / "cgroup.controllers").exists():
        return [CONTROL_GROUPS]
    return [path for path in CONTROL_GROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def _make_control_group(name: str) -> None:
    for hierarchy in _hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # empty in a new group of version 1, and nothing can enter it
            if (group / file).exists() and not (group / file).read_text().strip():
                (group / file).write_text((hierarchy / file).read_text())
        for file, share in CPU_SHARES.items():
            if (group / file).exists():
                (group / file).write_text(str(min(share * (os.cpu_count() or 1), MOST_CPU_SHARES)))


def _remove_control_group(name: str) -> None:
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


def _groups_below(name: str) -> list[tuple[int, str]]:
    """Process ids in the groups below one, with the path of each one's group."""
    found: dict[int, str] = {}
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / name):  # passes over groups that vanish meanwhile
            with suppress(OSError):
                found.update({int(line): folder for line in (Path(folder) / "cgroup.procs").read_text().split()})
    return sorted(found.items())


def _processes_below(name: str) -> list[int]:
    return [pid for pid, _ in _groups_below(name)]


# --------------------------------------------------------------------------------------------------- processes, mounts
def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _shims_of(socket: Path) -> list[int]:
    wanted = str(socket).encode()
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return [pid for pid in pids if b"containerd-shim" in (line := _command_line(pid)) and wanted in line.split(b"\0")]


def _unmount_below(folder: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False, capture_output=True, timeout=REMOVE_DEADLINE_S)
