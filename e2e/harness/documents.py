"""A client that is its own documentation: a client ID metadata document, over https on loopback."""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.certificates import self_signed

HOST = "localhost"
PATH = "/client.json"


@dataclass(frozen=True)
class Document:
    """Where the document is, which is the client's id; and the certificate that vouches for the place."""

    url: str
    authority: Path


@contextlib.contextmanager
def client_document(redirect_url: str, folder: Path) -> Iterator[Document]:
    """Serves the document of a public client, with a certificate made on the spot."""
    certificate, key = self_signed(HOST, folder / "document")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        url = f"https://{HOST}:{server.server_port}{PATH}"
        server.RequestHandlerClass = _handler(url, redirect_url)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Document(url, certificate)
        finally:
            server.shutdown()


def _handler(url: str, redirect_url: str) -> type[http.server.BaseHTTPRequestHandler]:
    document = {
        "client_id": url,
        "client_name": "e2e",
        "redirect_uris": [redirect_url],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    }
    body = json.dumps(document).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == PATH
            self.send_response(200 if found else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body) if found else 0))
            self.end_headers()
            self.wfile.write(body if found else b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
