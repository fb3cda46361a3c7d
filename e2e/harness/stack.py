"""Everything together, in one of the three shapes it is deployed in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import mcp, parts, paths, wire
from harness.process import Service, free_ports
from harness.tokens import Issuer, Person


@dataclass(frozen=True)
class Shape:
    """A way toolgate is plugged in: an example's files and the Envoy configuration that goes with them."""

    name: str
    example: Path
    config: str
    body_limit: int
    envoy: Path
    host: str
    server_paths: Mapping[str, str]

    def resource(self, server: str) -> str:
        """The public URL of a server, which a token must name."""
        return f"https://{self.host}{self.server_paths[server]}"


KIB = 1024

ENVOY = Shape(
    name="envoy",
    example=paths.EXAMPLES / "envoy",
    config="toolgate.yaml",
    body_limit=1024 * KIB,
    envoy=paths.EXAMPLES / "envoy/envoy.yaml",
    host="mcp.example.com",
    server_paths={"weather": "/weather", "bank": "/bank"},
)
ISTIO = Shape(
    name="istio",
    example=paths.EXAMPLES / "istio",
    config="config/toolgate.yaml",
    body_limit=1020 * KIB,
    envoy=paths.E2E / "envoy/istio-shape.yaml",
    host="weather.example.com",
    server_paths={"weather": "/mcp"},
)
GATEWAY = Shape(
    name="envoy-gateway",
    example=paths.EXAMPLES / "envoy-gateway",
    config="config/toolgate.yaml",
    body_limit=1024 * KIB,
    envoy=paths.E2E / "envoy/gateway-shape.yaml",
    host="weather.example.com",
    server_paths={"weather": "/mcp"},
)
SHAPES = [ENVOY, ISTIO, GATEWAY]


@dataclass(frozen=True)
class Front:
    """A running shape. A client reaches it as it would in the world, by the public host, on a port of loopback."""

    shape: Shape
    port: int
    servers: Mapping[str, parts.McpServer]
    envoy: Service
    toolgate: parts.Toolgate

    def send(
        self,
        method: str,
        path: str,
        *headers: tuple[str, str],
        token: str | None = None,
        body: bytes | None = None,
        host: str | None = None,
        chunked: bool = False,
    ) -> wire.Answer:
        """Any request at all."""
        given = [("host", host or self.shape.host), *headers]
        if token is not None:
            given.append(("authorization", f"Bearer {token}"))
        return wire.send(self.port, method, path, given, body, chunked=chunked)

    def post(
        self,
        message: mcp.Message,
        *headers: tuple[str, str],
        token: str | None = None,
        server: str = "weather",
        chunked: bool = False,
    ) -> wire.Answer:
        """An MCP message to a server."""
        path = self.shape.server_paths[server]
        return self.send("POST", path, *message.headers, *headers, token=token, body=message.body, chunked=chunked)

    def services(self) -> list[Service]:
        """Every part that has a log."""
        return [self.toolgate.service, self.envoy, *(server.service for server in self.servers.values())]

    def logs(self) -> str:
        """The tails of every log, for a failure."""
        return "\n".join(f"{service.log}{service.tail()}" for service in self.services())


@dataclass(frozen=True)
class Stack(Front):
    """A running shape with an issuer of our own, whose keys toolgate has as a file."""

    issuer: Issuer

    def token(self, person: Person, server: str = "weather", **options: Any) -> str:
        """A token of this person for this server."""
        return self.issuer.token(person, **{"audience": self.shape.resource(server), **options})

    def run(self, sdk: mcp.Sdk, token: str, *steps: mcp.Step, server: str = "weather") -> dict[str, Any]:
        """A real client, connected once, performing steps."""
        url = f"http://127.0.0.1:{self.port}{self.shape.server_paths[server]}"
        return sdk.run(url, {"Host": self.shape.host, "Authorization": f"Bearer {token}"}, *steps)


@contextlib.contextmanager
def mcp_servers(folder: Path, names: list[str]) -> Iterator[dict[str, parts.McpServer]]:
    """MCP servers on free ports of loopback."""
    with contextlib.ExitStack() as stack:
        servers: dict[str, parts.McpServer] = {}
        for name, port in zip(names, free_ports(len(names)), strict=True):
            servers[name] = parts.McpServer.start(name, port, folder)
            stack.callback(servers[name].service.stop)
        yield servers


@contextlib.contextmanager
def running(
    shape: Shape,
    servers: Mapping[str, parts.McpServer],
    folder: Path,
    *,
    amend: Callable[[dict[str, Any]], None] | None = None,
    listener_amend: Callable[[dict[str, Any]], None] | None = None,
) -> Iterator[Stack]:
    """toolgate and Envoy of a shape, in front of servers that run already, with changes to toolgate's configuration and to
    Envoy's listener."""
    folder.mkdir(parents=True, exist_ok=True)
    listener, envoy_admin, grpc, admin = free_ports(4)
    issuer = Issuer()
    keys = issuer.write(folder / "keys.json")

    def adapt(settings: dict[str, Any]) -> None:
        settings["issuers"][0]["jwks"] = {"file": str(keys)}
        if amend is not None:
            amend(settings)

    config = parts.render_toolgate(shape.example, shape.config, folder / "files", grpc=grpc, admin=admin, adapt=adapt)
    ports = {"toolgate": grpc, **{name: server.port for name, server in servers.items()}}
    envoy_yaml = parts.render_envoy(
        shape.envoy, folder / "envoy.yaml", listener=listener, admin=envoy_admin, clusters=ports, adapt=listener_amend
    )
    with contextlib.ExitStack() as stack:
        toolgate = parts.Toolgate.start(config, admin, folder)
        stack.callback(toolgate.service.stop)
        envoy = parts.start_envoy(envoy_yaml, listener, envoy_admin, folder)
        stack.callback(envoy.stop)
        yield Stack(shape, listener, servers, envoy, toolgate, issuer)
