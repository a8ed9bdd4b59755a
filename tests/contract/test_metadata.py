"""Authorization server metadata (RFC 8414) at every address where verifiers look."""

from pathlib import Path

import httpx
import pytest

from tests.operation.serving import environment, serving
from tests.service import Service

PLACES = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]


@pytest.mark.parametrize("place", PLACES)
async def test_only_what_works_is_in_it(http: httpx.AsyncClient, service: Service, place: str) -> None:
    answer = await http.get(place)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"].startswith("public, max-age=")
    document = answer.json()
    assert document["issuer"] == service.url
    assert document["token_endpoint"] == f"{service.url}/token"
    assert document["jwks_uri"] == f"{service.url}/.well-known/jwks.json"
    assert document["response_types_supported"] == []
    assert document["request_uri_parameter_supported"] is False
    assert {"password", "client_credentials"} <= set(document["grant_types_supported"])
    methods = {"client_secret_basic", "client_secret_post", "private_key_jwt", "none"}
    assert set(document["token_endpoint_auth_methods_supported"]) == methods
    assert set(document["revocation_endpoint_auth_methods_supported"]) == methods
    assert set(document["introspection_endpoint_auth_methods_supported"]) == methods - {"none"}
    for endpoint in ("token", "revocation", "introspection"):  # RFC 8414 §2: with private_key_jwt they MUST be there
        algorithms = document[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
        assert set(algorithms) == {"RS256", "PS256", "ES256", "EdDSA"}
    assert "authorization_endpoint" not in document


@pytest.mark.parametrize("place", PLACES)
async def test_every_address_in_it_answers(http: httpx.AsyncClient, place: str) -> None:
    for name, value in (await http.get(place)).json().items():
        if name.endswith(("_endpoint", "_uri")):
            assert (await http.get(value)).status_code in (200, 405), name


async def test_both_addresses_say_the_same(http: httpx.AsyncClient) -> None:
    assert len({(await http.get(place)).content for place in PLACES}) == 1


async def test_the_issuer_never_comes_from_the_request(http: httpx.AsyncClient, service: Service) -> None:
    """R20."""
    forged = {"Host": "evil.example.com", "X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "https"}
    for place in PLACES:
        answer = await http.get(place, headers=forged)
        assert answer.json()["issuer"] == service.url
        assert "evil" not in answer.text


def test_issuer_with_a_path(database: str, tmp_path: Path) -> None:
    """RFC 8414 §3.1 puts the well-known part before the path, OpenID Connect Discovery §4 after it."""
    issuer = "https://id.example.com/tenant/one"
    with (
        serving(tmp_path, environment(database, IDP_ISSUER=issuer)) as process,
        httpx.Client(base_url=process.url) as http,
    ):
        for place in (
            "/.well-known/oauth-authorization-server/tenant/one",
            "/.well-known/openid-configuration/tenant/one",
            "/tenant/one/.well-known/openid-configuration",
        ):
            document = http.get(place).json()
            assert document["issuer"] == issuer
            assert document["token_endpoint"] == f"{issuer}/token"
            assert document["jwks_uri"] == f"{issuer}/.well-known/jwks.json"
        assert http.get("/tenant/one/.well-known/jwks.json").json()["keys"]
        assert http.post("/tenant/one/token").json()["error"] == "invalid_request"
        assert http.post("/token").status_code == 404
        assert http.get("/healthz").status_code == 200
        preflight = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
        answer = http.options("/tenant/one/.well-known/jwks.json", headers=preflight)
        assert answer.headers["access-control-allow-origin"] == "*"
