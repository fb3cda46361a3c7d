"""HTTP as it is written: repeated headers stay repeated, paths are sent as given, nothing is added unasked."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

LIMIT_S = 20.0

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """A response, whole."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str:
        """The one value of a header that must be there once."""
        values = self.all(name)
        assert len(values) == 1, f"{name} occurs {len(values)} times in {self}"
        return values[0]

    def json(self) -> Any:
        """The body as JSON; of an event stream, the last event's."""
        text = self.body.decode()
        events = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")]
        return json.loads(events[-1] if events else text)

    def __str__(self) -> str:
        lines = [f"HTTP {self.status}", *(f"{key}: {value}" for key, value in self.headers)]
        return "\n    ".join([*lines, "", self.body[:2000].decode(errors="replace")])


def send(
    port: int,
    method: str,
    path: str,
    headers: Headers = (),
    body: bytes | None = None,
    *,
    chunked: bool = False,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Sends one request to a port of loopback. `Host` is the caller's to give; a body gets its length or is chunked."""
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=LIMIT_S, context=tls)
        if tls
        else http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    )
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value.encode("latin-1"))
        if chunked:
            connection.putheader("transfer-encoding", "chunked")
        elif body is not None:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body, encode_chunked=chunked)
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


def get(port: int, path: str) -> Answer | None:
    """A plain GET, or None while nobody answers: for readiness."""
    try:
        return send(port, "GET", path, [("host", f"127.0.0.1:{port}")])
    except OSError:
        return None
