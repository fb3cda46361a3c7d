"""One running stack for each shape, for the whole session; and on a failure, what its parts had to say."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from harness import stack as stacks
from harness.oauth import OAuthStack, authorizing
from harness.parts import McpServer
from harness.stack import Front, Shape, Stack

RECORDS_SHOWN = 3


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where logs, rendered files and the audit go."""
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="session")
def servers(folder: Path) -> Iterator[dict[str, McpServer]]:
    """The MCP servers, shared by every stack."""
    with stacks.mcp_servers(folder, ["weather", "bank"]) as started:
        yield started


@pytest.fixture(scope="session")
def start(folder: Path, servers: dict[str, McpServer]) -> Iterator[Callable[[Shape], Stack]]:
    """Starts the stack of a shape, once."""
    started: dict[str, Stack] = {}
    with contextlib.ExitStack() as exits:

        def get(shape: Shape) -> Stack:
            if shape.name not in started:
                running = stacks.running(shape, servers, folder / shape.name)
                started[shape.name] = exits.enter_context(running)
            return started[shape.name]

        yield get


@pytest.fixture
def stack(start: Callable[[Shape], Stack]) -> Stack:
    """The shape in which toolgate sees everything: Envoy, hardened."""
    return start(stacks.ENVOY)


@pytest.fixture(scope="session")
def oauth_stack(folder: Path, servers: dict[str, McpServer]) -> Iterator[OAuthStack]:
    """Envoy, hardened, with tokens of a real authorization server."""
    with authorizing(servers, folder / "oauth") as running:
        yield running


@pytest.fixture(params=stacks.SHAPES, ids=lambda shape: shape.name)
def any_stack(request: pytest.FixtureRequest, start: Callable[[Shape], Stack]) -> Stack:
    """Each shape in turn."""
    return start(request.param)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds logs and the last audit records of the stack to the report of a failure."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for stack in (value for value in item.funcargs.values() if isinstance(value, Front)):
            records = "\n".join(str(record) for record in stack.toolgate.audit()[-RECORDS_SHOWN:])
            report.sections.append(("the last audit records", records))
            report.sections.append(("the parts", stack.logs()))
    return report
