"""Clients and outside issuers with keys of their own, and the JWTs that they sign."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from idp.cli.directories import Directories
from idp.protocol.assertion import CLIENT_ASSERTION_TYPE, JWT_BEARER
from idp.protocol.client import Client
from idp.protocol.trusted_issuer import TrustedIssuer
from idp_verifier.testing import Signer
from tests import builders


def jwk_set(*signers: Signer) -> dict[str, Any]:
    return {"keys": [dict(signer.jwk) for signer in signers]}


def without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True)
class KeyedClient:
    """A client of `private_key_jwt`, its key, and the issuer that it talks to."""

    client: Client
    signer: Signer
    issuer: str

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a good assertion, but for the changes; None leaves a claim out."""
        now, client_id = int(time.time()), self.client.client_id
        good = {"iss": client_id, "sub": client_id, "aud": self.issuer, "exp": now + 60, "iat": now}
        return without_none({**good, "jti": uuid.uuid4().hex, **changes})

    def assertion(self, header: Mapping[str, Any] = {}, **changes: Any) -> str:
        return self.signer.sign(self.claims(**changes), **{"typ": None, **header})

    def form(self, assertion: str | None = None, **others: str) -> dict[str, str]:
        """A request for a token of its own."""
        presented = {"client_assertion_type": CLIENT_ASSERTION_TYPE, "client_assertion": assertion or self.assertion()}
        return {"grant_type": "client_credentials", **presented, **others}


async def keyed_client(
    directory: Directories, issuer: str, signer: Signer | None = None, **changes: Any
) -> KeyedClient:
    """A registered one; its keys are with us unless `changes` say where they are."""
    signer = signer or Signer.generate("ES256")
    keys = {} if "jwks_uri" in changes else {"jwks": jwk_set(signer)}
    made = await builders.client(directory, **{"token_endpoint_auth_method": "private_key_jwt", **keys, **changes})
    return KeyedClient(made.client, signer, issuer)


@dataclass(frozen=True, slots=True)
class Workload:
    """A job elsewhere whose tokens stand for a client of ours."""

    rule: TrustedIssuer
    signer: Signer
    audience: str

    @property
    def client_id(self) -> str:
        return self.rule.client_id

    def claims(self, **changes: Any) -> dict[str, Any]:
        now, subject = int(time.time()), self.rule.subject.replace("*", "job-7")
        good = {"iss": self.rule.issuer, "sub": subject, "aud": self.audience, "exp": now + 600, "iat": now - 60}
        return without_none({**good, **self.rule.claims, **changes})

    def token(self, header: Mapping[str, Any] = {}, **changes: Any) -> str:
        return self.signer.sign(self.claims(**changes), **{"typ": None, **header})

    def form(self, token: str | None = None, **others: str) -> dict[str, str]:
        return {"grant_type": JWT_BEARER, "assertion": token or self.token(), **others}
