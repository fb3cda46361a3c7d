"""Where things are in the project."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
E2E = ROOT / "e2e"
EXAMPLES = ROOT / "examples"
DEMO = ROOT / "demo"


def toolgate() -> Path:
    """The binary under test: `TOOLGATE`, else the one that the Rust suite built and ran."""
    path = Path(os.environ.get("TOOLGATE", ROOT / "target/debug/toolgate"))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: build it first (make program), or name another in TOOLGATE")
    return path


def envoy() -> Path:
    """The Envoy binary inside its wheel: its Python launcher would stand between us and a signal."""
    found = sorted((TOOLS / "envoy").glob("lib/python*/site-packages/envoy/_bin/envoy"))
    if not found:
        raise FileNotFoundError(f"no Envoy in {TOOLS}: run scripts/tools.sh")
    return found[0]


def collector() -> Path:
    """The collector's binary inside its wheel."""
    found = sorted((TOOLS / "otlp").glob("lib/python*/site-packages/rotel/rotel-agent"))
    if not found:
        raise FileNotFoundError(f"no collector in {TOOLS}: run scripts/tools.sh")
    return found[0]


def python(generation: str) -> Path:
    """The interpreter with one generation of the MCP SDK, `mcp1` or `mcp2`, or with the definitions of `otlp`."""
    return TOOLS / generation / "bin/python"


def node(script: str) -> list[str | Path]:
    """The command that runs a script of `e2e/` with the npm packages of the tools.

    Packages are looked for beside the script and above it. The link in the folder of the tools is such a place, if Node
    takes it as it is.
    """
    found = shutil.which("node")
    if found is None:
        raise FileNotFoundError("no Node.js on PATH: version 20 or later runs the authorization server and its clients")
    return [found, "--preserve-symlinks", "--preserve-symlinks-main", TOOLS / "node/e2e" / script]
