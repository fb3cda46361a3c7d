"""A weather service over MCP: the server that the demo and the end-to-end suite protect.

Speaks 2026-07-28 and the handshake era. It knows nothing of tokens: whatever reaches it was let through by toolgate.

    weather.py PORT [--record FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from recorder import recorded

server = MCPServer("weather", version="1.0.0", log_level="WARNING")

READ = ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False)
WRITE = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
DESTROY = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


@server.tool(annotations=READ, structured_output=False)
def get_forecast(city: str, days: int = 1) -> str:
    """The forecast for a city, for up to 14 days."""
    return f"{city}: sun and a light breeze for {days} day{'' if days == 1 else 's'}"


@server.tool(annotations=READ, structured_output=False)
def list_alerts(region: str = "all", minimum_severity: int = 0) -> str:
    """Weather alerts in force."""
    return f"storm warning, severity {max(minimum_severity, 3)} ({region})"


@server.tool(annotations=WRITE, structured_output=False)
def publish_alert(region: str, text: str, severity: int) -> str:
    """Publishes an alert to everybody in a region."""
    return f"published to {region}: {text} (severity {severity})"


@server.tool(annotations=DESTROY, structured_output=False)
def delete_station(station: str, force: bool = False) -> str:
    """Removes a weather station and its history."""
    return f"station {station} is gone{' for good' if force else ''}"


@server.tool(annotations=READ, structured_output=False)
async def watch_storm(steps: int, pause_ms: int, ctx: Context) -> str:
    """Follows a storm and reports its progress as it goes: slow, and streamed."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"the storm has moved {step * 10} km")
        await anyio.sleep(pause_ms / 1000)
    return f"the storm is over after {steps} steps"


@server.resource("weather://stations", mime_type="text/plain")
def stations() -> str:
    """Every weather station."""
    return "north-pier\nairport\nold-mill"


@server.prompt()
def briefing(city: str) -> str:
    """A morning briefing."""
    return f"Write a short weather briefing for {city}."


def main() -> None:
    """Serves on loopback at /mcp."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("port", type=int)
    arguments.add_argument("--record", type=Path)
    options = arguments.parse_args()
    # The public name of the server arrives in `Host`; Envoy has checked it, and only Envoy reaches this port.
    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(transport_security=security)
    uvicorn.run(recorded(app, options.record), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
