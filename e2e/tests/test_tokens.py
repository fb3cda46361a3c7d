"""Who may knock: tokens, challenges and metadata, through Envoy, in each shape."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from expect import challenge, recorded
from harness import mcp
from harness.stack import Stack
from harness.tokens import Issuer
from people import BOB, CAROL, DAN

FORECAST = mcp.call("get_forecast", city="Oslo")
WELL_KNOWN = "/.well-known/oauth-protected-resource"


def metadata_url(stack: Stack) -> str:
    """Where a client is sent for the metadata of the weather server."""
    return f"https://{stack.shape.host}{WELL_KNOWN}{stack.shape.server_paths['weather']}"


def test_permitted(any_stack: Stack) -> None:
    answer = any_stack.post(FORECAST, token=any_stack.token(CAROL))
    record = recorded(any_stack, answer, 200, "allow")
    assert record["policies"] == ["forecast"], record
    assert answer.json()["result"]["content"][0]["text"] == "Oslo: sun and a light breeze for 1 day"


def test_no_token(any_stack: Stack) -> None:
    """401 without `error` (nothing was wrong, something was missing), and where to learn more."""
    answer = any_stack.post(FORECAST)
    recorded(any_stack, answer, 401, "token_missing")
    parameters = challenge(answer)
    assert parameters["resource_metadata"] == metadata_url(any_stack)
    assert "error" not in parameters
    assert answer.header("cache-control") == "no-store"


@pytest.mark.parametrize("form", ["path", "root"])
def test_metadata(any_stack: Stack, form: str) -> None:
    """The document, at the URL of the challenge and at the root form, for anybody."""
    path = urlsplit(metadata_url(any_stack)).path if form == "path" else WELL_KNOWN
    answer = any_stack.send("GET", path)
    recorded(any_stack, answer, 200, "metadata")
    assert answer.header("content-type") == "application/json"
    document = answer.json()
    assert document["resource"] == any_stack.shape.resource("weather")
    assert document["authorization_servers"] == [any_stack.issuer.url]
    assert document["scopes_supported"] == ["weather:read", "weather:write"]


def test_metadata_is_only_read(any_stack: Stack) -> None:
    answer = any_stack.send("POST", urlsplit(metadata_url(any_stack)).path, body=b"{}")
    assert answer.status == 405, answer
    assert "GET" in answer.header("allow")


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"lifetime_s": -300}, id="expired"),
        pytest.param({"audience": "https://mcp.example.com/bank"}, id="for another server"),
        pytest.param({"aud": None}, id="for nobody"),
        pytest.param({"iss": "https://elsewhere.example.com"}, id="from another issuer"),
        pytest.param({"nbf": 4102444800}, id="not yet"),
        pytest.param({"exp": None}, id="for ever"),
    ],
)
def test_a_token_that_is_no_good(any_stack: Stack, claims: dict[str, Any]) -> None:
    answer = any_stack.post(FORECAST, token=any_stack.token(CAROL, **claims))
    recorded(any_stack, answer, 401, "token_invalid")
    parameters = challenge(answer)
    assert parameters["error"] == "invalid_token"
    assert parameters["resource_metadata"] == metadata_url(any_stack)


def test_a_token_signed_by_somebody_else(any_stack: Stack) -> None:
    forged = Issuer().token(CAROL, any_stack.shape.resource("weather"))
    recorded(any_stack, any_stack.post(FORECAST, token=forged), 401, "token_invalid")


def test_two_tokens(any_stack: Stack) -> None:
    """Whichever of them the server would have looked at."""
    second = ("authorization", f"Bearer {any_stack.token(BOB)}")
    answer = any_stack.post(FORECAST, second, token=any_stack.token(CAROL))
    recorded(any_stack, answer, 400, "token_ambiguous")
    assert challenge(answer)["error"] == "invalid_request"


def test_a_scope_is_missing(any_stack: Stack) -> None:
    """403 with the scope that would do; with it the same call succeeds."""
    answer = any_stack.post(FORECAST, token=any_stack.token(DAN))
    recorded(any_stack, answer, 403, "scope_insufficient")
    parameters = challenge(answer)
    assert parameters["error"] == "insufficient_scope"
    assert parameters["scope"] == "weather:read"
    assert parameters["resource_metadata"] == metadata_url(any_stack)
    stepped_up = any_stack.token(DAN, scope=parameters["scope"])
    recorded(any_stack, any_stack.post(FORECAST, token=stepped_up), 200, "allow")


def test_a_token_in_the_query(any_stack: Stack) -> None:
    path = f"{any_stack.shape.server_paths['weather']}?access_token={any_stack.token(CAROL)}"
    answer = any_stack.send("POST", path, *FORECAST.headers, body=FORECAST.body)
    recorded(any_stack, answer, 400, "token_ambiguous")
