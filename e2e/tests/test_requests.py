"""What is asked: bodies, headers and paths, through Envoy as shipped. The whole table is the Rust suite's; this is what
only the real Envoy can show."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import pytest
from expect import recorded, rpc_error
from harness import mcp
from harness.stack import GATEWAY, Shape, Stack
from people import ADA, BOB, CAROL

FORECAST = mcp.call("get_forecast", city="Oslo")
FILLED = 4096
"""How much longer a body is than `limits.body` when it just fills what Envoy sends of it."""


def of_size(size: int) -> mcp.Message:
    """A permitted call whose body has exactly this many bytes."""
    bare = len(mcp.call("publish_alert", region="all", text="", severity=1).body)
    return mcp.call("publish_alert", region="all", text="x" * (size - bare), severity=1)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        pytest.param(mcp.call("delete_station", 7, station="airport"), "policy_denied", id="policy"),
        pytest.param(mcp.call("get_forecast", "a-b", city="Oslo", days=8), "policy_denied", id="argument"),
        pytest.param(mcp.call("no_such_tool"), "tool_unknown", id="unknown tool"),
    ],
)
def test_denied(any_stack: Stack, message: mcp.Message, reason: str) -> None:
    """403 and a JSON-RPC error of that request; no challenge, since no other token would help."""
    before = len(any_stack.servers["weather"].requests())
    answer = any_stack.post(message, token=any_stack.token(CAROL))
    record = recorded(any_stack, answer, 403, reason)
    error = rpc_error(answer, 403, json.loads(message.body)["id"])
    assert error["data"]["decision_id"] == record["decision_id"]
    assert answer.all("www-authenticate") == []
    assert len(any_stack.servers["weather"].requests()) == before, "it reached the server"


def test_denied_in_the_handshake_era(any_stack: Stack) -> None:
    """200 and the same error: a 403 would end a client's whole connection."""
    answer = any_stack.post(mcp.handshake_call("delete_station", 9, station="x"), token=any_stack.token(CAROL))
    recorded(any_stack, answer, 200, "policy_denied")
    rpc_error(answer, 403, 9)


def test_identity_reaches_the_server_and_a_forged_one_does_not(any_stack: Stack) -> None:
    forged = [
        ("x-toolgate-subject", "root"),
        ("x-toolgate-scopes", "everything"),
        ("x-toolgate-role", "admin"),
        ("x-http-method-override", "DELETE"),
    ]
    if any_stack.shape.name == "istio":  # the other two refuse such a name themselves, see below
        forged.append(("x_toolgate_subject", "root"))
    answer = any_stack.post(FORECAST, *forged, token=any_stack.token(CAROL))
    record = recorded(any_stack, answer, 200, "allow")
    reached = [(name, value) for name, value in any_stack.servers["weather"].requests()[-1]["headers"]]
    ours = {name: value for name, value in reached if name.startswith(("x-toolgate", "x_toolgate"))}
    assert ours["x-toolgate-subject"] == "carol"
    assert ours["x-toolgate-client"] == "desktop-agent"
    assert ours["x-toolgate-scopes"] == "weather:read"
    assert ours["x-toolgate-decision-id"] == record["decision_id"]
    assert set(ours) == {f"x-toolgate-{name}" for name in ("subject", "issuer", "client", "scopes", "decision-id")}
    names = [name for name, _ in reached]
    assert "authorization" not in names, "the server got the caller's token"
    assert "x-http-method-override" not in names
    assert len(names) == len(set(names)), f"a header twice: {reached}"


@pytest.mark.parametrize("name", ["x_toolgate_subject", "any_underscore"])
def test_an_underscore_in_a_header_name(stack: Stack, name: str) -> None:
    assert stack.post(FORECAST, (name, "root"), token=stack.token(CAROL)).status == 400


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
@pytest.mark.parametrize("over", [-900_000, 0, 1, FILLED, FILLED + 1, 1_000_000])
def test_size_of_a_body(any_stack: Stack, over: int, chunked: bool) -> None:
    """Up to the limit it is read whole. Over it: 413, recorded, unless the product answers by itself."""
    before = len(any_stack.toolgate.audit())
    message = of_size(any_stack.shape.body_limit + over)
    answer = any_stack.post(message, token=any_stack.token(ADA), chunked=chunked)
    if any_stack.shape == GATEWAY and over > 0:
        assert answer.status == 413, answer
        assert len(any_stack.toolgate.audit()) == before
    elif over > 0:
        recorded(any_stack, answer, 413, "body_too_large")
    else:
        recorded(any_stack, answer, 200, "allow")


def test_a_body_goes_on_after_what_envoy_showed(any_stack: Stack) -> None:
    """What Envoy sends of it is a whole, permitted message. That it is not the whole body, Envoy does not say."""
    before = len(any_stack.servers["weather"].requests())
    shown = FORECAST.body.ljust(any_stack.shape.body_limit + FILLED)
    message = mcp.Message(FORECAST.headers, shown + b" and more" * 100_000)
    answer = any_stack.post(message, token=any_stack.token(CAROL), chunked=True)
    assert answer.status == 413, answer
    assert len(any_stack.servers["weather"].requests()) == before


def test_a_large_body_of_nobody(stack: Stack) -> None:
    """The token comes first: who has none does not learn what we think of the body."""
    recorded(stack, stack.post(of_size(2 * stack.shape.body_limit)), 401, "token_missing")


@pytest.mark.parametrize(
    ("headers", "body", "status", "reason"),
    [
        pytest.param([("content-type", "text/plain")], FORECAST.body, 415, "body_unsupported", id="content type"),
        pytest.param(
            [("content-type", "application/json"), ("content-encoding", "gzip")],
            gzip.compress(FORECAST.body),
            415,
            "body_unsupported",
            id="gzip",
        ),
        pytest.param([("content-type", "application/json")], b"", 400, "message_malformed", id="no body"),
        pytest.param([("content-type", "application/json")], b"{", 400, "message_malformed", id="not JSON"),
        pytest.param([("content-type", "application/json")], b"[]", 400, "message_malformed", id="batch"),
        pytest.param(
            [("content-type", "application/json")],
            b'{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}',
            400,
            "message_malformed",
            id="a key twice",
        ),
        pytest.param(
            [("content-type", "application/json")],
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast\xff"}}',
            400,
            "message_malformed",
            id="not UTF-8",
        ),
    ],
)
def test_a_body_that_is_not_read(
    stack: Stack, headers: list[tuple[str, str]], body: bytes, status: int, reason: str
) -> None:
    sent = [("accept", "application/json, text/event-stream"), *headers]
    answer = stack.post(mcp.Message(sent, body), token=stack.token(ADA))
    recorded(stack, answer, status, reason)


def test_a_text_body_has_been_changed_by_envoy(start: Callable[[Shape], Stack]) -> None:
    """What Envoy Gateway's example says of `accept_text_body`: a byte that is not UTF-8 is judged as `!`."""
    stack = start(GATEWAY)
    body = FORECAST.body.replace(b"Oslo", b"Osl\xff")
    record = recorded(stack, stack.post(mcp.Message(FORECAST.headers, body), token=stack.token(CAROL)), 400, "allow")
    assert record["decision"] == "allow", "the server, which reads the byte itself, is who refuses"


def test_header_and_body_disagree(any_stack: Stack) -> None:
    headers = [(name, "list_alerts" if name == "mcp-name" else value) for name, value in FORECAST.headers]
    answer = any_stack.post(mcp.Message(headers, FORECAST.body), token=any_stack.token(ADA))
    recorded(any_stack, answer, 400, "header_mismatch")
    rpc_error(answer, -32020, 1)


REACHES_WEATHER = ["/weather", "/weather?a=b", "//weather", "/x/../weather", "/./weather", "/%77eather"]
REFUSED_BY_ENVOY = {
    "/weather/": 404,
    "/weatherproof": 404,
    "/WEATHER": 404,
    "/weather;a=b": 404,
    "/": 404,
    "/mcp": 404,
    "/weather%2f": 400,
    "/weather%2F..%2Fbank": 400,
    "/weather%5c..%5cbank": 400,
    "/weather%00": 400,
}


@pytest.mark.parametrize("path", REACHES_WEATHER)
def test_one_path_in_other_spellings(stack: Stack, path: str) -> None:
    """Envoy writes them all as one; toolgate judges, and the server gets, the same."""
    token = stack.token(CAROL)
    answer = stack.send("POST", path, *FORECAST.headers, token=token, body=FORECAST.body)
    recorded(stack, answer, 200, "allow")
    assert stack.servers["weather"].requests()[-1]["path"] == "/mcp"


@pytest.mark.parametrize(("path", "status"), REFUSED_BY_ENVOY.items())
def test_paths_of_nobody(stack: Stack, path: str, status: int) -> None:
    before = len(stack.toolgate.audit())
    answer = stack.send("POST", path, *FORECAST.headers, token=stack.token(ADA), body=FORECAST.body)
    assert answer.status == status, answer
    assert len(stack.toolgate.audit()) == before


@pytest.mark.parametrize("path", ["/bank", "/weather/../bank", "/weather/%2e%2e/bank"])
def test_a_token_for_one_server_at_another(stack: Stack, path: str) -> None:
    """However the path is written, it is the bank that is asked for, and the bank's audience that counts."""
    answer = stack.send("POST", path, *FORECAST.headers, token=stack.token(ADA), body=FORECAST.body)
    record = recorded(stack, answer, 401, "token_invalid")
    assert record["server"] == "bank", record


def test_a_way_round_by_the_metadata_path(stack: Stack) -> None:
    path = "/.well-known/oauth-protected-resource/../../weather"
    answer = stack.send("POST", path, *FORECAST.headers, body=FORECAST.body)
    recorded(stack, answer, 401, "token_missing")


@pytest.mark.parametrize("host", ["evil.example.com", "mcp.example.com.evil.org", "mcp.example.com:81"])
def test_another_host(any_stack: Stack, host: str) -> None:
    """No virtual host: 404 from Envoy, nobody asked. (Two products ignore the port.)"""
    before = len(any_stack.toolgate.audit())
    path = any_stack.shape.server_paths["weather"]
    answer = any_stack.send("POST", path, *FORECAST.headers, token=any_stack.token(ADA), body=FORECAST.body, host=host)
    assert answer.status == 404, answer
    assert len(any_stack.toolgate.audit()) == before


def test_the_host_with_its_port(any_stack: Stack) -> None:
    token, path = any_stack.token(CAROL), any_stack.shape.server_paths["weather"]
    host = f"{any_stack.shape.host}:443"
    answer = any_stack.send("POST", path, *FORECAST.headers, token=token, body=FORECAST.body, host=host)
    recorded(any_stack, answer, 200, "allow")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "HEAD"])
def test_other_methods(stack: Stack, method: str) -> None:
    answer = stack.send(method, "/weather", token=stack.token(ADA))
    recorded(stack, answer, 405, "http_method_not_allowed")
    assert "POST" in answer.header("allow")


ORIGIN = ("origin", "https://app.example.com")
EVIL = ("origin", "https://evil.example.com")
ASKS = ("access-control-request-method", "POST")


@pytest.mark.parametrize(
    ("with_token", "reason", "status"),
    [pytest.param(True, "allow", 200, id="allowed"), pytest.param(False, "token_missing", 401, id="denied")],
)
def test_a_browser_may_read_the_answer(stack: Stack, with_token: bool, reason: str, status: int) -> None:
    """On what is allowed the headers are Envoy's, on what is denied toolgate's; never both."""
    answer = stack.post(FORECAST, ORIGIN, token=stack.token(CAROL) if with_token else None)
    recorded(stack, answer, status, reason)
    assert answer.header("access-control-allow-origin") == ORIGIN[1]
    assert "www-authenticate" in answer.header("access-control-expose-headers").lower()


def test_a_page_from_elsewhere(stack: Stack) -> None:
    answer = stack.post(FORECAST, EVIL, token=stack.token(CAROL))
    recorded(stack, answer, 403, "origin_refused")
    assert answer.all("access-control-allow-origin") == []


def test_preflights(stack: Stack) -> None:
    """Envoy's filter answers for an origin that it knows; for another, toolgate."""
    allowed = stack.send("OPTIONS", "/weather", ORIGIN, ASKS)
    assert allowed.status in (200, 204), allowed
    assert allowed.header("access-control-allow-origin") == ORIGIN[1]
    assert "authorization" in allowed.header("access-control-allow-headers")
    recorded(stack, stack.send("OPTIONS", "/weather", EVIL, ASKS), 403, "origin_refused")


def test_a_client_cannot_end_a_stream_early_for_itself_or_others(stack: Stack) -> None:
    """Envoy's own request headers are not a client's to set."""
    forged = [("x-envoy-upstream-rq-timeout-ms", "1"), ("x-envoy-original-path", "/bank")]
    message = mcp.call("watch_storm", steps=2, pause_ms=50)
    recorded(stack, stack.post(message, *forged, token=stack.token(BOB)), 200, "allow")
