"""A program that is started, waited for on a condition, and stopped; its output is kept in a file."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

POLL_S = 0.02
START_LIMIT_S = 30.0
STOP_LIMIT_S = 15.0
TAIL_LINES = 40


class Failed(Exception):
    """A program did not do what was waited for; the message ends with the tail of its log."""


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Whether a condition came true within the limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def answers(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False


def _end_with_parent() -> None:
    """Linux tells the child when we are gone, however we went: nothing is left behind (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Service:
    """One running program."""

    def __init__(
        self, name: str, command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            # A session of its own: Ctrl-C in a terminal reaches us, and we stop things in order.
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def wait(self, ready: Callable[[], bool], limit_s: float = START_LIMIT_S) -> None:
        """Waits for readiness; fails at once when the program ends instead."""
        until(lambda: self._process.poll() is not None or ready(), limit_s)
        if self._process.poll() is not None:
            raise Failed(f"{self.name} ended with {self._process.returncode}{self.tail()}")
        if not ready():
            raise Failed(f"{self.name} was not ready after {limit_s} s{self.tail()}")

    def stop(self) -> int:
        """Asks the program to stop, and makes it; the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return self._process.returncode

    def tail(self) -> str:
        """The end of the log, for a message."""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "".join(f"\n  {self.name} | {line}" for line in lines)
