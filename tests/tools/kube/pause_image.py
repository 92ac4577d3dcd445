"""The image that holds a pod's namespaces open: one static program, in an archive as `docker save` writes it."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

PAUSE_IMAGE = "docker.io/disentanglement-test/pause:1"
SOURCE = """
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void down(int number) { _exit(0); }
static void reap(int number) { while (waitpid(-1, 0, WNOHANG) > 0); }
int main(void) { signal(SIGINT, down); signal(SIGTERM, down); signal(SIGCHLD, reap); for (;;) pause(); }
"""
COMPILE_DEADLINE_S = 60


def write_pause_image(folder: Path) -> Path:
    """Compiles the program and writes the archive; its path."""
    program, archive = folder / "pause", folder / "pause.tar"
    compile = ["gcc", "-static", "-Os", "-s", "-x", "c", "-", "-o", str(program)]
    subprocess.run(compile, input=SOURCE.encode(), check=True, capture_output=True, timeout=COMPILE_DEADLINE_S)
    layer = _tar({"pause": (program.read_bytes(), 0o755)})
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]).encode()
    files = {"manifest.json": manifest, "config.json": config, "layer.tar": layer}
    archive.write_bytes(_tar({name: (data, 0o644) for name, data in files.items()}))
    return archive


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (data, mode) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), mode
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
