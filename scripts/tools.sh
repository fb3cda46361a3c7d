#!/usr/bin/env bash
# Makes .tools/: what the end-to-end suite and the demo need, and nothing of it anywhere else on the machine.
#   .tools/envoy  the real Envoy          .tools/mcp1  the MCP SDK of the handshake era
#   .tools/mcp2   the MCP SDK that speaks 2026-07-28, and the suite's own Python
#   .tools/node   an authorization server, and the MCP SDKs of both generations in TypeScript
# Needs python3.11 with pip, and Node.js 20 with npm. Versions are pinned in e2e/requirements-*.txt and e2e/node. A second
# run returns at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3.11}
command -v "$python" >/dev/null || { echo "tools: needs $python (or PYTHON=…)" >&2; exit 1; }
command -v npm >/dev/null || { echo "tools: needs Node.js 20 or later, with npm" >&2; exit 1; }

for env in envoy mcp1 mcp2; do
    folder=.tools/$env
    wanted=$("$python" -c 'import sys; print(sys.version)'; cat "e2e/requirements-$env.txt")
    # The stamp is written last, so an interrupted run is made anew; it holds the folder, since a venv cannot be moved.
    if [[ -f $folder/stamp && $(<"$folder/stamp") == "$PWD $wanted" ]]; then continue; fi
    echo "tools: making $folder" >&2
    rm -rf "$folder"
    "$python" -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "e2e/requirements-$env.txt"
    printf '%s\n' "$PWD $wanted" >"$folder/stamp"
done

folder=.tools/node
wanted=$(cat e2e/node/package-lock.json e2e/node/.npmrc)
if [[ ! -f $folder/stamp || $(<"$folder/stamp") != "$wanted" ]]; then
    echo "tools: making $folder" >&2
    rm -rf "$folder"
    mkdir -p "$folder"
    cp e2e/node/{package.json,package-lock.json,.npmrc} "$folder"
    npm ci --prefix "$folder" --ignore-scripts --silent
    # Node looks for packages beside a script and above it: by this way to the scripts, it finds them.
    ln -s ../../e2e "$folder/e2e"
    printf '%s\n' "$wanted" >"$folder/stamp"
fi
