"""Assertions on answers whose failure shows the whole answer and the record that belongs to it."""

from __future__ import annotations

import re
from typing import Any

from harness.stack import Front
from harness.wire import Answer

PARAMETER = re.compile(r'(\w+)="([^"]*)"')


def challenge(answer: Answer) -> dict[str, str]:
    """The parameters of the one `WWW-Authenticate: Bearer …`."""
    value = answer.header("www-authenticate")
    assert value.startswith("Bearer "), answer
    return dict(PARAMETER.findall(value))


def recorded(stack: Front, answer: Answer, status: int, reason: str) -> dict[str, Any]:
    """The answer has this status and the last record of the audit this reason; that record."""
    assert answer.status == status, f"expected {status} {reason}\n    {answer}"
    record = stack.toolgate.audit()[-1]
    assert record["reason"] == reason, f"expected {reason}\n    {answer}\n    {record}"
    assert record["decision"] == ("allow" if reason == "allow" else "deny"), record
    return record


def rpc_error(answer: Answer, code: int, id: int | str | None) -> dict[str, Any]:
    """The body is a JSON-RPC error with this code and id; its `error`."""
    body = answer.json()
    assert body["jsonrpc"] == "2.0", answer
    assert body.get("id") == id, answer
    assert body["error"]["code"] == code, answer
    error: dict[str, Any] = body["error"]
    return error
