"""Where things are in the project."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
E2E = ROOT / "e2e"
EXAMPLES = ROOT / "examples"
DEMO = ROOT / "demo"


def toolgate() -> Path:
    """The binary under test: `TOOLGATE`, else the release build, which is the one that people run."""
    path = Path(os.environ.get("TOOLGATE", ROOT / "target/release/toolgate"))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: build it first (make build), or name another in TOOLGATE")
    return path


def envoy() -> Path:
    """The Envoy binary inside its wheel: its Python launcher would stand between us and a signal."""
    found = sorted((TOOLS / "envoy").glob("lib/python*/site-packages/envoy/_bin/envoy"))
    if not found:
        raise FileNotFoundError(f"no Envoy in {TOOLS}: run scripts/tools.sh")
    return found[0]


def python(generation: str) -> Path:
    """The interpreter with one generation of the MCP SDK: `mcp1` or `mcp2`."""
    return TOOLS / generation / "bin/python"
