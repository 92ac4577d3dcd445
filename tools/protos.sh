#!/usr/bin/env bash
# Generates what is made from protos/, and holds it against what is committed.
#
#   tools/protos.sh check    lint, breaking changes against protos/baseline.binpb, generated code up to date
#   tools/protos.sh write    the same checks of the protos, then writes the code and the new baseline
#
# BREAKING=yes accepts a change that breaks existing clients. The compiler is the oldest that we support
# (requirements/proto.txt, in $PROTO_VENV); buf does without its remote plugins and its registry.
set -euo pipefail
cd "$(dirname "$0")/.."

BUF=${BUF:-.venv/bin/buf}
PROTO_VENV=${PROTO_VENV:-.venv/proto}
COMMITTED=shared/disentanglement/v1
BASELINE=protos/baseline.binpb

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
shopt -s nullglob
sources=(protos/disentanglement/v1/*.proto)
services=(protos/disentanglement/v1/*_service.proto)
if ((${#sources[@]} == 0)); then
    echo "no protos yet"
    exit 0
fi

compile() {
    PATH="$PROTO_VENV/bin:$PATH" "$PROTO_VENV/bin/python" -W ignore -m grpc_tools.protoc -I protos \
        -I "$("$PROTO_VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" "$@"
}

generate() {
    compile --python_out="$made" --mypy_out=quiet:"$made" "${sources[@]}"
    if ((${#services[@]})); then
        compile --grpc_python_out="$made" --mypy_grpc_out=quiet:"$made" "${services[@]}"
    fi
    compile --include_imports --include_source_info --descriptor_set_out="$made/image.binpb" "${sources[@]}"
    compile --include_imports --descriptor_set_out="$made/baseline.binpb" "${sources[@]}"
    echo '"""Generated from protos/disentanglement/v1 by `make proto`; never edited by hand."""' \
        >"$made/disentanglement/v1/__init__.py"
}

check_protos() {
    "$BUF" lint "$made/image.binpb" --config buf.yaml --path disentanglement
    if [[ -f $BASELINE && ${BREAKING:-no} != yes ]]; then
        "$BUF" breaking "$made/image.binpb" --config buf.yaml --against "$BASELINE" --path disentanglement || {
            echo "These changes break existing clients. Where that is meant: make proto BREAKING=yes" >&2
            exit 1
        }
    fi
}

check_generated() {
    if ! diff -r -q -x __pycache__ "$COMMITTED" "$made/disentanglement/v1" || ! cmp "$BASELINE" "$made/baseline.binpb"; then
        echo "Generated code is not up to date: run make proto" >&2
        exit 1
    fi
}

write() {
    rm -rf "$COMMITTED"
    cp -R "$made/disentanglement/v1" "$COMMITTED"
    cp "$made/baseline.binpb" "$BASELINE"
}

generate
check_protos
case "${1:-}" in
check) check_generated ;;
write) write ;;
*) echo "usage: tools/protos.sh check|write" >&2 && exit 2 ;;
esac
