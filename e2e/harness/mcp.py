"""MCP messages as a client of 2026-07-28 writes them, headers and all; and the SDK clients, run as programs."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import paths, wire

MODERN = "2026-07-28"
HANDSHAKE = "2025-11-25"
CLIENT_LIMIT_S = 60
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}

Step = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """One POST: its headers (without host and authorization) and its body."""

    headers: list[tuple[str, str]]
    body: bytes


def request(method: str, params: dict[str, Any] | None = None, *, id: int | str = 1) -> Message:
    """A request of 2026-07-28: stateless, its method and name repeated in headers."""
    params = params or {}
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "e2e", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", MODERN),
        ("mcp-method", method),
    ]
    if method in NAMED:
        headers.append(("mcp-name", params[NAMED[method]]))
    body = {"jsonrpc": "2.0", "id": id, "method": method, "params": {**params, "_meta": meta}}
    return Message(headers, json.dumps(body).encode())


def call(tool: str, id: int | str = 1, **arguments: Any) -> Message:
    """A call of a tool."""
    return request("tools/call", {"name": tool, "arguments": arguments}, id=id)


def handshake_call(tool: str, id: int | str = 1, **arguments: Any) -> Message:
    """A call of a tool as the handshake era writes it. (No server takes it without a session.)"""
    body = {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", HANDSHAKE),
    ]
    return Message(headers, json.dumps(body).encode())


@dataclass(frozen=True)
class Sdk:
    """A real client: which generation of the SDK, and in which mode."""

    name: str
    generation: str
    mode: str
    protocol: str
    """The revision that it ends up speaking with a server that knows them all."""

    def run(
        self, url: str, headers: dict[str, str], *steps: Step, oauth: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Connects once and performs the steps on that connection: `connected`, `protocol`, `results`, `error`.

        With `oauth` the client gets its tokens itself, and `events` is what it saw and did, in order. It has `redirect_url`,
        and `client_id` or `metadata_url` of a client that need not register.
        """
        script = {
            "url": url,
            "headers": headers,
            "mode": self.mode,
            "steps": steps,
            **({"oauth": oauth} if oauth else {}),
        }
        done = subprocess.run(
            self._command(),
            input=json.dumps(script),
            capture_output=True,
            text=True,
            timeout=CLIENT_LIMIT_S,
            check=False,
            cwd=paths.E2E,
        )
        assert done.returncode == 0, f"{self.name} failed:\n{done.stderr}"
        result: dict[str, Any] = json.loads(done.stdout)
        return {**result, "stderr": done.stderr}

    def _command(self) -> list[str | Path]:
        if self.generation.startswith("ts"):
            return paths.node(f"clients/{self.generation}.mjs")
        return [paths.python(self.generation), "-m", f"clients.sdk{self.generation[-1]}"]


SDKS = [
    Sdk("sdk1", "mcp1", "legacy", HANDSHAKE),
    Sdk("sdk2-handshake", "mcp2", "legacy", HANDSHAKE),
    Sdk("sdk2", "mcp2", "auto", MODERN),
]
OAUTH_SDKS = [
    Sdk("ts1", "ts1", "legacy", HANDSHAKE),
    Sdk("ts2", "ts2", "auto", MODERN),
    Sdk("sdk1", "mcp1", "legacy", HANDSHAKE),
    Sdk("sdk2", "mcp2", "auto", MODERN),
]
"""The clients that get their tokens themselves."""


def step(tool: str, **arguments: Any) -> Step:
    """A step of a client's script: a call of a tool."""
    return {"do": "call", "name": tool, "arguments": arguments}


def list_tools(port: int) -> dict[str, Any]:
    """A server's own `tools/list`, asked directly and in the handshake era, which every server speaks."""
    base = [("host", f"127.0.0.1:{port}"), ("content-type", "application/json")]
    base.append(("accept", "application/json, text/event-stream"))

    def post(message: dict[str, Any], *more: tuple[str, str]) -> wire.Answer:
        return wire.send(port, "POST", "/mcp", [*base, *more], json.dumps({"jsonrpc": "2.0", **message}).encode())

    client = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": {"name": "e2e", "version": "1"}}
    hello = post({"id": 1, "method": "initialize", "params": client})
    session = [("mcp-session-id", hello.header("mcp-session-id")), ("mcp-protocol-version", HANDSHAKE)]
    post({"method": "notifications/initialized"}, *session)
    result: dict[str, Any] = post({"id": 2, "method": "tools/list"}, *session).json()["result"]
    wire.send(port, "DELETE", "/mcp", [*base, *session])
    return result
