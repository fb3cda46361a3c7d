"""Writes the catalogues of the examples and the demo anew, from what the servers list.

    .tools/mcp2/bin/python scripts/catalogs.py
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import mcp, parts, paths, process

COPIES = {
    "weather": ["examples/envoy", "examples/istio", "examples/envoy-gateway", "demo"],
    "bank": ["examples/envoy", "demo"],
}


def main() -> None:
    """Starts each server, asks it, and writes every copy."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, folders in COPIES.items():
            (port,) = process.free_ports(1)
            server = parts.McpServer.start(name, port, Path(scratch))
            try:
                listed = json.dumps(mcp.list_tools(port), indent=2) + "\n"
            finally:
                server.service.stop()
            for folder in folders:
                target = paths.ROOT / folder / f"catalogs/{name}.json"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(listed)


if __name__ == "__main__":
    main()
