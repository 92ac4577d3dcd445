"""Base images made here, for machines that can pull none: Debian with Python, and the same with this machine's Go.

They stand in for the official images that docker/Dockerfile names. Packages come from the mirror that this machine's
own apt uses.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from container_engine import Engine, EngineError, said

PACKAGES = ("ca-certificates", "python3", "python3-venv")
DOCUMENTATION = ("doc", "man", "locale", "info")
LEFT_OUT = ("./dev/*", "./proc/*", "./sys/*", "./var/cache/apt/*", "./var/lib/apt/lists/*")
REPOSITORY = "disentanglement-base"
BOOTSTRAP_S = 900.0


def base_images(engine: Engine) -> dict[str, str]:
    """The build arguments BASE and GO_BASE; the images are made where the engine has them not yet."""
    names = {"BASE": f"{REPOSITORY}:python", "GO_BASE": f"{REPOSITORY}:go-{go_version()}"}
    if all(engine.run("image", "ls", "--quiet", name).strip() for name in names.values()):
        return names
    with tempfile.TemporaryDirectory(prefix="base-image-") as folder:
        root = bootstrapped(Path(folder))
        _import(engine, names["BASE"], ["-C", str(root), "."])
        go = Path(said(["go", "env", "GOROOT"]).strip())
        moved = ["--transform", f"s,^{go.name}/,usr/local/go/,", "-C", str(go.parent)]
        parts = [f"{go.name}/{part}" for part in ("bin", "go.env", "lib", "pkg", "src", "VERSION")]
        _import(engine, names["GO_BASE"], ["-C", str(root), ".", *moved, *parts], path="/usr/local/go/bin:")
    return names


def go_version() -> str:
    """Of the Go on the PATH."""
    if shutil.which("go") is None:
        raise EngineError("Go is missing: it builds MinIO")
    return said(["go", "env", "GOVERSION"]).strip().removeprefix("go")


def bootstrapped(folder: Path) -> Path:
    """A small Debian, of this machine's own release, in a folder."""
    root = folder / "root"
    release = said(["sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME"]).strip()
    include = f"--include={','.join(PACKAGES)}"
    said(["debootstrap", "--variant=minbase", include, release, str(root), mirror(release)], timeout_s=BOOTSTRAP_S)
    for name in DOCUMENTATION:
        shutil.rmtree(root / "usr" / "share" / name)
    return root


def mirror(release: str) -> str:
    """The address that this machine's apt takes the release from.

    Raises:
        EngineError: its sources name none.
    """
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.*")]
    for path in (path for path in sources if path.suffix in (".list", ".sources") and path.is_file()):
        text = path.read_text()
        stanzas = (stanza for stanza in text.split("\n\n") if re.search(rf"(?m)^Suites:.*\b{release}\b", stanza))
        found = [re.search(r"(?m)^URIs:\s*(\S+)", stanza) for stanza in stanzas]
        found.append(re.search(rf"(?m)^deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+{release}\s", text))
        for match in filter(None, found):
            return match[1]
    raise EngineError(f"apt's sources on this machine name no mirror of {release}")


def _import(engine: Engine, name: str, members: Sequence[str], *, path: str = "") -> None:
    variable = f"ENV PATH={path}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    packing = ["tar", "-c", *(f"--exclude={pattern}" for pattern in LEFT_OUT), *members]
    with subprocess.Popen(packing, stdout=subprocess.PIPE) as tar:
        command = [engine.docker, "import", "--change", variable, "-", name]
        done = subprocess.run(command, stdin=tar.stdout, env=engine.environment, capture_output=True, text=True)
    if done.returncode or tar.returncode:
        raise EngineError(f"{name} was not made: {done.stderr}")
