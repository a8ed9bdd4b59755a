"""Whether a verifier that knows nothing but the issuer finds its keys (RFC 8414 §3)."""

import contextlib
import http
import http.client
import time
from typing import Any
from urllib.parse import urlsplit

import orjson

from idp.cli.checks import Check, Status
from idp.endpoints.metadata import well_known_paths

_TIMEOUT = 3.0
_LARGEST = 1024 * 1024


class _Refused(Exception):  # noqa: N818 - an answer rather than an error
    """An answer that a verifier would not take."""


def check_issuer(issuer: str, signing_kid: str | None, *, unreachable: Status, advice: str) -> Check:
    """Fetches the metadata and the keys. `unreachable` and `advice` say how bad it is if nobody answers at all."""
    parts = urlsplit(issuer)
    began = time.perf_counter()
    try:
        document = _fetched(f"{parts.scheme}://{parts.netloc}{well_known_paths(issuer)[0]}")
        _check_metadata(document, issuer)
        _check_keys(_fetched(str(document.get("jwks_uri"))), signing_kid)
    except _Refused as refusal:
        answer = "Another service answers there, or a proxy in between changes it: see that IDP_ISSUER leads to idp."
        return Check("issuer", Status.FAIL, f"{issuer}: {refusal}", answer)
    except (OSError, http.client.HTTPException) as error:
        return Check("issuer", unreachable, f"{issuer} does not answer: {error}", advice)
    took = time.perf_counter() - began
    return Check("issuer", Status.OK, f"{issuer} serves its metadata and keys, in {took * 1000:.0f} ms")


def _check_metadata(document: dict[str, Any], issuer: str) -> None:
    """RFC 8414 §3.3: a verifier must not use metadata of another issuer."""
    if document.get("issuer") != issuer:
        raise _Refused(f"the metadata there names another issuer, {document.get('issuer')}")


def _check_keys(jwks: dict[str, Any], signing_kid: str | None) -> None:
    keys = jwks.get("keys")
    kids = [key.get("kid") for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
    if signing_kid is not None and signing_kid not in kids:
        raise _Refused(f"the key that signs now, {signing_kid}, is not in its key set")


def _fetched(url: str) -> dict[str, Any]:
    """The JSON object at the URL, without proxy or redirect: many verifiers know neither.

    Raises _Refused, OSError or HTTPException.
    """
    try:
        document = orjson.loads(_body(url))
    except orjson.JSONDecodeError:
        raise _Refused(f"{url} is not JSON") from None
    if not isinstance(document, dict):
        raise _Refused(f"{url} is not a JSON object")
    return document


def _body(url: str) -> bytes:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Refused(f"{url} is not an address to fetch from")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    with contextlib.closing(kind(parts.hostname, parts.port, timeout=_TIMEOUT)) as connection:
        connection.request("GET", parts.path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise _Refused(f"{url} is answered with {answer.status} {answer.reason}")
        return answer.read(_LARGEST)
