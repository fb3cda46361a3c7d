"""An issuer of access tokens: a key pair made on the spot, its JWK set, and tokens as RFC 9068 has them."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

ALGORITHM = "ES256"
LIFETIME_S = 3600


@dataclass(frozen=True)
class Person:
    """Somebody who asks for tokens."""

    name: str
    groups: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


@dataclass
class Issuer:
    """Signs tokens. Its `url` is only a name here: toolgate gets the keys as a file."""

    url: str = "https://id.example.com"
    kid: str = "k1"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def jwks(self) -> str:
        """The public half, as a JWK set."""
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        return json.dumps({"keys": [{**public, "kid": self.kid, "alg": ALGORITHM, "use": "sig"}]})

    def write(self, file: Path) -> Path:
        """Writes the JWK set where toolgate reads it."""
        file.write_text(self.jwks())
        return file

    def token(self, person: Person, audience: str, *, lifetime_s: int = LIFETIME_S, **claims: Any) -> str:
        """An access token; `claims` replaces or adds, and a claim that is None is left out."""
        now = int(time.time())
        everything = {
            "iss": self.url,
            "sub": person.name,
            "aud": audience,
            "client_id": "desktop-agent",
            "scope": " ".join(person.scopes),
            "groups": list(person.groups),
            "iat": now - max(0, -lifetime_s) - 1,
            "exp": now + lifetime_s,
            "jti": uuid.uuid4().hex,
            **claims,
        }
        present = {name: value for name, value in everything.items() if value is not None}
        return jwt.encode(present, self.key, ALGORITHM, headers={"kid": self.kid, "typ": "at+jwt"})
