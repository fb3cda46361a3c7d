"""Tokens that are bound to a client's key: the flow of a real client, and proofs that prove nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from expect import recorded
from flow import flow, steps_up
from harness import mcp
from harness.dpop import Prover
from harness.oauth import AuthorizationServer, OAuthStack, authorizing
from harness.parts import McpServer
from harness.wire import Answer

FORECAST = mcp.call("get_forecast", city="Oslo")
(TS2,) = (sdk for sdk in mcp.OAUTH_SDKS if sdk.name == "ts2")


@pytest.fixture(scope="module")
def stack(servers: dict[str, McpServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OAuthStack]:
    """Its servers take tokens that are bound to a key."""

    def amend(settings: dict[str, Any], authorization: AuthorizationServer, folder: Path) -> None:
        for server in settings["servers"]:
            server["dpop"] = {}

    with authorizing(servers, tmp_path_factory.mktemp("dpop"), amend=amend) as running:
        yield running


@pytest.fixture
def prover() -> Prover:
    return Prover()


@pytest.fixture
def token(stack: OAuthStack, prover: Prover) -> str:
    """Bound to the prover's key."""
    proof = prover.proof("POST", f"{stack.authorization.issuer}/token")
    return stack.authorization.machine_token(stack.resource(), proof=proof)


def post(stack: OAuthStack, token: str, *proofs: str, scheme: str = "DPoP") -> Answer:
    """A call with these proofs."""
    headers = [("authorization", f"{scheme} {token}"), *(("dpop", proof) for proof in proofs)]
    return stack.post(FORECAST, *headers)


def test_the_whole_flow(stack: OAuthStack) -> None:
    """The SDK proves its key to the authorization server and with every request, also after a step up."""
    seen = flow(stack, TS2, dpop="ES256")
    steps_up(seen)
    assert {token["type"] for token in seen.tokens()} == {"DPoP"}, seen
    forwarded = stack.servers["weather"].requests()[-1]
    assert not {name for name, _ in forwarded["headers"]} & {"authorization", "dpop"}, forwarded


def test_a_good_proof(stack: OAuthStack, prover: Prover, token: str) -> None:
    recorded(stack, post(stack, token, prover.proof("POST", stack.resource(), token)), 200, "allow")


def test_a_proof_counts_once(stack: OAuthStack, prover: Prover, token: str) -> None:
    proof = prover.proof("POST", stack.resource(), token)
    assert post(stack, token, proof).status == 200
    refused(stack, post(stack, token, proof))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"htm": "GET"}, id="another method"),
        pytest.param({"htu": "http://127.0.0.1/elsewhere"}, id="another URL"),
        pytest.param({"ath": "x" * 43}, id="another token"),
        pytest.param({"iat": 1_600_000_000}, id="long ago"),
    ],
)
def test_a_proof_of_something_else(stack: OAuthStack, prover: Prover, token: str, wrong: dict[str, Any]) -> None:
    refused(stack, post(stack, token, prover.proof("POST", stack.resource(), token, **wrong)))


def test_a_proof_with_another_key(stack: OAuthStack, token: str) -> None:
    refused(stack, post(stack, token, Prover().proof("POST", stack.resource(), token)))


def test_no_proof(stack: OAuthStack, token: str) -> None:
    refused(stack, post(stack, token))


def test_a_bound_token_is_no_bearer_token(stack: OAuthStack, prover: Prover, token: str) -> None:
    """Whoever stole it has no key."""
    refused(stack, post(stack, token, scheme="Bearer"))
    refused(stack, post(stack, token, prover.proof("POST", stack.resource(), token), scheme="Bearer"))


def refused(stack: OAuthStack, answer: Answer) -> None:
    """401, with a challenge that names the scheme; and no server saw it."""
    assert answer.status == 401, answer
    assert any("DPoP" in challenge for challenge in answer.all("www-authenticate")), answer
    record = stack.toolgate.audit()[-1]
    assert record["decision"] == "deny", record
