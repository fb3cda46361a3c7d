"""The audit trail at the other end of OTLP: as the published definitions read it, behind a real collector, and after an outage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import certificates, mcp, wire
from harness.logs import Store, start_collector
from harness.parts import McpServer
from harness.process import free_ports, until
from harness.stack import ENVOY, Stack, running
from people import ADA, BOB, CAROL

LIMIT_S = 15
FORECAST = mcp.call("get_forecast", city="Oslo")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def exporting(**otlp: str) -> Callable[[dict[str, Any]], None]:
    """A configuration whose only sink is a collector."""

    def amend(settings: dict[str, Any]) -> None:
        settings["audit"] = {"otlp": otlp}

    return amend


def whole(store: Store, stack: Stack, folder: Path) -> list[dict[str, Any]]:
    """Stops toolgate; the trail ends in order, and holds. The decisions in it."""
    assert stack.toolgate.service.stop() == 0, stack.toolgate.service.tail()
    assert until(lambda: any(record["event"] == "toolgate.audit.closed" for record in store.records()), LIMIT_S)
    verified = store.verify(folder / "trail.jsonl")
    assert verified.returncode == 0, f"{verified.stdout}{verified.stderr}"
    return store.decisions()


def test_the_published_definitions_read_it(servers: dict[str, McpServer], tmp_path: Path) -> None:
    """Over TLS with a certificate of our own, with a header from a file; every field is one that the definitions have."""
    (port,) = free_ports(1)
    certificate = certificates.self_signed("localhost", tmp_path / "logs", authority=False)
    (tmp_path / "otlp.headers").write_text("authorization: Bearer made-up\n")
    store = Store.start(port, tmp_path, certificate)
    amend = exporting(
        endpoint=f"https://localhost:{port}",
        headers_file=str(tmp_path / "otlp.headers"),
        ca_file=str(certificate[0]),
    )
    try:
        with running(ENVOY, servers, tmp_path, amend=amend) as stack:
            traced = ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")
            assert stack.post(FORECAST, traced, token=stack.token(CAROL)).status == 200
            denied = stack.post(mcp.call("delete_station", station="x"), token=stack.token(CAROL))
            assert stack.post(FORECAST).status == 401
            decisions = whole(store, stack, tmp_path)
        assert [decision["decision"] for decision in decisions] == ["allow", "deny", "deny"], denied
        records = store.records()
        for record in records:
            assert record["unknown"] == 0 and record["path"] == "/v1/logs" and record["severity"] == 9, record
            assert record["headers"]["authorization"] == "Bearer made-up", record
            assert record["resource"]["service.name"] == "toolgate", record
            assert record["resource"]["service.instance.id"] == decisions[0]["boot"], record
        allowed = next(record for record in records if record["attributes"].get("toolgate.decision") == "allow")
        assert allowed["attributes"]["toolgate.server"] == "weather" and allowed["trace_id"] == TRACE, allowed
    finally:
        store.service.stop()


def test_a_collector_passes_it_on(servers: dict[str, McpServer], tmp_path: Path) -> None:
    """Rotel, a collector by others, receives what toolgate sends, and sends it to a store: there the trail verifies."""
    http, grpc, port = free_ports(3)
    store = Store.start(port, tmp_path)
    collector = start_collector(http, grpc, port, tmp_path)
    try:
        with running(ENVOY, servers, tmp_path, amend=exporting(endpoint=f"http://127.0.0.1:{http}")) as stack:
            for person in (ADA, CAROL) * 5:
                assert stack.post(FORECAST, token=stack.token(person)).status == 200, collector.tail()
            assert stack.post(FORECAST, token=stack.token(BOB)).status in (200, 403)
            decisions = whole(store, stack, tmp_path)
        assert len(decisions) == 11 and {record["scope"] for record in store.records()} == {"toolgate.audit"}
    finally:
        collector.stop()
        store.service.stop()


def test_an_outage_denies_and_ends_by_itself(servers: dict[str, McpServer], tmp_path: Path) -> None:
    """Without the store nothing is allowed; what was asked meanwhile is there afterwards, and the trail has no gap."""
    (port,) = free_ports(1)
    store = Store.start(port, tmp_path)
    try:
        with running(ENVOY, servers, tmp_path, amend=exporting(endpoint=f"http://127.0.0.1:{port}")) as stack:
            assert stack.post(FORECAST, token=stack.token(CAROL)).status == 200
            store.service.stop()
            answers = [stack.post(FORECAST, token=stack.token(CAROL)) for _ in range(3)]
            assert [answer.status for answer in answers] == [503] * 3, answers
            ready = wire.get(stack.toolgate.admin, "/readyz")
            assert ready is not None and ready.status == 503 and not ready.json()["audit"], ready
            store = Store.start(port, tmp_path)

            def ready_again() -> bool:
                answer = wire.get(stack.toolgate.admin, "/readyz")
                return answer is not None and answer.status == 200

            assert until(ready_again, LIMIT_S), stack.toolgate.service.tail()
            assert stack.post(FORECAST, token=stack.token(CAROL)).status == 200
            assert len(whole(store, stack, tmp_path)) == 5
    finally:
        store.service.stop()
