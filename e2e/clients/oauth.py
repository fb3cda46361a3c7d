"""What the programs of both Python generations share for OAuth: the host application around an SDK, as in oauth.mjs.

It keeps what the SDK asks it to keep, plays the browser, and notes what happened, in order.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

REDIRECT_LIMIT = 15


class Browser:
    """Follows an authorization URL to the client's redirect URI, with the cookies of one browser."""

    def __init__(self, http: Any) -> None:
        self._http = http
        """An `AsyncClient` of httpx or httpx2 that follows no redirects."""

    async def open(self, url: str, redirect_url: str) -> dict[str, str]:
        """The query of the redirect URI."""
        for _ in range(REDIRECT_LIMIT):
            if url.startswith(redirect_url):
                return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
            response = await self._http.get(url)
            if "location" not in response.headers:
                raise RuntimeError(f"no way on from {url}: {response.status_code} {response.text}")
            url = urljoin(url, response.headers["location"])
        raise RuntimeError(f"more than {REDIRECT_LIMIT} redirects")


class Application:
    """The SDK's storage and its handlers; `events` is what happened."""

    def __init__(self, script: dict[str, Any], http: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self._redirect_url: str = script["redirect_url"]
        self._browser = Browser(http)
        self._callback: dict[str, str] = {}
        self._tokens: OAuthToken | None = None
        self._client: OAuthClientInformationFull | None = None
        self._metadata_url: str | None = script.get("metadata_url")
        if "client_id" in script:
            self._client = OAuthClientInformationFull(
                client_id=script["client_id"],
                redirect_uris=[AnyUrl(self._redirect_url)],
                token_endpoint_auth_method="none",
            )

    def provider(self, url: str, result: Any) -> OAuthClientProvider:
        """What the HTTP client authenticates with; `result` makes of a callback what this generation takes."""

        async def redirected(to: str) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(to).query).items()}
            self.events.append({"authorize": query})
            self._callback = await self._browser.open(to, self._redirect_url)
            self.events.append({"callback": sorted(self._callback)})

        async def called_back() -> Any:
            return result(self._callback)

        metadata = OAuthClientMetadata(
            client_name="e2e",
            redirect_uris=[AnyUrl(self._redirect_url)],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method="none",
        )
        return OAuthClientProvider(
            server_url=url,
            client_metadata=metadata,
            storage=self,
            redirect_handler=redirected,
            callback_handler=called_back,
            client_metadata_url=self._metadata_url,
        )

    async def heard(self, response: Any) -> None:
        """A hook of the HTTP client: notes what the SDK asks of the MCP server and of the authorization server."""
        told = {"method": response.request.method, "path": response.request.url.path, "status": response.status_code}
        challenge = response.headers.get("www-authenticate")
        self.events.append({**told, **({"challenge": challenge} if challenge else {})})

    async def get_tokens(self) -> OAuthToken | None:
        """As `TokenStorage` has it."""
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """As `TokenStorage` has it."""
        self.events.append({"token": {"scope": tokens.scope, "type": tokens.token_type}})
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """As `TokenStorage` has it."""
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """As `TokenStorage` has it."""
        self._client = client_info
