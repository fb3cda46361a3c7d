#!/usr/bin/env bash
# Makes .tools/: what the end-to-end suite and the demo need, and nothing of it anywhere else on the machine.
#   .tools/envoy  the real Envoy          .tools/mcp1  the MCP SDK of the handshake era
#   .tools/mcp2   the MCP SDK that speaks 2026-07-28, and the suite's own Python
#   .tools/otlp   the published definitions of OTLP, and a collector
#   .tools/node   an authorization server, and the MCP SDK of both generations in TypeScript
#   scripts/tools.sh [PART…]     all of them, or these
# Needs python3.11 with pip, and for `node` Node.js 20 or later with npm. Versions are pinned in e2e/requirements-*.txt and
# e2e/node. A second run returns at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3.11}
command -v "$python" >/dev/null || { echo "tools: needs $python (or PYTHON=…)" >&2; exit 1; }

# Whether a part is as wanted. The stamp is written last, so an interrupted run is made anew; it holds the folder, since a
# venv cannot be moved.
is_made() { [[ -f .tools/$1/stamp && $(<".tools/$1/stamp") == "$PWD $2" ]]; }

make_venv() {
    local folder=.tools/$1 wanted
    wanted=$("$python" -c 'import sys; print(sys.version)'; cat "e2e/requirements-$1.txt")
    if is_made "$1" "$wanted"; then return; fi
    echo "tools: making $folder" >&2
    rm -rf "$folder"
    "$python" -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "e2e/requirements-$1.txt"
    printf '%s\n' "$PWD $wanted" >"$folder/stamp"
}

make_node() {
    local folder=.tools/node wanted
    command -v npm >/dev/null || { echo "tools: needs Node.js 20 or later, with npm" >&2; exit 1; }
    wanted=$(cat e2e/node/{package-lock.json,.npmrc})
    if is_made node "$wanted"; then return; fi
    echo "tools: making $folder" >&2
    rm -rf "$folder"
    mkdir -p "$folder"
    cp e2e/node/{package.json,package-lock.json,.npmrc} "$folder"
    npm ci --prefix "$folder" --ignore-scripts --silent
    # Node looks for packages beside a script and above it: by this way to the scripts, it finds them.
    ln -s ../../e2e "$folder/e2e"
    printf '%s\n' "$PWD $wanted" >"$folder/stamp"
}

parts=("$@")
if [[ $# -eq 0 ]]; then parts=(envoy mcp1 mcp2 otlp node); fi
for part in "${parts[@]}"; do
    case $part in
        envoy | mcp1 | mcp2 | otlp) make_venv "$part" ;;
        node) make_node ;;
        *) echo "tools: no such part: $part" >&2; exit 1 ;;
    esac
done
