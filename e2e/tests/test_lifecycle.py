"""Starting, stopping, being away; and that the audit has one line for each request that Envoy asked about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness import mcp, wire
from harness.mcp import SDKS, step
from harness.parts import McpServer
from harness.process import until
from harness.stack import ENVOY, SHAPES, Shape, Stack, running
from people import ADA, BOB, CAROL, DAN

LIMIT_S = 15
FORECAST = mcp.call("get_forecast", city="Oslo")


def access_log(stack: Stack) -> list[dict[str, Any]]:
    """Envoy's own lines about requests."""
    lines = stack.envoy.log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_one_record_for_each_request(servers: dict[str, McpServer], tmp_path: Path) -> None:
    """Envoy's access log and the audit tell of the same decisions, each once, in the same words."""
    with running(ENVOY, servers, tmp_path) as stack:
        for sdk in SDKS:
            stack.run(sdk, stack.token(CAROL), step("get_forecast", city="Oslo"), step("delete_station", station="x"))
            stack.run(sdk, stack.token(BOB, "bank"), step("get_balance", account="x"), server="bank")
        stack.post(FORECAST)
        stack.post(FORECAST, token="not.a.token")
        stack.post(FORECAST, token=stack.token(DAN))
        stack.post(mcp.call("publish_alert", region="x" * 2_000_000, text="", severity=1), token=stack.token(ADA))
        stack.send("GET", "/.well-known/oauth-protected-resource/bank")
        stack.send("DELETE", "/elsewhere")  # no route: Envoy asks nobody

        def asked() -> list[dict[str, Any]]:
            return [line for line in access_log(stack) if line["decision_id"] is not None]

        records = stack.toolgate.audit()
        assert until(lambda: len(asked()) >= len(records), LIMIT_S), f"{len(asked())} of {len(records)} in the log"
        by_id = {record["decision_id"]: record for record in records}
        assert len(by_id) == len(records), "a decision was recorded twice"
        assert {line["decision_id"] for line in asked()} == set(by_id)
        assert len(asked()) == len(records)
        for line in asked():
            record = by_id[line["decision_id"]]
            for field in ("decision", "reason", "policies", "principal", "generation"):
                assert (line[field] or None) == (record.get(field) or None), f"{field}\n{line}\n{record}"
            for field in ("action", "resource"):
                assert (line[field] or None) == (", ".join(record[f"{field}s"]) or None), f"{field}\n{line}\n{record}"
        text = stack.toolgate.audit_file.read_text()
        assert stack.token(CAROL).split(".")[0] not in text, "a token is in the audit"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_without_toolgate_nothing_gets_through(shape: Shape, servers: dict[str, McpServer], tmp_path: Path) -> None:
    """A clean stop exits 0; from then on 503, and no server sees anything."""
    with running(shape, servers, tmp_path) as stack:
        assert stack.post(FORECAST, token=stack.token(CAROL)).status == 200
        assert stack.toolgate.service.stop() == 0, stack.toolgate.service.tail()
        before = len(servers["weather"].requests())
        for answer in [
            stack.post(FORECAST, token=stack.token(CAROL)),
            stack.post(FORECAST),
            stack.send("GET", shape.server_paths["weather"], token=stack.token(ADA)),
        ]:
            assert answer.status == 503, answer
        assert len(servers["weather"].requests()) == before


def test_admin(stack: Stack) -> None:
    """What an operator looks at."""
    for path, expected in {"/healthz": 200, "/readyz": 200, "/metrics": 200, "/status": 200, "/": 404}.items():
        answer = wire.get(stack.toolgate.admin, path)
        assert answer is not None and answer.status == expected, f"{path}\n    {answer}"
    metrics = wire.get(stack.toolgate.admin, "/metrics")
    assert metrics is not None and b"# TYPE" in metrics.body, metrics
    status = wire.get(stack.toolgate.admin, "/status")
    assert status is not None and status.json()["generation"] >= 1, status
