"""Status lists at an issuer on loopback, and tokens that are in them."""

from typing import Any

from idp_verifier.testing import STATUS_PATH, Answer, LocalIssuer, status_list_claims


def list_token(issuer: LocalIssuer, octets: bytes, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A Status List Token of one bit for each; `...` omits a claim."""
    claims = {**status_list_claims(issuer.url + STATUS_PATH, issuer._clock(), octets), **changes}
    claims = {name: value for name, value in claims.items() if value is not ...}
    return issuer.signer.sign(claims, **{"typ": "statuslist+jwt", **(header or {})})


def publish(issuer: LocalIssuer, octets: bytes, header: dict[str, Any] | None = None, **changes: Any) -> None:
    token = list_token(issuer, octets, header, **changes)
    issuer.answers[STATUS_PATH] = Answer(token.encode(), headers={"ETag": f'"{hash(token)}"'})


def token_of(issuer: LocalIssuer, idx: int = 0, **claims: Any) -> str:
    return issuer.token(status=issuer.status_at(idx), **claims)
