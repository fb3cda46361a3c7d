"""An authorization server changes its keys. The last of the suite, since it may have to wait: see README."""

from __future__ import annotations

from expect import recorded
from harness import mcp
from harness.oauth import OAuthStack
from harness.process import until

FORECAST = mcp.call("get_forecast", city="Oslo")
REFRESH_LIMIT_S = 60
"""An unknown key is fetched at most half a minute after the last fetch."""


def test_new_keys_come_and_old_ones_go(oauth_stack: OAuthStack) -> None:
    """What a new key signed is let in once it was fetched; from then on what the old one signed is not."""
    before = oauth_stack.authorization.machine_token(oauth_stack.resource())
    recorded(oauth_stack, oauth_stack.post(FORECAST, token=before), 200, "allow")
    oauth_stack.authorization.rotate()
    after = oauth_stack.authorization.machine_token(oauth_stack.resource())

    def let_in() -> bool:
        return oauth_stack.post(FORECAST, token=after).status == 200

    assert until(let_in, REFRESH_LIMIT_S), oauth_stack.toolgate.audit()[-1]
    recorded(oauth_stack, oauth_stack.post(FORECAST, token=before), 401, "token_invalid")
