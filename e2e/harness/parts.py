"""The real parts: MCP servers, Envoy, toolgate; each started on loopback and waited for."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness import paths, wire
from harness.process import Service, answers

GENERATION = {"weather": "mcp2", "bank": "mcp1"}


@dataclass(frozen=True)
class McpServer:
    """A running MCP server, and what reached it."""

    name: str
    port: int
    service: Service
    record: Path

    @staticmethod
    def start(name: str, port: int, folder: Path) -> McpServer:
        """Starts `e2e/servers/<name>.py` on its generation of the SDK."""
        record = folder / f"{name}-requests.jsonl"
        script = paths.E2E / f"servers/{name}.py"
        command: list[str | Path] = [paths.python(GENERATION[name]), script, str(port), "--record", record]
        service = Service(name, command, folder / f"{name}.log")
        service.wait(lambda: answers(port))
        return McpServer(name, port, service, record)

    def requests(self) -> list[dict[str, Any]]:
        """Every request that reached the server, headers as a list of pairs."""
        return _lines(self.record)


def render_envoy(
    source: Path,
    target: Path,
    *,
    listener: int,
    admin: int,
    clusters: Mapping[str, int],
    domains: list[str] | None = None,
    adapt: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """Writes an example for this machine: its ports, and nothing else unless `domains` are given; `adapt` changes the
    listener.

    A cluster is found by the name of its server: `weather` is `weather`, `outbound|80||weather.mcp.svc…` and
    `httproute/mcp/weather/rule/0`; toolgate's is the one that speaks HTTP/2.
    """
    config = yaml.safe_load(source.read_text())
    _at(config["admin"], admin)
    (only,) = config["static_resources"]["listeners"]
    _at(only, listener)
    for cluster in config["static_resources"]["clusters"]:
        words = re.split(r"[^a-z]+", cluster["name"])
        name = "toolgate" if "typed_extension_protocol_options" in cluster else next(w for w in words if w in clusters)
        (locality,) = cluster["load_assignment"]["endpoints"]
        _at(locality["lb_endpoints"][0]["endpoint"], clusters[name])
    if domains is not None:
        chain = (only.get("filter_chains") or [only["default_filter_chain"]])[0]
        (host,) = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
        host["domains"] = domains
    if adapt is not None:
        adapt(only)
    target.write_text(yaml.safe_dump(config, sort_keys=False))
    return target


def _at(holder: dict[str, Any], port: int) -> None:
    holder["address"]["socket_address"].update(address="127.0.0.1", port_value=port)


def start_envoy(config: Path, listener: int, admin: int, folder: Path) -> Service:
    """Starts Envoy; ready when it says so and listens."""
    # The access log goes to its output, and would be held back for ten seconds.
    flags = [
        "--disable-hot-restart",
        "--concurrency",
        "2",
        "--log-level",
        "warning",
        "--file-flush-interval-msec",
        "50",
    ]
    service = Service("envoy", [paths.envoy(), "-c", config, *flags], folder / "envoy.log")

    def ready() -> bool:
        answer = wire.get(admin, "/ready")
        return answer is not None and answer.status == 200 and answers(listener)

    service.wait(ready)
    return service


def render_toolgate(
    source: Path, config: str, target: Path, *, grpc: int, admin: int, adapt: Callable[[dict[str, Any]], None]
) -> Path:
    """Copies an example's folder and makes its config fit this machine: addresses, an audit file, what `adapt` does."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    file = target / config
    settings = yaml.safe_load(file.read_text())
    settings["listen"] = {"grpc": f"127.0.0.1:{grpc}", "admin": f"127.0.0.1:{admin}"}
    settings["audit"] = {"file": {"path": "audit.jsonl"}}
    adapt(settings)
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    return file


@dataclass(frozen=True)
class Toolgate:
    """A running toolgate, and what it wrote down."""

    service: Service
    audit_file: Path
    admin: int

    @staticmethod
    def start(config: Path, admin: int, folder: Path) -> Toolgate:
        """Starts `toolgate serve`; ready when `/readyz` says so."""
        service = Service("toolgate", [paths.toolgate(), "serve", "-c", config], folder / "toolgate.log")

        def ready() -> bool:
            answer = wire.get(admin, "/readyz")
            return answer is not None and answer.status == 200

        service.wait(ready)
        return Toolgate(service, config.parent / "audit.jsonl", admin)

    def audit(self) -> list[dict[str, Any]]:
        """Every record of a decision so far; records of loads and reloads are left out."""
        return [record for record in _lines(self.audit_file) if "decision_id" in record]


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
