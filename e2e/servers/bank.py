"""A bank over MCP, on the SDK of the handshake era: sessions, `initialize`, a standing stream.

    bank.py PORT [--record FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn
from mcp.server.fastmcp import FastMCP
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from recorder import recorded

server = FastMCP(
    "bank",
    log_level="WARNING",
    # As in weather.py: only Envoy reaches this port.
    transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
)

READ = ToolAnnotations(readOnlyHint=True, destructiveHint=False, openWorldHint=False)
WRITE = ToolAnnotations(readOnlyHint=False, destructiveHint=True, idempotentHint=False, openWorldHint=False)


@server.tool(annotations=READ, structured_output=False)
def get_balance(account: str) -> str:
    """The balance of an account."""
    return f"{account}: 1200.00"


@server.tool(annotations=WRITE, structured_output=False)
def transfer(amount: int, to: str, reference: str = "") -> str:
    """Moves money to another account."""
    return f"moved {amount} to {to}{f' ({reference})' if reference else ''}"


def main() -> None:
    """Serves on loopback at /mcp."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("port", type=int)
    arguments.add_argument("--record", type=Path)
    options = arguments.parse_args()
    app = server.streamable_http_app()
    uvicorn.run(recorded(app, options.record), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
