"""`make cluster-test`: the stack as it is shipped, in a real cluster with real pods.

Two nodes (containerd, kubelet), our own images, `kubectl apply -k k8s/overlays/local`, and studies applied as a
researcher does it. Stages, by CLUSTER_ARGS="--stages install,study" (each needs `install`):
  install  images, cluster, `kubectl apply -k`, everything available
  study    a small Study to its table, equal to the run without a cluster bit for bit
  chaos    the same of another Study, while processes, pods, nodes, the control plane and MinIO are killed
  checks   good and bad Studies, rights of the accounts, Pod Security, probes, a bad image, GPUs on a node
It ends in one line of figures, and leaves the host as it was. `--clean FOLDER` removes what a killed run left, and the
folder.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import built_images
import container_engine
from host_state import differences, host_state
from kube import cluster as kube_cluster
from kube.chaos import run_chaos
from kube.checks import run_checks
from kube.cluster import Cluster, clean_up
from kube.comparison import run_study
from kube.installed import NAMESPACE, Installed, inside_network
from kube.leftovers import left_behind

from disentanglement.errors import DisentanglementError

STAGES: dict[str, Callable[[Installed, Path], str]] = {"study": run_study, "chaos": run_chaos, "checks": run_checks}
DATA_SET = "dummy_data"
FOLDERS = "disentanglement-cluster-"
"""How the names of folders of runs begin."""
ENDS_WITHIN_S = 10.0


SPACE = 16 << 30
"""Two nodes unpack 13 GB of images; a full disk shows itself only as a failed import."""


def main(arguments: Sequence[str]) -> int:
    """Runs the stages; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", default="study,chaos,checks", help="among study, chaos, checks (default: all)")
    parser.add_argument("--clean", type=Path, metavar="FOLDER", help="only remove what a killed run left there")
    parser.add_argument(
        "--images", type=Path, metavar="ARCHIVE", help="take these (docker save) instead of building them"
    )
    parser.add_argument("--keep", action="store_true", help="wait for Enter before the cluster is taken down")
    options = parser.parse_args(arguments)
    if options.clean:
        return clean(options.clean)
    wanted = [name for name in options.stages.split(",") if name and name != "install"]
    if unknown := set(wanted) - set(STAGES):
        parser.error(f"no such stage: {', '.join(unknown)}")
    if reason := kube_cluster.missing_programs() or container_engine.what_is_missing():
        sys.stderr.write(f"cluster-test: {reason}\n")
        return 1
    if (free := shutil.disk_usage(tempfile.gettempdir()).free) < SPACE:
        room = f"{SPACE >> 30} GiB free in {tempfile.gettempdir()} (TMPDIR) for the images of two nodes"
        sys.stderr.write(f"cluster-test: wanted {room}, got {free >> 30}\n")
        return 1
    with tempfile.TemporaryDirectory(prefix=FOLDERS) as folder:
        say(f"below {folder} (if this is killed: python tests/tools/cluster_test.py --clean {folder})")
        run(Path(folder), wanted, images=options.images, keep=options.keep)
    return 0


def clean(folder: Path) -> int:
    """Ends what a killed run left running and removes its folder (gigabytes of images); the exit status."""
    folder = folder.resolve()
    if not folder.name.startswith(FOLDERS):  # what follows removes all of it
        sys.stderr.write(f"cluster-test: --clean wanted the folder of a run ({FOLDERS}...), got {folder}\n")
        return 2
    marker = folder / "network"
    network = marker.read_text() if marker.exists() else folder.name
    clean_up(folder)
    until = time.monotonic() + ENDS_WITHIN_S
    while (left := left_behind(folder, network)) and time.monotonic() < until:
        time.sleep(0.1)  # what was killed takes a moment
    if left:
        sys.stderr.write("\n".join([*left, f"cluster-test: {folder} is in use still, and stays\n"]))
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def run(folder: Path, stages: Sequence[str], *, images: Path | None, keep: bool) -> None:
    """All stages in one cluster.

    Raises:
        AssertionError: something is not as it should be, or left behind.
    """
    clock, before = Clock(), host_state()
    archive = images or built_images.image_archive()
    clock.lap("images")
    with Cluster(folder, nodes=2) as cluster:
        clock.lap("cluster")
        cluster.import_image(archive)
        clock.lap("import")
        with inside_network(cluster):
            try:
                run_stages(Installed(cluster), stages, folder, clock)
            finally:
                if keep:
                    say(f"to enter it: {' '.join(cluster.network.enter)} bash; then:")
                    say(f"kubectl --kubeconfig={cluster.plane.admin_kubeconfig} --namespace={NAMESPACE} get pods")
                    input("Enter takes the cluster down\n")
    left = left_behind(folder, cluster.network.name) + differences(before, host_state())
    assert not left, "\n".join(left)
    clock.lap("down, host as it was")
    say(f"cluster-test: {', '.join(clock.figures)}")


def run_stages(installed: Installed, stages: Sequence[str], folder: Path, clock: Clock) -> None:
    """Installs, then one stage after the other, whether one fails or not.

    Raises:
        AssertionError: with what each of those said that failed.
    """
    installed.apply()
    installed.wait_until_available()
    installed.import_data(DATA_SET)
    clock.lap("apply -k to available and data imported")
    failed = []
    for name in stages:
        try:
            said = STAGES[name](installed, folder)
        except (AssertionError, TimeoutError, RuntimeError, DisentanglementError) as error:
            failed.append(f"{name}: {error}")
            said = f"FAILED: {error}"
        clock.lap(name, said)
    assert not failed, "\n".join(failed)


class Clock:
    """Says how long each stage took, when it ends."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self.figures: list[str] = []

    def lap(self, stage: str, said: str = "") -> None:
        """Writes down the seconds since the last call."""
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        self.figures.append(f"{stage} {seconds:.0f} s" + (f" ({said})" if said else ""))
        say(self.figures[-1])


def say(text: str) -> None:
    """For who waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _stop(number: int, frame: object) -> None:
    raise SystemExit(128 + number)  # through every `with` block


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main(sys.argv[1:]))
