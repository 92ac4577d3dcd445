"""One authority for a test's cluster, and the certificates of all who talk in it (mutual TLS, made by openssl)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

DEADLINE_S = 60
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
CLIENT, SERVER = "clientAuth", "serverAuth"


class Authority:
    """Makes certificates below a folder: `<name>.crt` and `<name>.key`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        subject = ["-subj", "/CN=test-authority", "-days", "30"]
        extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]
        added = [word for extension in extensions for word in ("-addext", extension)]
        _openssl("req", "-x509", *KEY, "-keyout", self._path("ca.key"), "-out", self.certificate, *subject, *added)

    @property
    def certificate(self) -> Path:
        """The authority's own certificate (PEM)."""
        return self.folder / "ca.crt"

    def issue(
        self, name: str, user: str, *, groups: Sequence[str] = (), uses: Sequence[str] = (CLIENT,), hosts: str = ""
    ) -> tuple[Path, Path]:
        """A certificate of a user, or of a server that answers as `hosts` (`IP:127.0.0.1,DNS:localhost`)."""
        certificate, key, request = (self._path(f"{name}.{kind}") for kind in ("crt", "key", "csr"))
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        _openssl("req", "-new", *KEY, "-keyout", key, "-out", request, "-subj", subject)
        lines = ["keyUsage=critical,digitalSignature", f"extendedKeyUsage={','.join(uses)}"]
        extensions = self._path(f"{name}.ext")
        extensions.write_text("\n".join([*lines, *([f"subjectAltName={hosts}"] if hosts else [])]))
        signing = ["-CA", self.certificate, "-CAkey", self._path("ca.key"), "-CAcreateserial", "-days", "30"]
        _openssl("x509", "-req", "-in", request, *signing, "-out", certificate, "-extfile", extensions)
        request.unlink()
        extensions.unlink()
        return certificate, key

    def signing_key(self, name: str) -> tuple[Path, Path]:
        """An RSA key pair (private, public), as service account tokens are signed with."""
        private, public = self._path(f"{name}.key"), self._path(f"{name}.pub")
        _openssl("genrsa", "-out", private, "2048")
        _openssl("rsa", "-in", private, "-pubout", "-out", public)
        return private, public

    def _path(self, name: str) -> Path:
        return self.folder / name


def write_kubeconfig(path: Path, server: str, authority: Path, certificate: Path, key: Path) -> Path:
    """How a client finds a cluster and proves who it is."""
    user = {"client-certificate": str(certificate), "client-key": str(key)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
        "current-context": "test",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return path


def _openssl(*arguments: object) -> None:
    command = ["openssl", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE_S)
