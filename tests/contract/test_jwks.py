"""`GET /.well-known/jwks.json`: what verifiers fetch, and how long they may keep it."""

import hashlib
import json
from base64 import urlsafe_b64encode
from typing import Any

import httpx
import pytest

from idp.cli.directories import Directories
from tests import builders
from tests.contract.asking import header, token

JWKS = "/.well-known/jwks.json"


def thumbprint(jwk: dict[str, Any]) -> str:
    """RFC 7638 §3, written out for RSA: the required members in order, without white space."""
    required = json.dumps({name: jwk[name] for name in ("e", "kty", "n")}, separators=(",", ":"))
    return urlsafe_b64encode(hashlib.sha256(required.encode()).digest()).rstrip(b"=").decode()


async def test_public_members_only(http: httpx.AsyncClient) -> None:
    keys = (await http.get(JWKS)).json()["keys"]
    for jwk in keys:
        assert jwk.keys() == {"kty", "n", "e", "kid", "use", "alg"}
        assert (jwk["kty"], jwk["use"], jwk["alg"]) == ("RSA", "sig", "RS256")
        assert jwk["kid"] == thumbprint(jwk)


async def test_the_next_key_is_there_from_the_first_start(http: httpx.AsyncClient, directory: Directories) -> None:
    kids = [jwk["kid"] for jwk in (await http.get(JWKS)).json()["keys"]]
    assert len(kids) == len(set(kids)) == 2
    assert header(await token(http, await builders.client(directory)))["kid"] in kids


async def test_headers(http: httpx.AsyncClient) -> None:
    answer = await http.get(JWKS)
    assert answer.headers["content-type"] in ("application/json", "application/jwk-set+json")
    assert answer.headers["cache-control"] == "public, max-age=300, must-revalidate"
    assert answer.headers["etag"].startswith('"')


@pytest.mark.parametrize("condition", ["{}", "W/{}", '"another", {}', "*", '"a",{} , "b"'])
async def test_not_modified(http: httpx.AsyncClient, condition: str) -> None:
    etag = (await http.get(JWKS)).headers["etag"]
    answer = await http.get(JWKS, headers={"If-None-Match": condition.format(etag)})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == etag
    assert answer.headers["cache-control"] == "public, max-age=300, must-revalidate"


async def test_modified(http: httpx.AsyncClient) -> None:
    assert (await http.get(JWKS, headers={"If-None-Match": '"another"'})).status_code == 200


async def test_head(http: httpx.AsyncClient) -> None:
    full, head = await http.get(JWKS), await http.head(JWKS)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "cache-control", "content-type", "content-length"):
        assert head.headers[name] == full.headers[name]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_other_methods(http: httpx.AsyncClient, method: str) -> None:
    answer = await http.request(method, JWKS)
    assert answer.status_code == 405
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
