"""A real Kubernetes control plane for tests: etcd, API server, controller manager and scheduler, on loopback or on a
bridge's address. No root is needed; everything lies below one folder and ends with the block.

    with ControlPlane(folder) as plane:
        plane.kubectl("get", "namespaces")
"""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import build_tools
from kube.certificates import CLIENT, SERVER, Authority, write_kubeconfig
from kube.processes import Processes, Running

GROUPS = ("etcd", "control-plane")
NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
READY_WITHIN_S = 90.0
POLL_EVERY_S = 0.1
KUBECTL_DEADLINE_S = 120.0
USERS: Mapping[str, tuple[str, Sequence[str]]] = {
    "admin": ("admin", ("system:masters",)),
    "kube-controller-manager": ("system:kube-controller-manager", ()),
    "kube-scheduler": ("system:kube-scheduler", ()),
}
FAST = ["--kube-api-qps=1000", "--kube-api-burst=2000"]
"""The default of 20 requests a second makes big sweeps wait."""


@dataclass(frozen=True)
class Ports:
    """Where the parts listen."""

    api: int
    etcd: int
    etcd_peer: int
    manager: int
    scheduler: int

    @classmethod
    def free(cls) -> Self:
        """Five ports that nobody uses now."""
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(5)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            return cls(*(each.getsockname()[1] for each in sockets))


def missing_programs() -> str | None:
    """What to do before a control plane can start, or None."""
    if all(map(build_tools.is_built, GROUPS)):
        return None
    return f"run `make tools TEST_SERVERS='{' '.join(GROUPS)}'`. {build_tools.what_is_missing() or ''}".strip()


class ControlPlane(Running):
    """etcd and the three servers of Kubernetes."""

    def __init__(
        self,
        folder: Path,
        *,
        address: str = "127.0.0.1",
        ports: Ports | None = None,
        service_cidr: str = "10.97.0.0/20",
        prefix: Sequence[str] = (),
        flags: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`prefix` enters a network namespace; `flags` are further ones, by process."""
        self.folder = folder
        self.address = address
        self.ports = ports or Ports.free()
        self.service_cidr = service_cidr
        self.prefix = list(prefix)
        self.flags = flags or {}
        self.processes = Processes(folder / "processes", prefix=prefix)
        self._users: set[str] = set()

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{self.address}:{self.ports.api}"

    @cached_property
    def authority(self) -> Authority:
        """Who signs all certificates of this cluster."""
        return Authority(self.folder / "pki")

    @cached_property
    def admin_kubeconfig(self) -> Path:
        """May do everything."""
        return self.kubeconfig("admin", *USERS["admin"])

    def kubeconfig(self, name: str, user: str, groups: Sequence[str] = ()) -> Path:
        """The configuration of one user, made when first asked for."""
        path = self.folder / "kubeconfig" / f"{name}.yaml"
        if name in self._users:
            return path
        self._users.add(name)
        certificate, key = self.authority.issue(name, user, groups=groups)
        return write_kubeconfig(path, self.url, self.authority.certificate, certificate, key)

    def start(self, *names: str) -> None:
        """Starts what does not run of the named processes (all, if none is named), and waits until they are ready."""
        for name in names or NAMES:
            self.processes.start(name, self.command(name))
            if name == "kube-apiserver":
                self.wait_until_ready()
        self.wait_until_ready()

    def stop(self) -> None:
        """Ends all processes."""
        self.processes.stop()

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends one process; `start` brings it back with the same state."""
        self.processes.kill(name, number)

    def kubectl(self, *arguments: object, input: str | None = None, check: bool = True) -> str:
        """What `kubectl` says as the administrator.

        Raises:
            RuntimeError: with what it said, if it fails and `check` is on.
        """
        done = self.run_kubectl(*arguments, input=input)
        if check and done.returncode:
            raise RuntimeError(f"kubectl {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
        return done.stdout + ("" if check else done.stderr)

    def run_kubectl(self, *arguments: object, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs `kubectl` as the administrator, to the end."""
        command = [*self.prefix, _program("kubectl"), f"--kubeconfig={self.admin_kubeconfig}", *arguments]
        return subprocess.run(
            list(map(str, command)), input=input, capture_output=True, text=True, timeout=KUBECTL_DEADLINE_S
        )

    def wait_until_ready(self) -> None:
        """Waits for the API server's /readyz.

        Raises:
            TimeoutError: with the end of its log.
        """
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._is_ready():
            if not self.processes.is_running("kube-apiserver"):  # a first restart may meet "address already in use"
                self.processes.start("kube-apiserver", self.command("kube-apiserver"))
            if time.monotonic() > deadline:
                raise TimeoutError(f"the API server is not ready: {self.processes.tail('kube-apiserver')}")
            time.sleep(POLL_EVERY_S)

    def command(self, name: str) -> list[object]:
        """How a process is started."""
        arguments = getattr(self, f"_{name.replace('-', '_')}")
        return [_program(name), *arguments, *self.flags.get(name, ())]

    def _is_ready(self) -> bool:
        if self.prefix:  # in a namespace of its own, out of our reach
            return self.run_kubectl("get", "--raw", "/readyz", "--request-timeout=5s").returncode == 0
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", context=self._tls, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        _ = self.admin_kubeconfig
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        context.load_cert_chain(self._pki("admin.crt"), self._pki("admin.key"))
        return context

    @cached_property
    def _signing(self) -> tuple[Path, Path]:
        return self.authority.signing_key("service-accounts")

    def _pki(self, name: str) -> Path:
        return self.authority.folder / name

    @cached_property
    def _etcd(self) -> list[object]:
        crt, key = self.authority.issue("etcd", "etcd", uses=[SERVER, CLIENT], hosts="IP:127.0.0.1,DNS:localhost")
        client, peer = f"https://127.0.0.1:{self.ports.etcd}", f"https://127.0.0.1:{self.ports.etcd_peer}"
        files = [f"--cert-file={crt}", f"--key-file={key}", f"--peer-cert-file={crt}", f"--peer-key-file={key}"]
        ca = self.authority.certificate
        checks = ["--client-cert-auth", f"--trusted-ca-file={ca}", "--peer-client-cert-auth"]
        where = [f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}"]
        cluster = [f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=one={peer}", "--name=one"]
        data = [f"--data-dir={self.folder / 'etcd'}", "--quota-backend-bytes=4294967296", "--log-level=warn"]
        return [*data, *where, *cluster, *files, *checks, f"--peer-trusted-ca-file={ca}", "--unsafe-no-fsync"]

    @cached_property
    def _kube_apiserver(self) -> list[object]:
        ca = self.authority.certificate
        names = [f"DNS:kubernetes{part}" for part in ("", ".default", ".default.svc", ".default.svc.cluster.local")]
        addresses = dict.fromkeys(["127.0.0.1", self.address, _first_address(self.service_cidr)])
        hosts = ",".join([*names, "DNS:localhost", *(f"IP:{address}" for address in addresses)])
        crt, key = self.authority.issue("kube-apiserver", "kube-apiserver", uses=[SERVER], hosts=hosts)
        etcd_crt, etcd_key = self.authority.issue("etcd-client", "kube-apiserver")
        kubelet = self.authority.issue("kubelet-client", "kube-apiserver-kubelet", groups=["system:masters"])
        private, public = self._signing
        loopback = ["--endpoint-reconciler-type=none"] if self.address == "127.0.0.1" else []
        return [
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.ports.api}",
            f"--etcd-servers=https://127.0.0.1:{self.ports.etcd}",
            f"--etcd-cafile={ca}",
            f"--etcd-certfile={etcd_crt}",
            f"--etcd-keyfile={etcd_key}",
            f"--client-ca-file={ca}",
            f"--tls-cert-file={crt}",
            f"--tls-private-key-file={key}",
            f"--kubelet-certificate-authority={ca}",
            f"--kubelet-client-certificate={kubelet[0]}",
            f"--kubelet-client-key={kubelet[1]}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={public}",
            f"--service-account-signing-key-file={private}",
            f"--service-cluster-ip-range={self.service_cidr}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            "--anonymous-auth=false",
            "--profiling=false",
            *loopback,
        ]

    @cached_property
    def _kube_controller_manager(self) -> list[object]:
        ca = self.authority.certificate
        return [
            *self._component("kube-controller-manager", self.ports.manager),
            f"--root-ca-file={ca}",
            f"--service-account-private-key-file={self._signing[0]}",
            "--use-service-account-credentials",
            f"--cluster-signing-cert-file={ca}",
            f"--cluster-signing-key-file={self._pki('ca.key')}",
            "--concurrent-job-syncs=32",
        ]

    @cached_property
    def _kube_scheduler(self) -> list[object]:
        return self._component("kube-scheduler", self.ports.scheduler)

    def _component(self, name: str, port: int) -> list[object]:
        kubeconfig = self.kubeconfig(name, *USERS[name])
        crt, key = self.authority.issue(f"{name}-server", name, uses=[SERVER], hosts="IP:127.0.0.1,DNS:localhost")
        return [
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--tls-cert-file={crt}",
            f"--tls-private-key-file={key}",
            "--leader-elect=false",
            "--profiling=false",
            *FAST,
        ]


@contextlib.contextmanager
def running_control_plane(folder: Path, **options: Any) -> Iterator[ControlPlane]:
    """A control plane for the time of the block."""
    with ControlPlane(folder, **options) as plane:
        yield plane


def _first_address(cidr: str) -> str:
    network = cidr.partition("/")[0].split(".")
    return ".".join([*network[:3], str(int(network[3]) + 1)])


def _program(name: str) -> Path:
    path = build_tools.program(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not built: {missing_programs() or 'make tools'}")
    return path
