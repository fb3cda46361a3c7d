"""Drives the MCP SDK that speaks 2026-07-28: a script of steps on stdin, what came of each on stdout, both JSON.

`mode` is the SDK's own: `auto` (probe, then 2026-07-28), `legacy` (the handshake era), or a version. With `oauth` in the
script the client gets its tokens itself, and `events` tells how.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
from clients.oauth import Application
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult

STEP_LIMIT_S = 20


async def perform(client: Client, step: dict[str, Any]) -> dict[str, Any]:
    """One step: its text, and when progress was heard (ms after the start)."""
    began = time.perf_counter()
    heard_at: list[float] = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        heard_at.append((time.perf_counter() - began) * 1000)

    match step["do"]:
        case "call":
            result = await client.call_tool(step["name"], step.get("arguments", {}), progress_callback=heard)
            text = "".join(getattr(part, "text", "") for part in result.content)
            return {"ok": not result.is_error, "text": text, "progress_ms": heard_at}
        case "tools":
            listed = await client.list_tools()
            return {"ok": True, "text": " ".join(tool.name for tool in listed.tools)}
        case "read":
            read = await client.read_resource(step["uri"])
            return {"ok": True, "text": "".join(getattr(part, "text", "") for part in read.contents)}
        case "prompt":
            prompt = await client.get_prompt(step["name"], step.get("arguments", {}))
            return {"ok": True, "text": "".join(getattr(message.content, "text", "") for message in prompt.messages)}
        case other:
            raise ValueError(f"no such step: {other}")


async def attempt(client: Client, step: dict[str, Any]) -> dict[str, Any]:
    """One step, its failure told as the SDK tells it."""
    began = time.perf_counter()
    try:
        with anyio.fail_after(STEP_LIMIT_S):
            result = await perform(client, step)
    except MCPError as error:
        told = {"code": error.code, "message": error.message, "data": error.data}
        result = {"ok": False, "error": {"type": type(error).__name__, **told}}
    except Exception as error:  # whatever the SDK makes of an answer is what this reports
        result = {"ok": False, "error": {"type": type(error).__name__, "message": str(error)}}
    return {**result, "ms": (time.perf_counter() - began) * 1000}


@contextlib.asynccontextmanager
async def connected(url: str, headers: dict[str, str], mode: str, **options: Any) -> AsyncIterator[Client]:
    """A client that has found out what the server speaks."""
    async with (
        httpx2.AsyncClient(headers=headers, timeout=STEP_LIMIT_S, **options) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, cache=None) as client,
    ):
        yield client


def authorizing(application: Application, url: str) -> dict[str, Any]:
    """The options of an HTTP client that gets its tokens itself."""
    auth = application.provider(url, lambda callback: AuthorizationCodeResult.model_validate(callback))
    return {"auth": auth, "event_hooks": {"response": [application.heard]}}


async def main() -> dict[str, Any]:
    """Reads the script, connects once, performs every step on that one connection."""
    script = json.load(sys.stdin)
    url = script["url"]
    results: list[dict[str, Any]] = []
    async with httpx2.AsyncClient(timeout=STEP_LIMIT_S) as browser:
        application = Application(script["oauth"], browser) if "oauth" in script else None
        options = authorizing(application, url) if application else {}
        told = {"results": results, "events": application.events if application else []}
        try:
            async with connected(url, script["headers"], script["mode"], **options) as client:
                version = client.protocol_version
                for step in script["steps"]:
                    results.append(await attempt(client, step))
            return {"connected": True, "protocol": version, **told}
        except BaseException as error:  # exception groups included
            return {"connected": False, "error": repr(error), **told}


if __name__ == "__main__":
    json.dump(anyio.run(main), sys.stdout)
