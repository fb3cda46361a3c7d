"""A store of logs, a collector before it, and what of the trail is in the store."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import paths
from harness.process import Service, answers


@dataclass(frozen=True)
class Store:
    """A running store."""

    service: Service
    file: Path

    @staticmethod
    def start(port: int, folder: Path, certificate: tuple[Path, Path] | None = None) -> Store:
        """Starts `e2e/servers/logs.py`, with TLS if there is a certificate with its key."""
        file = folder / "store.jsonl"
        command: list[str | Path] = [paths.python("otlp"), paths.E2E / "servers/logs.py", str(port), "--store", file]
        if certificate is not None:
            command += ["--certificate", certificate[0], "--key", certificate[1]]
        service = Service("logs", command, folder / "logs.log")
        service.wait(lambda: answers(port))
        return Store(service, file)

    def records(self) -> list[dict[str, Any]]:
        """Every log record that came, as often as it did."""
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def trail(self) -> list[str]:
        """The lines of the trail in their order, each once."""
        lines = {record["attributes"]["toolgate.audit.seq"]: record["body"] for record in self.records()}
        return [lines[seq] for seq in sorted(lines)]

    def decisions(self) -> list[dict[str, Any]]:
        """The decisions in it."""
        records = [json.loads(line) for line in self.trail()]
        return [record for record in records if record["kind"] == "decision"]

    def verify(self, file: Path) -> subprocess.CompletedProcess[str]:
        """What `toolgate audit verify` says of the trail, written to a file."""
        file.write_text("".join(f"{line}\n" for line in self.trail()))
        return subprocess.run([paths.toolgate(), "audit", "verify", file], capture_output=True, text=True, check=False)


def start_collector(http: int, grpc: int, store: int, folder: Path) -> Service:
    """Starts a real collector that sends on to a store."""
    command = [
        *(paths.collector(), "start"),
        *("--otlp-http-endpoint", f"127.0.0.1:{http}", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"),
        *("--exporter", "otlp", "--otlp-exporter-protocol", "http"),
        *("--otlp-exporter-endpoint", f"http://127.0.0.1:{store}", "--disable-batching"),
    ]
    service = Service("collector", command, folder / "collector.log", {"RUST_LOG": os.environ.get("RUST_LOG", "warn")})
    service.wait(lambda: answers(http))
    return service
