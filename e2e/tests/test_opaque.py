"""Tokens that say nothing by themselves: toolgate asks the authorization server what they are (RFC 7662)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from expect import recorded
from flow import flow, steps_up
from harness import mcp
from harness.oauth import INTROSPECTOR, USER, AuthorizationServer, OAuthStack, authorizing, machine
from harness.parts import McpServer

FORECAST = mcp.call("get_forecast", city="Oslo")
(TS2,) = (sdk for sdk in mcp.OAUTH_SDKS if sdk.name == "ts2")


@pytest.fixture(scope="module")
def stack(servers: dict[str, McpServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OAuthStack]:
    """Its authorization server issues opaque tokens."""

    def amend(settings: dict[str, Any], authorization: AuthorizationServer, folder: Path) -> None:
        (folder / "secret").write_text(authorization.secrets[INTROSPECTOR])
        settings["issuers"][0]["introspection"] = {
            "endpoint": f"{authorization.issuer}/token/introspection",
            "client_id": INTROSPECTOR,
            "client_secret_file": "secret",
        }

    folder = tmp_path_factory.mktemp("opaque")
    with authorizing(servers, folder, token_format="opaque", amend=amend) as running:
        yield running


def test_the_whole_flow(stack: OAuthStack) -> None:
    """A client never looks into a token, so it is the same for it."""
    seen = flow(stack, TS2)
    steps_up(seen)
    assert {record["principal"] for record in seen.judged()} == {f'User::"corp:{USER}"'}, seen


def test_a_client_for_itself(stack: OAuthStack) -> None:
    """What the authorization server says of such a token has no `sub`."""
    token = stack.authorization.machine_token(stack.resource())
    assert token.count(".") != 2, "this is no opaque token"
    record = recorded(stack, stack.post(FORECAST, token=token), 200, "allow")
    assert record["principal"] == f'Client::"corp:{machine("ES256")}"', record
    assert record["client"] == machine("ES256"), record


def test_a_scope_is_missing(stack: OAuthStack) -> None:
    token = stack.authorization.machine_token(stack.resource(), scope="weather:write")
    recorded(stack, stack.post(FORECAST, token=token), 403, "scope_insufficient")


def test_a_token_for_another_server(stack: OAuthStack) -> None:
    token = stack.authorization.machine_token(stack.resource("bank"))
    recorded(stack, stack.post(FORECAST, token=token), 401, "token_invalid")


def test_a_token_that_nobody_issued(stack: OAuthStack) -> None:
    recorded(stack, stack.post(FORECAST, token=secrets.token_urlsafe(32)), 401, "token_invalid")
