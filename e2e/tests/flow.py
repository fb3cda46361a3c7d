"""One run of a real client through the whole OAuth flow, and what was seen of it, from its side and from toolgate's."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from expect import PARAMETER
from harness.mcp import Sdk, step
from harness.oauth import FIRST_CONSENT, REDIRECT_URL, SCOPES, OAuthStack

EVERY = set(SCOPES)


@dataclass(frozen=True)
class Seen:
    """What a client saw and did (`events`), what came of its steps, and the records of its requests."""

    stack: OAuthStack
    results: list[dict[str, Any]]
    protocol: str
    events: list[dict[str, Any]]
    records: list[dict[str, Any]]

    def authorizations(self) -> list[dict[str, str]]:
        """The queries with which a user was sent to the authorization server."""
        return [event["authorize"] for event in self.events if "authorize" in event]

    def tokens(self) -> list[dict[str, str]]:
        """The tokens it got: their scope and type."""
        return [event["token"] for event in self.events if "token" in event]

    def challenges(self) -> list[tuple[int, dict[str, str]]]:
        """The status and parameters of each challenge."""
        told = [event for event in self.events if "challenge" in event]
        return [(event["status"], dict(PARAMETER.findall(event["challenge"]))) for event in told]

    def asked(self, path: str) -> list[int]:
        """The statuses of the requests for a path."""
        return [event["status"] for event in self.events if event.get("path") == path]

    def reasons(self) -> list[str]:
        """The reasons of the records of POST and of metadata in order, each once in a row. (Streams come and go.)"""
        told = [record for record in self.records if record["method"] == "POST" or record["reason"] == "metadata"]
        return [reason for reason, _ in itertools.groupby(record["reason"] for record in told)]

    def judged(self) -> list[dict[str, Any]]:
        """The records of messages with a good token."""
        return [record for record in self.records if record["method"] == "POST" and record.get("principal")]


def flow(stack: OAuthStack, sdk: Sdk, **options: str) -> Seen:
    """A client without a token lists tools, calls one that its first token is good for, one for which it must step up,
    and one that is a matter of which client it is."""
    before = len(stack.toolgate.audit())
    outcome = sdk.run(
        stack.resource(),
        {},
        {"do": "tools"},
        step("get_forecast", city="Oslo"),
        step("publish_alert", region="north", text="storm", severity=2),
        step("delete_station", station="airport"),
        oauth={"redirect_url": REDIRECT_URL, **options},
    )
    assert outcome["connected"], outcome
    records = stack.toolgate.audit()[before:]
    return Seen(stack, outcome["results"], outcome["protocol"], outcome["events"], records)


def steps_up(seen: Seen) -> None:
    """401 to begin with, 403 where the first token ends, an authorization after each; then the same call goes through."""
    metadata = f"http://{seen.stack.shape.host}/.well-known/oauth-protected-resource/weather"
    (status, first), (later_status, later) = seen.challenges()
    assert (status, later_status) == (401, 403), seen
    assert "error" not in first, seen
    assert later["error"] == "insufficient_scope", seen
    for parameters in (first, later):
        assert parameters["resource_metadata"] == metadata, seen
        assert parameters["scope"] == " ".join(SCOPES), seen
    assert set(seen.asked(urlsplit(metadata).path)) == {200}, seen
    assert set(seen.asked("/.well-known/oauth-authorization-server")) == {200}, seen
    assert seen.asked("/token") == [200, 200], seen
    assert [event["callback"] for event in seen.events if "callback" in event] == [["code", "iss", "state"]] * 2, seen
    assert len(seen.authorizations()) == 2, seen
    for query in seen.authorizations():
        assert query["resource"] == seen.stack.resource(), query
        assert query["code_challenge_method"] == "S256", query
        assert set(query["scope"].split()) >= EVERY, query
    granted = [set(token["scope"].split()) & EVERY for token in seen.tokens()]
    assert granted == [set(FIRST_CONSENT), EVERY], seen
    assert seen.reasons()[:5] == ["token_missing", "metadata", "allow", "scope_insufficient", "allow"], seen
    tools, forecast, published, _ = seen.results
    assert tools["ok"] and forecast["ok"] and published["ok"], seen
    assert published["text"] == "published to north: storm (severity 2)", seen
