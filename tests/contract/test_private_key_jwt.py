"""`private_key_jwt` (RFC 7523 §2.2): a client proves itself by a key of its own, at every endpoint for clients."""

import time
from typing import Any

import httpx
import pytest
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey

from idp.cli.directories import Directories
from idp.protocol.client import ClientSecret, secret_digest
from idp_verifier.testing import Signer
from tests import builders
from tests.asserting import KeyedClient, jwk_set, keyed_client
from tests.contract.asking import claims
from tests.security.instance import ISSUER, instance
from tests.service import Service


@pytest.fixture
async def keyed(service: Service, directory: Directories) -> KeyedClient:
    return await keyed_client(directory, service.url)


def assert_refused(answer: httpx.Response, status: int = 401, error: str = "invalid_client") -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text


class TestGood:
    """What proves a client."""

    @pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
    async def test_each_algorithm(
        self, http: httpx.AsyncClient, service: Service, directory: Directories, alg: str
    ) -> None:
        keyed = await keyed_client(directory, service.url, Signer.generate(alg))
        answer = await http.post("/token", data=keyed.form())
        assert answer.status_code == 200, answer.text
        assert claims(answer.json()["access_token"])["sub"] == keyed.client.client_id

    @pytest.mark.parametrize(
        "header",
        [
            {"typ": "JWT"},
            {"typ": "client-authentication+jwt"},
            {"typ": "application/Client-Authentication+JWT"},
            {"kid": None},  # the set has one key
            {"x5t": "of no use to us"},
        ],
    )
    async def test_headers(self, http: httpx.AsyncClient, keyed: KeyedClient, header: dict[str, Any]) -> None:
        assert (await http.post("/token", data=keyed.form(keyed.assertion(header)))).status_code == 200

    async def test_the_issuer_may_be_an_array_of_one(self, http: httpx.AsyncClient, keyed: KeyedClient) -> None:
        assertion = keyed.assertion(aud=[keyed.issuer])
        assert (await http.post("/token", data=keyed.form(assertion))).status_code == 200

    async def test_client_id_beside_it(self, http: httpx.AsyncClient, keyed: KeyedClient) -> None:
        """RFC 7521 §4.2: not needed, and then the same."""
        assert (await http.post("/token", data=keyed.form(client_id=keyed.client.client_id))).status_code == 200
        assert_refused(await http.post("/token", data=keyed.form(client_id="another")), 400, "invalid_request")

    async def test_an_empty_header_beside_it_proves_nobody(self, http: httpx.AsyncClient, keyed: KeyedClient) -> None:
        form, empty = keyed.form(), httpx.BasicAuth("", "")
        assert (await http.post("/token", data=form, auth=empty)).status_code == 200
        rest = {name: value for name, value in form.items() if not name.startswith("client_")}
        assert_refused(await http.post("/token", data=rest, auth=empty), 400, "invalid_request")

    async def test_one_key_of_several_by_its_kid(
        self, http: httpx.AsyncClient, service: Service, directory: Directories
    ) -> None:
        first, second = Signer.generate("ES256", "a"), Signer.generate("EdDSA", "b")
        keyed = await keyed_client(directory, service.url, second, jwks=jwk_set(first, second))
        assert (await http.post("/token", data=keyed.form())).status_code == 200
        for header in ({"kid": "a"}, {"kid": None}, {"kid": "c"}, {"kid": 7}):
            assert_refused(await http.post("/token", data=keyed.form(keyed.assertion(header))))

    async def test_a_key_without_alg_and_kid(
        self, http: httpx.AsyncClient, service: Service, directory: Directories
    ) -> None:
        signer = Signer.generate("RS256")
        bare = {name: signer.jwk[name] for name in ("kty", "n", "e")}
        keyed = await keyed_client(directory, service.url, signer, jwks={"keys": [bare]})
        assert (await http.post("/token", data=keyed.form(keyed.assertion({"kid": None})))).status_code == 200

    async def test_revocation_and_introspection(
        self, http: httpx.AsyncClient, service: Service, directory: Directories
    ) -> None:
        """R13."""
        keyed = await keyed_client(directory, service.url, may_introspect=True)
        token = (await http.post("/token", data=keyed.form())).json()["access_token"]
        shown = await http.post("/introspect", data=keyed.form(token=token))
        assert shown.json()["active"] is True
        assert (await http.post("/revoke", data=keyed.form(token=token))).status_code == 200
        assert (await http.post("/introspect", data=keyed.form(token=token))).json() == {"active": False}
        for endpoint in ("/introspect", "/revoke"):
            assert_refused(await http.post(endpoint, data=keyed.form(keyed.assertion(aud="else"), token=token)))

    async def test_authlib_as_the_client(
        self, http: httpx.AsyncClient, service: Service, directory: Directories
    ) -> None:
        key = ECKey.generate_key("P-256")
        keyed = await keyed_client(directory, service.url, jwks={"keys": [key.as_dict(private=False)]})
        auth = ClientAuth(keyed.client.client_id, key, PrivateKeyJWT(service.url, alg="ES256"))
        uri, headers, body = auth.prepare(  # type: ignore[no-untyped-call]
            "POST",
            f"{service.url}/token",
            {"Content-Type": "application/x-www-form-urlencoded"},
            "grant_type=client_credentials",
        )
        answer = await http.post(uri, headers=headers, content=body)
        assert answer.status_code == 200, answer.text


class TestRefused:
    """What proves nobody: R13, RFC 7523 §3."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": "another"},
            {"iss": None},
            {"sub": None},
            {"sub": 7},
            {"aud": None},
            {"aud": "https://other.example"},
            {"aud": "{issuer}/token"},
            {"aud": "{issuer}/"},
            {"aud": ["{issuer}", "https://other.example"]},
            {"aud": []},
            {"aud": {"{issuer}": 1}},
            {"jti": None},
            {"jti": ""},
            {"jti": ["a"]},
            {"exp": None},
            {"exp": "soon"},
            {"exp": True},
            {"exp": 1e300},
            {"exp": -120},
            {"exp": 3900},
            {"exp": 3000, "iat": -3000},
            {"iat": 120},
            {"nbf": 120},
            {"iat": "now"},
        ],
        ids=str,
    )
    async def test_claims(self, http: httpx.AsyncClient, keyed: KeyedClient, changes: dict[str, Any]) -> None:
        """Small numbers of seconds count from now."""
        changed = {name: placed(value, keyed.issuer) for name, value in changes.items()}
        assertion = keyed.signer.sign(keyed.claims(**changed), typ=None)
        assert_refused(await http.post("/token", data=keyed.form(assertion)))

    async def test_within_the_skew_of_clocks(self, http: httpx.AsyncClient, keyed: KeyedClient) -> None:
        now = int(time.time())
        for good in (
            keyed.assertion(exp=now - 15, iat=now - 60),
            keyed.assertion(iat=now + 15),
            keyed.assertion(nbf=now + 15),
        ):
            answer = await http.post("/token", data=keyed.form(good))
            assert answer.status_code == 200, answer.text

    @pytest.mark.parametrize("typ", ["at+jwt", "dpop+jwt", "logout+jwt", "authorization-grant+jwt", 7])
    async def test_another_kind_of_token(self, http: httpx.AsyncClient, keyed: KeyedClient, typ: object) -> None:
        assert_refused(await http.post("/token", data=keyed.form(keyed.assertion({"typ": typ}))))

    @pytest.mark.parametrize("assertion", ["", "a.b", "a.b.c", "a.b.c.d.e", "\xe9.b.c", "x" * 20_000])
    async def test_what_is_no_jwt(self, http: httpx.AsyncClient, keyed: KeyedClient, assertion: str) -> None:
        form = keyed.form() | {"client_assertion": assertion}
        expected = (400, "invalid_request") if not assertion else (401, "invalid_client")
        assert_refused(await http.post("/token", data=form), *expected)

    async def test_every_byte_counts(self, http: httpx.AsyncClient, keyed: KeyedClient) -> None:
        """J2: some of its characters changed, and its signature written otherwise."""
        good = keyed.assertion()
        places = [*range(0, len(good), 37), len(good) - 1]
        for place in places:
            other = "A" if good[place] != "A" else "B"
            assert_refused(await http.post("/token", data=keyed.form(good[:place] + other + good[place + 1 :])))
        assert_refused(await http.post("/token", data=keyed.form(good + "=")))
        assert (await http.post("/token", data=keyed.form(good))).status_code == 200

    @pytest.mark.parametrize("kind", ["urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "jwt-bearer"])
    async def test_another_type_of_assertion(self, http: httpx.AsyncClient, keyed: KeyedClient, kind: str) -> None:
        assert_refused(await http.post("/token", data=keyed.form(client_assertion_type=kind)))

    @pytest.mark.parametrize("missing", ["client_assertion_type", "client_assertion"])
    async def test_half_of_it(self, http: httpx.AsyncClient, keyed: KeyedClient, missing: str) -> None:
        form = keyed.form()
        del form[missing]
        assert_refused(await http.post("/token", data=form), 400, "invalid_request")

    async def test_two_methods_at_once(
        self, http: httpx.AsyncClient, directory: Directories, keyed: KeyedClient
    ) -> None:
        """R13, RFC 6749 §2.3: whichever of them is good."""
        other = await builders.client(directory)
        for form in (keyed.form(), keyed.form("a.b.c"), keyed.form(client_assertion_type="x")):
            assert_refused(await http.post("/token", data=form, auth=other.auth), 400, "invalid_request")
            assert_refused(await http.post("/token", data=form, auth=("spa", "")), 400, "invalid_request")
            assert_refused(await http.post("/token", data=form | {"client_secret": "s"}), 400, "invalid_request")

    async def test_a_client_of_secrets_has_no_assertions(
        self, http: httpx.AsyncClient, service: Service, directory: Directories
    ) -> None:
        keyed = await keyed_client(directory, service.url, token_endpoint_auth_method="client_secret_post")
        assert_refused(await http.post("/token", data=keyed.form()))
        public = await keyed_client(
            directory, service.url, token_endpoint_auth_method="none", grant_types=frozenset({"password"})
        )
        assert_refused(await http.post("/token", data=public.form()))

    async def test_a_client_of_keys_has_no_secret(
        self, http: httpx.AsyncClient, directory: Directories, keyed: KeyedClient
    ) -> None:
        """Not even one from before."""
        client_id = keyed.client.client_id
        await directory.store.clients.add_secret(client_id, ClientSecret(secret_digest("a secret from before")))
        for request in (
            {"auth": (client_id, "a secret from before"), "data": {"grant_type": "client_credentials"}},
            {
                "data": {
                    "grant_type": "client_credentials",
                    "client_id": client_id,
                    "client_secret": "a secret from before",
                }
            },
            {"data": {"grant_type": "client_credentials", "client_id": client_id}},
        ):
            assert_refused(await http.post("/token", **request))

    async def test_nobody_and_a_bad_signature_are_told_alike(
        self, http: httpx.AsyncClient, directory: Directories, service: Service, keyed: KeyedClient
    ) -> None:
        ghost = keyed.assertion(iss="ghost", sub="ghost")
        forged = Signer.generate("ES256", keyed.signer.kid).sign(keyed.claims(), typ=None)
        answers = [await http.post("/token", data=keyed.form(assertion)) for assertion in (ghost, forged)]
        assert answers[0].content == answers[1].content

    async def test_the_reason_is_in_the_audit_log(self, database: str) -> None:
        async with instance(database) as one, one.at("192.0.2.1") as http:
            keyed = await keyed_client(one.directory, ISSUER)
            await http.post("/token", data=keyed.form(keyed.assertion(aud="https://other.example")))
            await one.audit.flush()
            (failed,) = await one.store.audit.page(limit=1)
        assert (failed.event, failed.client_id) == ("client.authentication_failed", keyed.client.client_id)
        assert "aud" in failed.detail["reason"]


def placed(value: object, issuer: str) -> object:
    """Seconds from now on, and the issuer where it belongs."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10_000:
        return int(time.time()) + value
    if isinstance(value, str):
        return value.replace("{issuer}", issuer)
    if isinstance(value, list | dict):
        replaced = [str(item).replace("{issuer}", issuer) for item in value]
        return replaced if isinstance(value, list) else dict.fromkeys(replaced, 1)
    return value
