"""Writes down what reached a server: the request headers, one JSON line a request.

What a caller may forge and what Envoy adds or removes can only be seen from behind Envoy.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


def recorded(app: App, file: Path | None) -> App:
    """Wraps an ASGI application; without a file it is returned as it is."""
    if file is None:
        return app
    path = file

    async def recording(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
            line = {"method": scope["method"], "path": scope["path"], "headers": headers}
            with path.open("a") as out:
                out.write(json.dumps(line) + "\n")
        await app(scope, receive, send)

    return recording
