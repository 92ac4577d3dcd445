"""A torch for images of tests where no index has builds for CPUs: the installed one, without 3 GB of CUDA libraries.

torch's own libraries name those of CUDA as needed, so they do not load without them. Here each is replaced by a stub
of some kilobytes that has its name and the functions that torch looks for, each answering 0. On a machine without a
GPU none is ever called: what is computed is what the installed torch computes, instruction for instruction.

Needs gcc, nm and readelf. The wheel is kept in the per-user cache, and served to pip as a package index.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import Distribution, PackagePath, distribution
from pathlib import Path

from caches import cache

REAL = ("libcudart.so.13", "libcupti.so.13")
"""Small, and called when torch is loaded: these come along."""

PORT = 41315
"""The address of the index is part of what decides a layer of the image, so it is the same every time."""

LEFT_OUT = ("torch/include/", "torch/test/")


@contextmanager
def served_index() -> Iterator[str]:
    """The URL of a package index on loopback that has this torch alone."""
    folder = wheel().parent
    handler = partial(_Quiet, directory=str(folder.parent))
    with ThreadingHTTPServer(("127.0.0.1", PORT), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def wheel() -> Path:
    """The wheel, made where it is not in the cache yet."""
    torch = distribution("torch")
    tag = re.search(r"^Tag: (\S+)$", torch.read_text("WHEEL") or "", re.MULTILINE)
    assert tag is not None, "torch was installed from no wheel"
    folder = cache("cpu-torch") / torch.version / "torch"
    made = folder / f"torch-{torch.version}+cpu.stubs-{tag[1]}.whl"
    if not made.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as building:
            _write(torch, Path(building) / made.name)
            (Path(building) / made.name).replace(made)
    return made


def _write(torch: Distribution, path: Path) -> None:
    libraries = Path(str(torch.locate_file("torch/lib")))
    info = f"torch-{torch.version}+cpu.stubs.dist-info"
    record: list[str] = []
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in filter(_is_wanted, torch.files or ()):
            name = re.sub(r"^torch-[^/]*\.dist-info", info, str(file))
            if name == f"{info}/METADATA":
                text = file.read_text()
                archive.writestr(
                    name, re.sub(r"(?m)^Version: .*$", f"Version: {torch.version}+cpu.stubs", text, count=1)
                )
            else:
                archive.write(str(file.locate()), name)
            record.append(name)
        for library in _cuda_libraries(libraries, Path(scratch)):
            archive.write(library, f"torch/lib/{library.name}")
            record.append(f"torch/lib/{library.name}")
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*record, f"{info}/RECORD"]))


def _is_wanted(file: PackagePath) -> bool:
    name = str(file)
    ours = not name.startswith("..") and not name.startswith(LEFT_OUT)
    return ours and not name.endswith((".dist-info/RECORD", ".pyc", "INSTALLER", "REQUESTED", "direct_url.json"))


def _cuda_libraries(torch_libraries: Path, scratch: Path) -> Iterator[Path]:
    wanted = list(torch_libraries.glob("*.so*"))
    names = {name for path in wanted for name in re.findall(r"NEEDED.*\[(.*)\]", _said("readelf", "-d", path))}
    looked_for = {
        line.split()[-1].partition("@")[0]
        for path in wanted
        for line in _said("nm", "-D", "--undefined-only", path).splitlines()
    }
    for library in sorted((torch_libraries.parent.parent / "nvidia").glob("**/*.so*")):
        if library.name in names:
            yield library if library.name in REAL else _stub(library, looked_for, scratch)


def _stub(library: Path, looked_for: set[str], scratch: Path) -> Path:
    functions: dict[str, str] = {}
    for line in _said("nm", "-D", "--defined-only", library).splitlines():
        name, _, version = line.split()[-1].partition("@")
        if name in looked_for:
            functions[name] = version.lstrip("@")
    source, versions, made = scratch / "stub.s", scratch / "stub.map", scratch / library.name
    labels = "".join(f".globl {name}\n.type {name}, @function\n{name}:\n" for name in functions)
    end = '.section .note.GNU-stack,"",@progbits\n'
    source.write_text(f".text\n{labels}xorl %eax, %eax\nret\n{end}")
    command: list[str | Path] = ["gcc", "-shared", "-nostdlib", f"-Wl,-soname,{library.name}", "-o", made, source]
    if any(functions.values()):
        versions.write_text("".join(_version(name, functions) for name in sorted(set(functions.values()) - {""})))
        command.append(f"-Wl,--version-script={versions}")
    subprocess.run(command, check=True)
    return made


def _version(version: str, functions: dict[str, str]) -> str:
    return f"{version} {{ global: {' '.join(f'{name};' for name, of in functions.items() if of == version)} }};\n"


def _said(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
