"""`toolgate tools pull`, from real servers of both eras, and through toolgate itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from harness import mcp, paths, stack as stacks
from harness.parts import McpServer
from harness.stack import Stack
from people import ADA

LIMIT_S = 30
EXAMPLE = paths.EXAMPLES / "envoy/catalogs"


def pull(url: str, *arguments: str | Path, token: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command, with a token in its environment or none."""
    environment = {name: value for name, value in os.environ.items() if name != "TOOLGATE_TOKEN"}
    return subprocess.run(
        [paths.toolgate(), "tools", "pull", url, *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={**environment, **({"TOOLGATE_TOKEN": token} if token else {})},
    )


def endpoint(server: McpServer) -> str:
    """Where a server answers when nobody stands before it."""
    return f"http://127.0.0.1:{server.port}/mcp"


@pytest.mark.parametrize(
    ("name", "protocol", "spoken"),
    [
        pytest.param("weather", "auto", mcp.MODERN, id="weather"),
        pytest.param("weather", "2026-07-28", mcp.MODERN, id="weather without sessions"),
        pytest.param("weather", "2025-11-25", mcp.HANDSHAKE, id="weather by handshake"),
        pytest.param("bank", "auto", mcp.HANDSHAKE, id="bank"),
        pytest.param("bank", "2025-11-25", mcp.HANDSHAKE, id="bank by handshake"),
    ],
)
def test_pull_from_a_server(
    servers: dict[str, McpServer], tmp_path: Path, name: str, protocol: str, spoken: str
) -> None:
    """In either era it is the catalogue that the examples have; a session is ended; the file is the same every time."""
    before = len(servers[name].requests())
    file = tmp_path / "catalog.json"
    done = pull(endpoint(servers[name]), "--protocol", protocol, "-o", file, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    catalog = json.loads(file.read_text())
    assert list(catalog) == ["tools"]
    assert catalog["tools"] == json.loads((EXAMPLE / f"{name}.json").read_text())["tools"]
    said = json.loads(done.stdout)
    assert (said["protocol"], said["pages"], said["tools"]) == (spoken, 1, len(catalog["tools"]))
    methods = [request["method"] for request in servers[name].requests()[before:]]
    assert methods.count("DELETE") == (1 if spoken == mcp.HANDSHAKE else 0)
    again = pull(endpoint(servers[name]), "--protocol", protocol)
    assert (again.returncode, again.stdout) == (0, file.read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["catalog.json"], "something was left behind"


def test_pull_in_an_era_that_the_server_does_not_know(servers: dict[str, McpServer], tmp_path: Path) -> None:
    """An error, and the file that was there stays."""
    file = tmp_path / "catalog.json"
    file.write_text("as it was")
    done = pull(endpoint(servers["bank"]), "--protocol", "2026-07-28", "-o", file)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the server answered with" in done.stderr
    assert file.read_text() == "as it was"


def test_pulled_is_what_policies_are_checked_against(servers: dict[str, McpServer], tmp_path: Path) -> None:
    """The report reads it, and says of every argument that it is exposed."""
    file = tmp_path / "catalog.json"
    assert pull(endpoint(servers["weather"]), "-o", file).returncode == 0
    report = subprocess.run([paths.toolgate(), "tools", "report", file], capture_output=True, text=True, check=True)
    assert "5 tools, 5 of them whole; policies can read 11 of 11 arguments" in report.stdout


@pytest.fixture(scope="module")
def direct(servers: Mapping[str, McpServer], folder: Path) -> Iterator[Stack]:
    """Envoy, hardened, that is also addressed by its own address."""

    def by_address(listener: dict[str, Any]) -> None:
        (chain,) = listener["filter_chains"]
        (host,) = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
        host["domains"].append(f"127.0.0.1:{listener['address']['socket_address']['port_value']}")

    with stacks.running(stacks.ENVOY, servers, folder / "pull", listener_amend=by_address) as running:
        yield running


@pytest.mark.parametrize("name", ["weather", "bank"])
def test_pull_through_toolgate(direct: Stack, tmp_path: Path, name: str) -> None:
    """Without a token the challenge is shown; with one, from a file or the environment, the catalogue comes."""
    url = f"http://127.0.0.1:{direct.port}/{name}"
    refused = pull(url)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "the server wants a token: pass one with --token-file or TOOLGATE_TOKEN (401)" in refused.stderr
    assert f"/.well-known/oauth-protected-resource/{name}" in refused.stderr
    token = direct.token(ADA, server=name)
    file = tmp_path / "token"
    file.write_text(token + "\n")
    for done in (pull(url, "--token-file", file), pull(url, token=token)):
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["tools"] == json.loads((EXAMPLE / f"{name}.json").read_text())["tools"]
        assert token not in done.stdout + done.stderr
    wrong = pull(url, token="made-up")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "the server does not accept the token (401)" in wrong.stderr
    assert "made-up" not in wrong.stderr
