"""OAuth from its beginning: SDK clients that know nothing but a URL, and tokens of a real authorization server."""

from __future__ import annotations

import json

import jwt
import pytest
from expect import challenge, recorded
from flow import flow, steps_up
from harness import mcp
from harness.dpop import Prover
from harness.mcp import OAUTH_SDKS, Sdk
from harness.oauth import ALGORITHMS, PREREGISTERED, USER, OAuthStack, machine

FORECAST = mcp.call("get_forecast", city="Oslo")


@pytest.mark.parametrize("registration", ["dynamic", "beforehand", "document"])
@pytest.mark.parametrize("sdk", OAUTH_SDKS, ids=lambda sdk: sdk.name)
def test_the_whole_flow(oauth_stack: OAuthStack, sdk: Sdk, registration: str) -> None:
    """By each way a client can be known, and each client is known in policies and records as what it is."""
    document = oauth_stack.document.url
    known = {"dynamic": {}, "beforehand": {"client_id": PREREGISTERED}, "document": {"metadata_url": document}}
    seen = flow(oauth_stack, sdk, **known[registration])
    assert seen.protocol == sdk.protocol
    steps_up(seen)
    assert seen.asked("/reg") == ([201] if registration == "dynamic" else []), seen
    given = seen.authorizations()[0]["client_id"]
    client = {"dynamic": given, "beforehand": PREREGISTERED, "document": document}[registration]
    assert {query["client_id"] for query in seen.authorizations()} == {client}, seen
    assert {record["client"] for record in seen.judged()} == {client}, seen
    assert {record["principal"] for record in seen.judged()} == {f'User::"corp:{USER}"'}, seen

    # The policy `known-software`: a matter of who the client is, which no scope changes.
    deletion = seen.results[-1]
    (record,) = (record for record in seen.judged() if record["actions"] == ['Action::"weather:delete_station"'])
    if registration == "document":
        assert deletion["ok"], seen
        assert record["policies"] == ["known-software"], record
    else:
        assert "policy_denied" in json.dumps(deletion["error"]), seen
        assert record["reason"] == "policy_denied", record


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_client_for_itself(oauth_stack: OAuthStack, algorithm: str) -> None:
    """Client credentials, in each algorithm: the principal is the client, for there is no user."""
    token = oauth_stack.authorization.machine_token(oauth_stack.resource(), algorithm)
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    record = recorded(oauth_stack, oauth_stack.post(FORECAST, token=token), 200, "allow")
    assert record["principal"] == f'Client::"corp:{machine(algorithm)}"', record
    assert record["policies"] == ["forecast"], record


def test_a_token_for_another_server(oauth_stack: OAuthStack) -> None:
    token = oauth_stack.authorization.machine_token(oauth_stack.resource("bank"))
    answer = oauth_stack.post(FORECAST, token=token)
    recorded(oauth_stack, answer, 401, "token_invalid")
    assert challenge(answer)["error"] == "invalid_token"


def test_a_token_bound_to_a_key(oauth_stack: OAuthStack) -> None:
    """These servers do not ask for proofs, so nobody would check that the caller has the key."""
    proof = Prover().proof("POST", f"{oauth_stack.authorization.issuer}/token")
    token = oauth_stack.authorization.machine_token(oauth_stack.resource(), proof=proof)
    assert "cnf" in jwt.decode(token, options={"verify_signature": False})
    recorded(oauth_stack, oauth_stack.post(FORECAST, token=token), 401, "token_invalid")
