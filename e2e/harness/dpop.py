"""Proofs of possession (RFC 9449), made by hand: also those that no decent client makes."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Prover:
    """A client's key."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def proof(self, method: str, url: str, token: str | None = None, **claims: Any) -> str:
        """A proof for one request; `claims` replaces or adds."""
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        bound = {} if token is None else {"ath": _hash(token)}
        payload = {"htm": method, "htu": url, "iat": int(time.time()), "jti": uuid.uuid4().hex, **bound, **claims}
        return jwt.encode(payload, self.key, "ES256", headers={"typ": "dpop+jwt", "jwk": public})


def _hash(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")
