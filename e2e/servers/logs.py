"""A store of logs: takes OTLP over HTTP, as the published definitions read it, and writes one JSON line for each log record.

It answers only once the line is written.
"""

from __future__ import annotations

import argparse
import gzip
import json
import ssl
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import KeyValue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    arguments = parser.parse_args()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            request = ExportLogsServiceRequest.FromString(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            with arguments.store.open("a") as store:
                for line in lines(request):
                    store.write(json.dumps({"path": self.path, "headers": headers, **line}) + "\n")
            answer = ExportLogsServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler)
    if arguments.certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def lines(request: ExportLogsServiceRequest) -> Iterable[dict[str, Any]]:
    """Each log record with what is said about it."""
    for logs in request.resource_logs:
        for scope in logs.scope_logs:
            for record in scope.log_records:
                yield {
                    "resource": plain(logs.resource.attributes),
                    "scope": scope.scope.name,
                    "time": record.time_unix_nano,
                    "severity": record.severity_number,
                    "event": record.event_name,
                    "attributes": plain(record.attributes),
                    "trace_id": record.trace_id.hex(),
                    "body": record.body.string_value,
                    "unknown": unknown(request),
                }


def plain(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


def unknown(message: Message) -> int:
    """Fields in it, at any depth, that the definitions do not have."""
    count = len(UnknownFieldSet(message))
    for field, value in message.ListFields():
        if field.message_type is not None:
            count += sum(unknown(part) for part in (value if field.is_repeated else [value]))
    return count


if __name__ == "__main__":
    main()
