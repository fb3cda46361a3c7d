"""A real authorization server, and Envoy with toolgate in front of servers for which it issues tokens."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from harness import parts, paths, wire
from harness.documents import Document, client_document
from harness.process import Service, answers, free_ports
from harness.stack import ENVOY, Front

USER = "carol"
SCOPES = ["weather:read", "weather:write"]
FIRST_CONSENT = ["weather:read"]
"""What the user grants at first, whatever is asked for: the rest takes another authorization, a step up."""
ALGORITHMS = ["ES256", "RS256", "EdDSA"]
PREREGISTERED = "preregistered-app"
INTROSPECTOR = "toolgate"
"""The client that may introspect."""
REDIRECT_URL = "http://127.0.0.1/callback"
"""Nobody listens there: a client's browser stops before it."""

Settings = dict[str, Any]
Amend = Callable[[Settings, "AuthorizationServer", Path], None]
"""Changes toolgate's configuration; the folder is the one that paths in it are relative to."""


@dataclass(frozen=True)
class AuthorizationServer:
    """A running `authorization/provider.mjs`, and the secrets of its clients."""

    port: int
    service: Service
    secrets: Mapping[str, str]

    @property
    def issuer(self) -> str:
        """What its tokens name as `iss`."""
        return f"http://127.0.0.1:{self.port}"

    @staticmethod
    def start(
        port: int, resources: list[str], token_format: str, document: Document, folder: Path
    ) -> AuthorizationServer:
        """Starts it for these resources. `token_format` is `jwt` or `opaque`; the document's place is trusted."""
        machines = {machine(algorithm): algorithm for algorithm in ALGORITHMS}
        known = {name: secrets.token_urlsafe() for name in [*machines, INTROSPECTOR]}
        settings = {
            "user": USER,
            "groups": [],
            "scopes": SCOPES,
            "first_consent": FIRST_CONSENT,
            "resources": {url: {"format": token_format, "algorithm": ALGORITHMS[0]} for url in resources},
            "algorithms": machines,
            "introspector": INTROSPECTOR,
            "clients": [_confidential(name, secret) for name, secret in known.items()] + [_public(PREREGISTERED)],
        }
        file = folder / "authorization.json"
        file.write_text(json.dumps(settings))
        command = [*paths.node("authorization/provider.mjs"), str(port), file]
        trust = {"NODE_EXTRA_CA_CERTS": str(document.authority)}
        service = Service("authorization", command, folder / "authorization.log", trust)
        service.wait(lambda: answers(port))
        return AuthorizationServer(port, service, known)

    def machine_token(
        self, resource: str, algorithm: str = ALGORITHMS[0], scope: str = "weather:read", proof: str | None = None
    ) -> str:
        """A token by client credentials, signed with this algorithm; with a proof it is bound to the proof's key."""
        name = machine(algorithm)
        form = {"grant_type": "client_credentials", "scope": scope, "resource": resource}
        credentials = base64.b64encode(f"{name}:{self.secrets[name]}".encode()).decode()
        headers = [("authorization", f"Basic {credentials}"), *([("dpop", proof)] if proof else [])]
        answer = self._post("/token", form, *headers)
        assert answer.status == 200, answer
        token: str = answer.json()["access_token"]
        return token

    def rotate(self) -> None:
        """From now on it signs with other keys, and publishes those alone."""
        answer = self._post("/rotate", {})
        assert answer.status == 204, answer

    def _post(self, path: str, form: Mapping[str, str], *headers: tuple[str, str]) -> wire.Answer:
        given = [("host", f"127.0.0.1:{self.port}"), ("content-type", "application/x-www-form-urlencoded"), *headers]
        return wire.send(self.port, "POST", path, given, urlencode(form).encode())


def machine(algorithm: str) -> str:
    """The client that acts for itself and gets tokens signed with this algorithm."""
    return f"machine-{algorithm.lower()}"


def _confidential(name: str, secret: str) -> Settings:
    grants = [] if name == INTROSPECTOR else ["client_credentials"]
    return {
        "client_id": name,
        "client_secret": secret,
        "grant_types": grants,
        "redirect_uris": [],
        "response_types": [],
    }


def _public(name: str) -> Settings:
    return {
        "client_id": name,
        "redirect_uris": [REDIRECT_URL],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    }


@dataclass(frozen=True)
class OAuthStack(Front):
    """A running shape whose tokens come from a real authorization server. Its public URLs are those of loopback."""

    authorization: AuthorizationServer
    document: Document

    def resource(self, server: str = "weather") -> str:
        """The URL of a server, for clients and in tokens."""
        return f"http://{self.shape.host}{self.shape.server_paths[server]}"

    def services(self) -> list[Service]:
        """Every part that has a log."""
        return [*super().services(), self.authorization.service]


def _nothing(settings: Settings, authorization: AuthorizationServer, folder: Path) -> None:
    pass


@contextlib.contextmanager
def authorizing(
    servers: Mapping[str, parts.McpServer], folder: Path, *, token_format: str = "jwt", amend: Amend = _nothing
) -> Iterator[OAuthStack]:
    """The authorization server, toolgate and Envoy of `examples/envoy`, in front of servers that run already."""
    folder.mkdir(parents=True, exist_ok=True)
    listener, envoy_admin, grpc, admin, port = free_ports(5)
    shape = replace(ENVOY, host=f"127.0.0.1:{listener}")
    urls = {name: f"http://{shape.host}{path}" for name, path in shape.server_paths.items()}
    with contextlib.ExitStack() as stack:
        document = stack.enter_context(client_document(REDIRECT_URL, folder))
        authorization = AuthorizationServer.start(port, list(urls.values()), token_format, document, folder)
        stack.callback(authorization.service.stop)

        def adapt(settings: Settings) -> None:
            settings["issuers"][0].update(
                issuer=authorization.issuer, jwks={"discover": True}, insecure_http=True, algorithms=ALGORITHMS
            )
            for server in settings["servers"]:
                server["resource"] = urls[server["name"]]
            amend(settings, authorization, folder / "files")

        config = parts.render_toolgate(
            shape.example, shape.config, folder / "files", grpc=grpc, admin=admin, adapt=adapt
        )
        shutil.copy(paths.E2E / "authorization/clients.cedar", folder / "files/policies")
        toolgate = parts.Toolgate.start(config, admin, folder)
        stack.callback(toolgate.service.stop)
        ports = {"toolgate": grpc, **{name: server.port for name, server in servers.items()}}
        envoy_yaml = parts.render_envoy(
            shape.envoy,
            folder / "envoy.yaml",
            listener=listener,
            admin=envoy_admin,
            clusters=ports,
            domains=[shape.host],
        )
        envoy = parts.start_envoy(envoy_yaml, listener, envoy_admin, folder)
        stack.callback(envoy.stop)
        yield OAuthStack(shape, listener, servers, envoy, toolgate, authorization, document)
