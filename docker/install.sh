#!/bin/sh
# Runs in the builder: installs a file of hashed requirements into /opt/venv, or into PREFIX.
# pip's configuration and certificate authorities come as build secrets, so no layer keeps them.
#
#   install -r REQUIREMENTS
#
# TORCH_INDEX: torch comes from that index, by version; its builds have other hashes, and need no CUDA libraries.
set -eu
[ "$1" = -r ]
requirements=$2
[ ! -s /run/secrets/pip.conf ] || export PIP_CONFIG_FILE=/run/secrets/pip.conf
[ ! -s /run/secrets/ca.pem ] || export PIP_CERT=/run/secrets/ca.pem

pip_install() {
    /build/bin/pip --python "${PREFIX:-/opt/venv}/bin/python" install -q --no-deps "$@"
}

if [ -z "${TORCH_INDEX:-}" ]; then
    pip_install --require-hashes -r "$requirements"
else
    pip_install --index-url "$TORCH_INDEX" "$(grep -o '^torch==[^ ;]*' "$requirements")"
    awk '/^[a-z]/ { skip = /^(torch|cuda-[a-z]+|nvidia-[a-z0-9-]+)==/ } !skip' "$requirements" > /build/without-torch.txt
    pip_install --require-hashes -r /build/without-torch.txt
fi

site=$("${PREFIX:-/opt/venv}/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
python3 /build/bin/prune.py "$site"
# What is left has to load: a library that others are linked to may lie in a part that looked unused.
"${PREFIX:-/opt/venv}/bin/python" - "$site" <<'END'
import importlib, pathlib, sys

site = pathlib.Path(sys.argv[1])
wanted = ["numpy", "numba", "numpy.testing", "pandas", "pyarrow.parquet", "pyarrow.compute", "pyarrow.dataset", "grpc"]
wanted += ["scipy.stats", "scipy.optimize", "sklearn.ensemble", "sklearn.svm", "torch", "kubernetes.client", "minio"]
for name in wanted:
    if (site / name.partition(".")[0]).is_dir():
        importlib.import_module(name)
END
