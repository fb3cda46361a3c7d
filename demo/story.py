"""Who does what in the demo, and what should come of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.tokens import Person


@dataclass(frozen=True)
class Row:
    """One call of a tool, and the expected answer."""

    tool: str
    arguments: dict[str, Any]
    reason: str
    policies: tuple[str, ...] = ()
    """The policies that decide it, in any order."""


@dataclass(frozen=True)
class Scene:
    """One person with one token at one server: one connection of a real client."""

    person: Person
    role: str
    server: str
    rows: tuple[Row, ...]
    audience: str | None = field(default=None)
    """The server that the token is for, when that is another one."""


ADA = Person("ada", groups=("admins", "treasury"), scopes=("weather:admin", "bank:read"))
BOB = Person("bob", groups=("analysts",), scopes=("weather:read", "bank:transfer"))
CAROL = Person("carol", scopes=("weather:read",))

STORY = (
    Scene(
        ADA,
        "admin",
        "weather",
        (
            Row("get_forecast", {"city": "Oslo", "days": 14}, "allow", ("admins",)),
            Row("delete_station", {"station": "airport"}, "allow", ("admins",)),
            Row("delete_station", {"station": "airport", "force": True}, "policy_denied", ("keep-the-history",)),
        ),
    ),
    Scene(ADA, "admin", "bank", (Row("transfer", {"amount": 90000, "to": "payroll"}, "allow", ("treasury",)),)),
    Scene(
        BOB,
        "analyst",
        "weather",
        (
            Row("list_alerts", {"region": "coast"}, "allow", ("analysts-read",)),
            Row("get_forecast", {"city": "Rome", "days": 3}, "allow", ("forecast", "analysts-read")),
            Row("publish_alert", {"region": "all", "text": "gale", "severity": 2}, "scope_insufficient"),
        ),
    ),
    Scene(
        BOB,
        "analyst",
        "bank",
        (
            Row("transfer", {"amount": 200, "to": "landlord"}, "allow", ("small-transfers",)),
            Row("transfer", {"amount": 5000, "to": "landlord"}, "policy_denied"),
        ),
    ),
    Scene(
        CAROL,
        "contractor",
        "weather",
        (
            Row("get_forecast", {"city": "Lima", "days": 3}, "allow", ("forecast",)),
            Row("get_forecast", {"city": "Lima", "days": 10}, "policy_denied"),
            Row("list_alerts", {}, "policy_denied"),
        ),
    ),
    Scene(
        CAROL, "contractor", "bank", (Row("get_balance", {"account": "payroll"}, "token_invalid"),), audience="weather"
    ),
)
