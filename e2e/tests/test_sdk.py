"""Real MCP clients of both generations, in each shape: what is permitted works, a denial ends one call only."""

from __future__ import annotations

import pytest
from harness.mcp import SDKS, Sdk, step
from harness.stack import Stack
from people import ADA, BOB, CAROL

TOOLS = "get_forecast list_alerts publish_alert delete_station watch_storm"
POLICY_CODE = 403
"""The JSON-RPC code of a denial by policy."""

pytestmark = pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.name)


def test_a_denied_call_leaves_the_connection_whole(any_stack: Stack, sdk: Sdk) -> None:
    """One connection: permitted, denied by policy, permitted, denied by an argument, permitted."""
    outcome = any_stack.run(
        sdk,
        any_stack.token(CAROL),
        {"do": "tools"},
        step("get_forecast", city="Oslo", days=3),
        step("delete_station", station="airport"),
        step("get_forecast", city="Oslo", days=7),
        step("get_forecast", city="Oslo", days=8),
        step("get_forecast", city="Oslo"),
    )
    assert outcome["connected"], outcome
    assert outcome["protocol"] == sdk.protocol
    tools, first, by_policy, second, by_argument, third = outcome["results"]
    assert tools["text"] == TOOLS
    for result in (first, second, third):
        assert result["ok"], f"a permitted call failed: {outcome}"
    assert first["text"] == "Oslo: sun and a light breeze for 3 days"
    for result in (by_policy, by_argument):
        assert not result["ok"], f"a denied call came through: {outcome}"
        assert result["error"]["code"] == POLICY_CODE, outcome
        assert result["error"]["data"]["reason"] == "policy_denied", outcome
    ids = [record["decision_id"] for record in any_stack.toolgate.audit()]
    assert by_policy["error"]["data"]["decision_id"] in ids


def test_resources_prompts_and_advice(any_stack: Stack, sdk: Sdk) -> None:
    """Targets other than tools; and the one place where a policy speaks to the caller."""
    outcome = any_stack.run(
        sdk,
        any_stack.token(ADA),
        {"do": "read", "uri": "weather://stations"},
        {"do": "prompt", "name": "briefing", "arguments": {"city": "Oslo"}},
        step("delete_station", station="airport", force=True),
        step("delete_station", station="airport"),
    )
    assert outcome["connected"], outcome
    read, prompt, forced, deleted = outcome["results"]
    assert read["ok"] and "north-pier" in read["text"], outcome
    assert prompt["ok"] and "Oslo" in prompt["text"], outcome
    assert forced["error"]["data"]["advice"] == "Delete the station without force; its history is kept.", outcome
    assert deleted["ok"], outcome


def test_a_stream_is_not_held_back(any_stack: Stack, sdk: Sdk) -> None:
    """Progress of a slow tool arrives while it runs: nothing between buffers the answer."""
    steps, pause_ms = 5, 200
    outcome = any_stack.run(sdk, any_stack.token(BOB), step("watch_storm", steps=steps, pause_ms=pause_ms))
    assert outcome["connected"], outcome
    (result,) = outcome["results"]
    assert result["ok"], outcome
    assert len(result["progress_ms"]) == steps, outcome
    assert result["progress_ms"][0] < result["ms"] - pause_ms * (steps - 2), outcome


def test_a_server_of_the_handshake_era(stack: Stack, sdk: Sdk) -> None:
    """Every client speaks with a server that knows sessions only."""
    teller = stack.token(CAROL, "bank", scope="bank:read bank:transfer")
    outcome = stack.run(
        sdk,
        teller,
        step("get_balance", account="savings"),
        step("transfer", amount=5000, to="mallory"),
        step("transfer", amount=1000, to="landlord"),
        server="bank",
    )
    assert outcome["connected"], outcome
    assert outcome["protocol"] == "2025-11-25"
    balance, large, small = outcome["results"]
    assert balance["ok"], outcome
    assert large["error"]["data"]["reason"] == "policy_denied", outcome
    assert small["text"] == "moved 1000 to landlord", outcome


def test_the_whole_life_of_a_session(stack: Stack, sdk: Sdk) -> None:
    """What the server saw: in the handshake era a session from `initialize` to DELETE, in 2026-07-28 none of it."""
    seen = len(stack.servers["weather"].requests())
    outcome = stack.run(sdk, stack.token(BOB), step("list_alerts"))
    assert outcome["connected"] and outcome["results"][0]["ok"], outcome
    methods = {request["method"] for request in stack.servers["weather"].requests()[seen:]}
    assert methods == ({"POST"} if sdk.protocol == "2026-07-28" else {"POST", "GET", "DELETE"})
