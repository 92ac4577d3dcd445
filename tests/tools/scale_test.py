"""`make scale-test`: a published study, whole, through a real control plane whose nodes and pods are kwok's.

Real: etcd, the API server, the controller manager, the scheduler, MinIO, and our controller as its own process with its
own service account's rights. Played: nodes with 64 GPUs and their pods (kwok), what the workers would commit (the test
writer), and the data sets and models that do not exist yet (a test catalogue). Some models are chosen to fail, nodes
are drained and the controller is killed meanwhile; the study has to end exactly as chosen.

The metrics are few (two, of each of two representations), so that an object store on the same two cores keeps up: each
model leaves eight objects. A pod has four models, which makes 6,300 pods and some more; with `--models-per-pod 1` there
are 25,200, and the control plane, not the controller, takes four times as long.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import build_tools
import yaml
from kube.control_plane import GROUPS as CONTROL_PLANE_GROUPS
from kube.control_plane import ControlPlane
from kwok.catalogue import data_set_names, put_cards
from kwok.checks import differences
from kwok.controller import TIMES
from kwok.controller_process import (
    NAMESPACE,
    USER,
    ControllerProcess,
    install,
    kubeconfig_of_service_account,
    settings,
)
from kwok.fake_nodes import GPUS_PER_NODE, cpu_nodes, gpu_nodes
from kwok.figures import Durations, Sampler, Samples, requests_of
from kwok.processes import running_kwok, running_writer
from kwok.troubles import Trouble, share_done, troubles
from minio_server import S3Server, running_minio

from disentanglement.cluster.kinds import NODES, STUDIES, Object, ObjectName, name_of
from disentanglement.cluster.kubernetes_jobs import KubernetesApi, connect
from disentanglement.cluster.names import DEFAULT_PROJECT, resource_name
from disentanglement.storage.settings import open_store
from disentanglement.studies.published import study_spec

GROUPS = ("minio", *CONTROL_PLANE_GROUPS, "kwok")
AUDIT_LOG = "audit.log"
MOST_TOLD = 20
STUDY = "unsupervised_study_v1"
POLL_EVERY_S = 2.0
TOLD_EVERY_S = 15.0
MOST_OBJECTS = 200
LONGEST_RECONCILE_S = 1.0
MOST_REQUESTS_PER_MODEL = 2.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run came to."""

    models: int
    seconds: float
    requests: Counter[str]
    samples: Samples
    looks: Durations
    """A reconcile with all that it takes to know and to do: listings in the store, Jobs made, the status."""
    reconciles: Durations
    stored: int
    writer: Counter[str]

    @property
    def requests_per_model(self) -> float:
        """API requests of our controller, everything counted."""
        return sum(self.requests.values()) / self.models

    def line(self) -> str:
        """All in one line."""
        samples = self.samples
        parts = (
            f"{self.models} models in {self.seconds:.0f} s ({self.writer['pods']} pods)",
            f"{self.requests_per_model:.2f} API requests of the controller per model",
            f"reconcile {self.reconciles}",
            f"with listings and writes {self.looks}",
            f"controller {samples.controller_mib} MiB",
            f"at most {samples.objects} objects besides {samples.pods} pods and {samples.events} events",
            f"status {samples.status_bytes} bytes",
            f"{self.stored} objects in MinIO",
            f"{self.writer['idle']} pods that found their work done",
        )
        return f"scale-test: {'; '.join(parts)}"

    def details(self) -> str:
        """What the line sums up."""
        requests = ", ".join(f"{name} {count}" for name, count in self.requests.most_common())
        objects = ", ".join(f"{name} {count}" for name, count in sorted(self.samples.by_kind.items()))
        writer = ", ".join(f"{name} {count}" for name, count in sorted(self.writer.items()))
        return f"requests: {requests}\nobjects: {objects}\nwriter: {writer}"

    def beyond(self) -> Iterator[str]:
        """The bounds that were not kept."""
        if self.samples.objects >= MOST_OBJECTS:
            yield f"objects besides pods: wanted fewer than {MOST_OBJECTS}, got {self.samples.objects}"
        if not 0 < self.reconciles.longest < LONGEST_RECONCILE_S:
            yield f"longest reconcile: wanted less than {LONGEST_RECONCILE_S} s, got {self.reconciles.longest:.2f} s"
        if self.requests_per_model >= MOST_REQUESTS_PER_MODEL:
            yield f"requests per model: wanted fewer than {MOST_REQUESTS_PER_MODEL}, got {self.requests_per_model:.2f}"
        if self.writer["premature"]:
            yield f"scores before their representation: wanted none, got {self.writer['premature']}"


def study_object(options: argparse.Namespace) -> Object:
    """The Study that is applied."""
    spec: Object = {
        "study": STUDY,
        "metrics": options.metrics.split(","),
        "modelsPerPod": options.models_per_pod,
        "parallelism": options.gpu_nodes * GPUS_PER_NODE,
        "retention": {"finishedJobsSeconds": 60},
    }
    if options.models:
        spec["selection"] = {"models": options.models}
    metadata = {"name": resource_name(STUDY), "namespace": NAMESPACE}
    return {"apiVersion": STUDIES.api_version, "kind": STUDIES.name, "metadata": metadata, "spec": spec}


def run(options: argparse.Namespace, plane: ControlPlane, server: S3Server, folder: Path) -> tuple[Figures, list[str]]:
    """The study on this control plane, to its end; its figures, and what is not as it should be."""
    api = connect({"KUBECONFIG": str(plane.admin_kubeconfig)}, field_manager="test")
    for node in (*gpu_nodes(options.gpu_nodes), *cpu_nodes(options.cpu_nodes)):
        api.apply(NODES, node)
    install(plane)
    where = store_settings(server)
    store = open_store(env=where)
    put_cards(store, data_set_names(study_spec(STUDY)))
    times = folder / "times"
    mine = kubeconfig_of_service_account(plane, folder)
    environment = settings(folder, mine, where) | {TIMES: str(times)}
    study = study_object(options)
    with (
        ControllerProcess(environment, folder / "controller.log", module="kwok.controller") as controller,
        running_writer(plane.admin_kubeconfig, where, NAMESPACE, folder) as writer,
        Sampler(api, name_of(study), lambda: controller.pid) as samples,
    ):
        started = time.monotonic()
        api.apply(STUDIES, study)
        ended = wait_until_complete(api, name_of(study), controller, troubles(controller, plane), options.within)
        seconds = time.monotonic() - started
    figures = Figures(
        models=ended["status"]["counts"]["total"],
        seconds=seconds,
        requests=requests_of(folder / AUDIT_LOG, USER),
        samples=samples,
        looks=Durations.read(times, "look"),
        reconciles=Durations.read(times, "reconcile"),
        stored=sum(1 for _ in server.client().list_objects(bucket_of(where), recursive=True)),
        writer=Counter(writer.counts),
    )
    return figures, [*differences(store, ended["status"], DEFAULT_PROJECT, STUDY), *figures.beyond()]


def wait_until_complete(
    api: KubernetesApi, where: ObjectName, controller: ControllerProcess, due: list[Trouble], within_s: float
) -> Object:
    """Watches the study to its end while the troubles happen; the Study as it stands then."""
    started, told_at = time.monotonic(), 0.0
    status: Object = {}
    while (waited := time.monotonic() - started) < within_s:
        if not controller.is_alive():
            raise SystemExit(f"the controller has ended:\n{controller.log_tail}")
        study = api.get(STUDIES, where)
        status = study.get("status", {})
        while due and share_done(status) >= due[0].share:
            trouble = due.pop(0)
            tell(f"{waited:5.0f} s  {trouble.name}")
            trouble.happen()
        if waited - told_at > TOLD_EVERY_S:
            told_at = waited
            tell(f"{waited:5.0f} s  {status.get('phase', 'unseen'):9} {json.dumps(status.get('counts', {}))}")
        if status.get("phase") in ("Succeeded", "Failed"):
            return study
        time.sleep(POLL_EVERY_S)
    raise SystemExit(f"the study was not complete within {within_s:.0f} s: {json.dumps(status)}\n{controller.log_tail}")


def store_settings(server: S3Server) -> dict[str, str]:
    """The environment of everybody who opens the store: a fresh bucket."""
    return {
        "DISENTANGLEMENT_STORE": f"s3://{server.fresh_bucket()}",
        "DISENTANGLEMENT_S3_ENDPOINT": server.url,
        "DISENTANGLEMENT_S3_ACCESS_KEY": server.access_key,
        "DISENTANGLEMENT_S3_SECRET_KEY": server.secret_key,
    }


def bucket_of(where: dict[str, str]) -> str:
    """The bucket that a store's settings name."""
    return where["DISENTANGLEMENT_STORE"].removeprefix("s3://")


def tell(text: str) -> None:
    """To whoever waits."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def parse(words: list[str]) -> argparse.Namespace:
    """The options of `SCALE_ARGS`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="", help="numbers of models, e.g. 0-599 (default: all 12,600)")
    parser.add_argument("--metrics", default="mig,dci", help="which scores, by comma (default: mig,dci)")
    parser.add_argument("--models-per-pod", type=int, default=4, help="models of one pod (default 4)")
    parser.add_argument("--gpu-nodes", type=int, default=8, help="fake nodes with 8 GPUs each (default 8)")
    parser.add_argument("--cpu-nodes", type=int, default=4, help="fake nodes with 64 cores each (default 4)")
    parser.add_argument("--within", type=float, default=5400.0, help="seconds after which to give up (default 5400)")
    parser.add_argument("--keep", type=Path, help="a folder for logs, kept (default: a temporary one)")
    return parser.parse_args(words)


def audited(folder: Path) -> list[str]:
    """Flags with which the API server writes down every request of our controller."""
    policy = folder / "audit-policy.yaml"
    rules = [{"level": "Metadata", "users": [USER]}, {"level": "None"}]
    stages = ["RequestReceived", "ResponseStarted"]
    policy.write_text(
        yaml.safe_dump({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": stages, "rules": rules})
    )
    return [f"--audit-policy-file={policy}", f"--audit-log-path={folder / AUDIT_LOG}"]


def main(words: list[str]) -> int:
    """Runs the test; the exit status."""
    options = parse(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running
    if missing := what_is_missing():
        tell(missing)
        return 1
    with tempfile.TemporaryDirectory(prefix="scale-test-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        flags = {"kube-apiserver": audited(folder)}
        with (
            running_minio(needed("minio"), folder) as server,
            ControlPlane(folder / "plane", flags=flags) as plane,
            running_kwok(needed("kwok"), plane.admin_kubeconfig, folder),
        ):
            figures, wrong = run(options, plane, server, folder)
    tell(figures.details())
    for line in wrong[:MOST_TOLD]:
        tell(f"WRONG {line}")
    if len(wrong) > MOST_TOLD:
        tell(f"WRONG and {len(wrong) - MOST_TOLD} more")
    sys.stdout.write(f"{figures.line()}{'' if not wrong else ': FAILED'}\n")
    return 1 if wrong else 0


def what_is_missing() -> str:
    """Which programs have to be built first, empty if none."""
    missing = [group for group in GROUPS if not build_tools.is_built(group)]
    return f"build {', '.join(missing)} first: make scale-test does it" if missing else ""


def needed(name: str) -> Path:
    """A program that is there."""
    program = build_tools.program(name)
    assert program is not None
    return program


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
