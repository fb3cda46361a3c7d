"""The examples are what they say: accepted by the real programs, equal where copies, whole where lists."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import mcp, paths
from harness.parts import McpServer
from harness.tokens import Issuer

LIMIT_S = 60
ENVOY_FILES = ["examples/envoy/envoy.yaml", "e2e/envoy/istio-shape.yaml", "e2e/envoy/gateway-shape.yaml"]
CONFIGS = [
    "examples/envoy/toolgate.yaml",
    "examples/istio/config/toolgate.yaml",
    "examples/envoy-gateway/config/toolgate.yaml",
]
KUBERNETES = ["istio", "envoy-gateway"]


def run(*command: str | Path, cwd: Path = paths.ROOT) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end."""
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


@pytest.mark.parametrize("file", ENVOY_FILES)
def test_envoy_accepts(file: str) -> None:
    done = run(paths.envoy(), "--mode", "validate", "-c", file)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", CONFIGS)
def test_toolgate_check_accepts(file: str, tmp_path: Path) -> None:
    """As committed, wherever it is started from: nothing needs the network, and nothing is written."""
    config = paths.ROOT / file
    before = sorted(config.parent.rglob("*"))
    done = run(paths.toolgate(), "check", "-c", config, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(config.parent.rglob("*")) == before


def test_toolgate_check_accepts_the_demo(tmp_path: Path) -> None:
    """With a key file where the demo puts one."""
    shutil.copytree(paths.DEMO, tmp_path / "demo")
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo/keys.json").write_text(Issuer().jwks())
    done = run(paths.toolgate(), "check", "-c", tmp_path / "demo/toolgate.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", KUBERNETES)
def test_toolgate_check_accepts_it_as_kubernetes_mounts_it(name: str, tmp_path: Path) -> None:
    """A mounted ConfigMap is a folder of links into `..data`, itself a link to a folder with the time in its name."""
    for volume in ("config", "policies", "catalogs"):
        mount = tmp_path / volume
        dated = mount / "..2026_11_22_10_00_00.123456789"
        shutil.copytree(paths.EXAMPLES / name / volume, dated)
        (mount / "..data").symlink_to(dated.name)
        for file in dated.iterdir():
            (mount / file.name).symlink_to(Path("..data") / file.name)
    done = run(paths.toolgate(), "check", "-c", tmp_path / "config/toolgate.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("server", ["weather", "bank"])
def test_catalogues_are_what_the_server_lists(server: str, servers: dict[str, McpServer]) -> None:
    listed = mcp.list_tools(servers[server].port)
    # The servers of the cookbook run nowhere: their tools are made for its recipes.
    examples = [path for path in paths.EXAMPLES.glob(f"*/catalogs/{server}.json") if path.parts[-3] != "cookbook"]
    copies = [*examples, *paths.DEMO.glob(f"catalogs/{server}.json")]
    assert len(copies) == {"weather": 4, "bank": 2}[server]
    for copy in copies:
        assert json.loads(copy.read_text()) == listed, f"{copy}: run scripts/catalogs.py"


@pytest.mark.parametrize("policy", ["session", "weather"])
def test_copies_of_policies_are_equal(policy: str) -> None:
    copies = {file.read_text() for file in paths.EXAMPLES.glob(f"*/policies/{policy}.cedar")}
    assert len(copies) == 1


def documents(file: Path) -> list[dict[str, Any]]:
    """The manifests of a file."""
    return list(yaml.safe_load_all(file.read_text()))


@pytest.mark.parametrize("name", KUBERNETES)
def test_kustomization_names_every_file(name: str) -> None:
    folder = paths.EXAMPLES / name
    (kustomization,) = documents(folder / "kustomization.yaml")
    maps = {one["name"]: set(one["files"]) for one in kustomization["configMapGenerator"]}
    for volume in ("config", "policies", "catalogs"):
        files = {str(file.relative_to(folder)) for file in (folder / volume).iterdir()}
        assert maps[f"toolgate-{volume}"] == files
    for resource in kustomization["resources"]:
        assert (folder / resource).is_file()


@pytest.mark.parametrize("name", KUBERNETES)
def test_the_pod_mounts_what_the_config_reads(name: str) -> None:
    """Every ConfigMap is mounted as a whole folder, never as a file: only so is a change swapped in at once."""
    deployment = next(one for one in documents(paths.EXAMPLES / name / "toolgate.yaml") if one["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert all("subPath" not in mount and mount["readOnly"] for mount in mounts.values())
    for volume in pod["volumes"]:
        assert volume["configMap"]["name"] == f"toolgate-{volume['name']}"
        assert mounts[volume["name"]]["mountPath"] == f"/etc/toolgate/{volume['name']}"
    assert container["args"][-1] == "/etc/toolgate/config/toolgate.yaml"


def filter_of(file: str) -> dict[str, Any]:
    """The ext_authz filter of an Envoy configuration."""
    (config,) = documents(paths.ROOT / file)
    (listener,) = config["static_resources"]["listeners"]
    chain = (listener.get("filter_chains") or [listener["default_filter_chain"]])[0]
    filters = chain["filters"][0]["typed_config"]["http_filters"]
    typed: dict[str, Any] = next(one for one in filters if "ext_authz" in one["name"])["typed_config"]
    return typed


def test_the_shapes_say_what_the_manifests_say() -> None:
    """What can be configured is in the shape as the example configures it."""
    (mesh,) = documents(paths.EXAMPLES / "istio/mesh-config.yaml")
    (provider,) = mesh["spec"]["meshConfig"]["extensionProviders"]
    asked, got = provider["envoyExtAuthzGrpc"], filter_of("e2e/envoy/istio-shape.yaml")
    body = asked["includeRequestBodyInCheck"]
    assert got["with_request_body"] == {
        "max_request_bytes": body["maxRequestBytes"],
        "allow_partial_message": body["allowPartialMessage"],
        "pack_as_bytes": body["packAsBytes"],
    }
    assert got["grpc_service"]["timeout"] == asked["timeout"]

    manifests = documents(paths.EXAMPLES / "envoy-gateway/security-policy.yaml")
    policy = next(one for one in manifests if one["kind"] == "SecurityPolicy")["spec"]["extAuth"]
    got = filter_of("e2e/envoy/gateway-shape.yaml")
    assert got["with_request_body"] == {"max_request_bytes": policy["bodyToExtAuth"]["maxRequestBytes"]}
    assert got["grpc_service"]["timeout"] == policy["timeout"]
    assert "headersToExtAuth" not in policy and "allowed_headers" not in got


def test_the_hardened_filter() -> None:
    """The lines without which the rest is worth little."""
    settings = filter_of("examples/envoy/envoy.yaml")
    assert settings["failure_mode_allow"] is False
    assert settings["validate_mutations"] is True
    assert settings["encode_raw_headers"] is True
    assert settings["with_request_body"]["pack_as_bytes"] is True
    assert settings["with_request_body"]["allow_partial_message"] is True
    for absent in ("allowed_headers", "disallowed_headers", "clear_route_cache", "shadow_mode", "filter_enabled"):
        assert absent not in settings
