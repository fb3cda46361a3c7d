"""The table that the demo prints: at a glance on a terminal, plain text in a pipe."""

from __future__ import annotations

import sys
from typing import Any

WIDTHS = (17, 7, 14, 31, 7, 31, 8)
HEADINGS = ("who", "server", "tool", "arguments", "answer", "by which policy, or why not", "took")
GREEN, RED, BOLD, DIM = "32", "31", "1", "2"


def paint(text: str, code: str) -> str:
    """Text in a colour, on a terminal."""
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() else text


def _line(cells: tuple[str, ...]) -> list[str]:
    return [f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)]


def heading() -> None:
    """The names of the columns."""
    print(paint(" ".join(_line(HEADINGS)).rstrip(), BOLD))


def row(who: str, server: str, tool: str, arguments: dict[str, Any], allowed: bool, why: str, took_ms: float) -> None:
    """One call."""
    told = " ".join(f"{name}={value}" for name, value in arguments.items())
    answer = "allowed" if allowed else "DENIED"
    cells = _line((who, server, tool, told, answer, why, f"{took_ms:.1f} ms"))
    cells[4] = paint(cells[4], GREEN if allowed else RED)
    print(" ".join(cells).rstrip(), flush=True)


def gap() -> None:
    """Between two people."""
    print()


def note(text: str) -> None:
    """A line under a row."""
    print(paint(" " * (sum(WIDTHS[:4]) + 4) + text, DIM), flush=True)
