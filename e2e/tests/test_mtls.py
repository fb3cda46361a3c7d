"""Tokens that are bound to a client certificate, over Envoy's own TLS."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from expect import challenge, recorded
from harness import mcp, wire
from harness.certificates import self_signed
from harness.parts import McpServer
from harness.stack import ENVOY, Stack, running
from people import CAROL

FORECAST = mcp.call("get_forecast", city="Oslo")


class Client:
    """Somebody with a certificate of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.certificate, self.key = self_signed(name, folder / name)

    def thumbprint(self) -> str:
        """As RFC 8705 has it in a token."""
        der = ssl.PEM_cert_to_DER_cert(self.certificate.read_text())
        return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Client]:
    folder = tmp_path_factory.mktemp("certificates")
    return {name: Client(name, folder) for name in ("own", "other")}


@pytest.fixture(scope="module")
def stack(
    servers: dict[str, McpServer], clients: dict[str, Client], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Envoy takes TLS, asks for a certificate, and hands it over; a connection without one is let in."""
    folder = tmp_path_factory.mktemp("mtls")
    certificate, key = self_signed(ENVOY.host, folder / "server")
    trusted = folder / "clients.crt"
    trusted.write_text("".join(client.certificate.read_text() for client in clients.values()))

    def amend(settings: dict[str, Any]) -> None:
        for server in settings["servers"]:
            server["mtls"] = {"required": True}

    def listener_amend(listener: dict[str, Any]) -> None:
        (chain,) = listener["filter_chains"]
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "tls_certificates": [
                        {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
                    ],
                    "validation_context": {"trusted_ca": {"filename": str(trusted)}},
                },
            },
        }
        filters = chain["filters"][0]["typed_config"]["http_filters"]
        (gate,) = (each for each in filters if each["name"] == "envoy.filters.http.ext_authz")
        gate["typed_config"]["include_peer_certificate"] = True

    with running(ENVOY, servers, folder, amend=amend, listener_amend=listener_amend) as started:
        yield started


def call(stack: Stack, token: str, client: Client | None, *headers: tuple[str, str]) -> wire.Answer:
    """A call over a connection of this client."""
    context = ssl.create_default_context()
    # Who the server is does not matter here.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    given = [("host", ENVOY.host), ("authorization", f"Bearer {token}"), *FORECAST.headers, *headers]
    return wire.send(stack.port, "POST", ENVOY.server_paths["weather"], given, FORECAST.body, tls=context)


def test_over_its_own_connection(stack: Stack, clients: dict[str, Client]) -> None:
    token = stack.token(CAROL, cnf={"x5t#S256": clients["own"].thumbprint()})
    recorded(stack, call(stack, token, clients["own"]), 200, "allow")


@pytest.mark.parametrize("connection", ["other", None])
def test_over_anybody_else_s(stack: Stack, clients: dict[str, Client], connection: str | None) -> None:
    token = stack.token(CAROL, cnf={"x5t#S256": clients["own"].thumbprint()})
    client = clients[connection] if connection else None
    forwarded = ("x-forwarded-client-cert", f'Cert="{clients["own"].certificate.read_text().replace(chr(10), "%0A")}"')
    answer = call(stack, token, client, forwarded)
    record = recorded(stack, answer, 401, "token_invalid")
    assert challenge(answer)["error"] == "invalid_token"
    assert "certificate" in record["detail"], record


def test_a_token_that_is_not_bound(stack: Stack, clients: dict[str, Client]) -> None:
    record = recorded(stack, call(stack, stack.token(CAROL), clients["own"]), 401, "token_invalid")
    assert "bound to their sender" in record["detail"], record
