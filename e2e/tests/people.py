"""Who calls. The policies of the examples are written with them in mind."""

from __future__ import annotations

from harness.tokens import Person

ADA = Person("ada", groups=("admins",), scopes=("weather:admin",))
BOB = Person("bob", groups=("analysts",), scopes=("weather:read",))
CAROL = Person("carol", scopes=("weather:read",))
DAN = Person("dan")
"""Has a good token and no scope at all."""
