"""The demo: two MCP servers, Envoy and toolgate on loopback, and three people with a real MCP client.

    make demo           stays up until Ctrl-C
    make demo ONCE=1    ends by itself; exit 0 only if every row came out as expected
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import shutil
import signal
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import anyio
import table
import yaml
from clients import sdk2
from harness import mcp, parts, paths
from harness.process import Failed, answers, free_ports
from harness.stack import mcp_servers
from harness.tokens import Issuer
from story import CAROL, STORY, Row, Scene

WORK = paths.ROOT / ".demo"
PORTS = {"listener": 10000, "envoy_admin": 9901, "grpc": 9191, "admin": 9192}
TOKEN_LIFETIME_S = 12 * 3600


@dataclass(frozen=True)
class Demo:
    """What runs."""

    origin: str
    issuer: Issuer
    toolgate: parts.Toolgate
    config: Path

    def token(self, scene: Scene) -> str:
        """The token that the person of a scene holds."""
        audience = f"{self.origin}/{scene.audience or scene.server}"
        return self.issuer.token(scene.person, audience, lifetime_s=TOKEN_LIFETIME_S)


def choose_ports() -> dict[str, int]:
    """The usual ports if all of them are free, else others."""
    if not any(answers(port) for port in PORTS.values()):
        return PORTS
    return dict(zip(PORTS, free_ports(len(PORTS)), strict=True))


def render(origin: str, ports: dict[str, int], issuer: Issuer) -> Path:
    """demo/toolgate.yaml with these ports, its own folders where they are, and the key that was just made."""
    settings = yaml.safe_load((paths.DEMO / "toolgate.yaml").read_text())
    settings["listen"] = {name: f"127.0.0.1:{ports[name]}" for name in ("grpc", "admin")}
    settings["policies"] = str(paths.DEMO / settings["policies"])
    settings["issuers"][0]["jwks"] = {"file": "keys.json"}
    for server in settings["servers"]:
        server["resource"] = f"{origin}/{server['name']}"
        server["tools"] = str(paths.DEMO / server["tools"])
    settings["audit"] = {"file": {"path": "audit.jsonl"}}
    (WORK / "keys.json").write_text(issuer.jwks())
    config = WORK / "toolgate.yaml"
    config.write_text(yaml.safe_dump(settings, sort_keys=False))
    return config


@contextlib.contextmanager
def running() -> Any:
    """Everything up, in the order in which it is needed; down again in the reverse."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    ports = choose_ports()
    origin = f"http://127.0.0.1:{ports['listener']}"
    issuer = Issuer(url="https://issuer.demo.example")
    config = render(origin, ports, issuer)
    with contextlib.ExitStack() as stack:
        servers = stack.enter_context(mcp_servers(WORK, ["weather", "bank"]))
        toolgate = parts.Toolgate.start(config, ports["admin"], WORK)
        stack.callback(toolgate.service.stop)
        envoy_yaml = parts.render_envoy(
            paths.EXAMPLES / "envoy/envoy.yaml",
            WORK / "envoy.yaml",
            listener=ports["listener"],
            admin=ports["envoy_admin"],
            clusters={"toolgate": ports["grpc"], **{name: server.port for name, server in servers.items()}},
            domains=[f"127.0.0.1:{ports['listener']}"],
        )
        stack.callback(parts.start_envoy(envoy_yaml, ports["listener"], ports["envoy_admin"], WORK).stop)
        yield Demo(origin, issuer, toolgate, config)


def why(record: dict[str, Any], challenge: str) -> str:
    """What decided, in a few words."""
    match record["reason"]:
        case "allow":
            return ", ".join(record["policies"])
        case "policy_denied" if record.get("policies"):
            return f"forbidden by {', '.join(record['policies'])}"
        case "policy_denied":
            return "no policy permits it"
        case "scope_insufficient":
            return f"needs the scope {challenge}" if challenge else "needs another scope"
        case "token_invalid":
            return "the token is for another server"
        case other:
            return str(other)


def record_of(demo: Demo, action: str) -> dict[str, Any]:
    """The record of the call just made: the last of that action, or of a caller who got no further than the token."""
    return next(
        record
        for record in reversed(demo.toolgate.audit())
        if not record["actions"] or any(action in one for one in record["actions"])
    )


async def play(demo: Demo, scene: Scene) -> list[str]:
    """One connection, every row of the scene on it; what came out otherwise than expected."""
    url, token = f"{demo.origin}/{scene.server}", demo.token(scene)
    surprises = []
    rows = list(scene.rows)
    began = anyio.current_time()
    try:
        async with sdk2.connected(url, {"Authorization": f"Bearer {token}"}, "auto") as client:
            while rows:
                result = await sdk2.attempt(client, mcp.step(rows[0].tool, **rows[0].arguments))
                surprises += show(demo, scene, rows.pop(0), result)
    except Exception as error:  # who has no good token does not even get to connect
        took_ms = (anyio.current_time() - began) * 1000
        for row in rows:
            result = {"ok": False, "ms": took_ms, "error": {"message": repr(error)}}
            surprises += show(demo, scene, row, result)
    return surprises


def show(demo: Demo, scene: Scene, row: Row, result: dict[str, Any]) -> list[str]:
    """Prints a row from what the client saw and what the audit recorded; says what was not as expected."""
    record = record_of(demo, f"{scene.server}:{row.tool}")
    error = result.get("error", {})
    data = error.get("data") if isinstance(error.get("data"), dict) else {}
    missing = "weather:write" if record["reason"] == "scope_insufficient" else ""
    who = f"{scene.person.name.capitalize()}, {scene.role}"
    table.row(who, scene.server, row.tool, row.arguments, result["ok"], why(record, missing), result["ms"])
    if "advice" in (data or {}):
        table.note(f"advice to the agent: {data['advice']}")
    expected = (row.reason == "allow", row.reason, sorted(row.policies))
    got = (result["ok"], record["reason"], sorted(record.get("policies", [])))
    return [] if got == expected else [f"{who}: {row.tool} {row.arguments}: expected {expected}, got {got}: {error}"]


def tell(demo: Demo) -> list[str]:
    """The whole story, and what toolgate took of the time; what was not as expected."""
    surprises = []
    for person, scenes in itertools.groupby(STORY, lambda scene: scene.person):
        if person != STORY[0].person:
            table.gap()
        for scene in scenes:
            surprises += anyio.run(play, demo, scene)
    took = statistics.median(record["latency_us"]["total"] for record in demo.toolgate.audit()) / 1000
    print(f"\nOf each request toolgate itself took {took:.2f} ms (median).")
    return surprises


def leave_something_to_try(demo: Demo) -> None:
    """Files in .demo for curl, and the commands that use them."""
    scene = next(scene for scene in STORY if scene.person == CAROL)
    (WORK / "carol.token").write_text(demo.token(scene))
    (WORK / "carol").write_text(f"Authorization: Bearer {demo.token(scene)}\n")
    message = mcp.call("get_forecast", city="Oslo", days=3)
    (WORK / "call").write_text("".join(f"{name}: {value}\n" for name, value in message.headers))
    (WORK / "forecast.json").write_text(json.dumps(json.loads(message.body), indent=2) + "\n")
    (WORK / "ten-days.json").write_bytes(mcp.handshake_call("get_forecast", city="Oslo", days=10).body + b"\n")
    curl = f"curl -i {demo.origin}/weather -H @.demo/call"
    binary = paths.toolgate()
    shown = binary.relative_to(paths.ROOT) if binary.is_relative_to(paths.ROOT) else binary
    print(f"""
Try it by hand, from {paths.ROOT}. Carol's token is in .demo/carol.token, her call in .demo/forecast.json.

  # three days: allowed
  {curl} -H @.demo/carol -d @.demo/forecast.json
  # ten days: denied
  sed 's/"days": 3/"days": 10/' .demo/forecast.json | {curl} -H @.demo/carol -d @-
  # without a token: told where to get one, and there, from whom
  {curl} -d @.demo/forecast.json
  curl -i {demo.origin}/.well-known/oauth-protected-resource/weather
  # ten days again: why not
  {shown} explain -c .demo/toolgate.yaml --server weather --token "$(cat .demo/carol.token)" --message .demo/ten-days.json
  # the last decision, as recorded
  tail -n 1 .demo/audit.jsonl

The policies are in demo/policies, the logs in .demo.""")


def main() -> int:
    """Plays the story; the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--once", action="store_true", help="end after the story")
    options = arguments.parse_args()
    logging.disable(logging.CRITICAL)  # the SDK logs what the table says
    for ending in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: in the background it would be ignored
        signal.signal(ending, signal.default_int_handler)
    try:
        with running() as demo:
            print(f"Envoy at {demo.origin} asks toolgate about every request to two MCP servers.\n")
            table.heading()
            surprises = tell(demo)
            if not options.once:
                leave_something_to_try(demo)
                print("\nCtrl-C ends it.", flush=True)
                signal.pause()
    except KeyboardInterrupt:
        return 0
    except Failed as failed:
        print(f"demo: {failed}", file=sys.stderr)
        return 1
    for surprise in surprises:
        print(f"demo: not as expected: {surprise}", file=sys.stderr)
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
