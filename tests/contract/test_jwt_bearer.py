"""The JWT bearer grant (RFC 7523 §2.1): a token of a trusted outside issuer stands for a client's credentials."""

import asyncio
import time
import uuid
from dataclasses import replace
from typing import Any

import httpx
import pytest

from idp.cli.directories import Directories
from idp.protocol.assertion import JWT_BEARER
from idp.protocol.audit import OPERATOR
from idp.protocol.client import ADMIN_SCOPE
from idp.protocol.trusted_issuer import TrustedIssuer
from idp_verifier.testing import JWKS_PATH, LocalIssuer, Signer
from tests import builders
from tests.asserting import KeyedClient, Workload, jwk_set, keyed_client
from tests.contract.asking import claims, header
from tests.contract.asking import token as token_of_client
from tests.security.instance import ISSUER, instance
from tests.service import Service

GRANTS = frozenset({JWT_BEARER})


async def workload(directory: Directories, own: str, **changes: Any) -> Workload:
    """A job, and a public client that it is trusted for; `changes` are those of the rule."""
    signer = changes.pop("signer", None) or Signer.generate("ES256")
    metadata = {"token_endpoint_auth_method": "none", "grant_types": GRANTS, "scopes": ("deploy", "read")}
    client = changes.pop("client", None) or (await builders.client(directory, **metadata)).client
    keys = {} if "jwks_uri" in changes else {"jwks": jwk_set(signer)}
    outside = f"https://ci-{uuid.uuid4().hex}.example"
    rule = TrustedIssuer(
        **{"issuer": outside, "client_id": client.client_id, "subject": "repo:acme/*", **keys, **changes}
    )
    await directory.issuers.add(rule, OPERATOR)
    return Workload(rule, signer, rule.audience or own)


@pytest.fixture
async def job(service: Service, directory: Directories) -> Workload:
    return await workload(directory, service.url)


def assert_refused(answer: httpx.Response, error: str = "invalid_grant", status: int = 400) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text


class TestGood:
    """What a job gets."""

    async def test_a_token_of_the_client_without_any_secret(self, http: httpx.AsyncClient, job: Workload) -> None:
        answer = await http.post("/token", data=job.form())
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["scope"] == "deploy read"
        assert "refresh_token" not in body
        issued = claims(body["access_token"])
        assert (issued["sub"], issued["client_id"]) == (job.client_id, job.client_id)
        assert header(body["access_token"])["typ"] == "at+jwt"

    async def test_less_scope(self, http: httpx.AsyncClient, job: Workload) -> None:
        assert (await http.post("/token", data=job.form(scope="read"))).json()["scope"] == "read"
        assert_refused(await http.post("/token", data=job.form(scope="idp:admin")), "invalid_scope")
        assert_refused(await http.post("/token", data=job.form(resource="https://other.example")), "invalid_target")

    async def test_never_the_administration_of_this_server(
        self, http: httpx.AsyncClient, service: Service, directory: Directories
    ) -> None:
        """Or whoever runs the outside issuer would be an administrator here."""
        metadata = {"token_endpoint_auth_method": "none", "grant_types": GRANTS, "scopes": ("read", ADMIN_SCOPE)}
        client = (await builders.client(directory, **metadata)).client
        job = await workload(directory, service.url, client=client)
        assert_refused(await http.post("/token", data=job.form(scope=ADMIN_SCOPE)), "invalid_scope")
        assert (await http.post("/token", data=job.form())).json()["scope"] == "read"

    async def test_again_until_it_expires(self, http: httpx.AsyncClient, job: Workload) -> None:
        """As Kubernetes has it: one token in a file, renewed now and then."""
        form = job.form(job.token(jti="1"))
        assert [(await http.post("/token", data=form)).status_code for _ in range(3)] == [200] * 3

    async def test_it_may_name_its_client(self, http: httpx.AsyncClient, directory: Directories, job: Workload) -> None:
        assert (await http.post("/token", data=job.form(client_id=job.client_id))).status_code == 200
        other = await workload(directory, job.audience)
        assert_refused(await http.post("/token", data=job.form(client_id=other.client_id)))
        assert_refused(await http.post("/token", data=job.form(client_id="nobody")))

    async def test_its_client_may_authenticate_too(self, http: httpx.AsyncClient, directory: Directories) -> None:
        """RFC 7521 §4.1: then as that very client, and no other."""
        grants = frozenset({JWT_BEARER, "client_credentials"})
        made, other = [await builders.client(directory, grant_types=grants) for _ in range(2)]
        job = await workload(directory, str(http.base_url).rstrip("/"), client=made.client)
        assert (await http.post("/token", data=job.form(), auth=made.auth)).status_code == 200
        assert_refused(await http.post("/token", data=job.form(), auth=other.auth))
        assert_refused(await http.post("/token", data=job.form(), auth=(made.auth[0], "wrong")), "invalid_client", 401)
        assert_refused(await http.post("/token", data=job.form("a.b.c"), auth=made.auth))

    async def test_the_rule_may_name_another_audience_and_claims(
        self, http: httpx.AsyncClient, service: Service, directory: Directories
    ) -> None:
        rule = {"audience": "sts.example", "claims": {"environment": "prod"}, "subject": "*"}
        job = await workload(directory, service.url, **rule)
        assert (await http.post("/token", data=job.form(job.token(sub="whoever")))).status_code == 200
        for token in (job.token(environment="test"), job.token(environment=None), job.token(environment=["prod"])):
            assert_refused(await http.post("/token", data=job.form(token)))
        assert_refused(await http.post("/token", data=job.form(job.token(aud=service.url))))

    async def test_keys_elsewhere(self, database: str) -> None:
        async with instance(database, allow_private_jwks=("127.0.0.1",)) as one, one.at("192.0.2.1") as http:
            with LocalIssuer("ES256") as place:
                rule = {"signer": place.signer, "issuer": place.url, "jwks_uri": place.url + JWKS_PATH}
                job = await workload(one.directory, ISSUER, **rule)
                assert (await http.post("/token", data=job.form())).status_code == 200

    async def test_the_audit_log_names_issuer_and_subject(self, database: str) -> None:
        """L2. Of a token that is not known to be the issuer's, the subject may be anything."""
        async with instance(database) as one, one.at("192.0.2.1") as http:
            job = await workload(one.directory, ISSUER)
            await http.post("/token", data=job.form())
            await http.post("/token", data=job.form(job.token(exp=1)))
            await http.post("/token", data=job.form(job.token(iss="https://unknown.example")))
            await one.audit.flush()
            unknown, expired, _, accepted, trusted = await one.store.audit.page(limit=5)
        named = {"issuer": job.rule.issuer, "subject": "repo:acme/job-7"}
        assert (accepted.event, accepted.subject, accepted.detail) == ("assertion.accepted", job.client_id, named)
        assert (expired.event, expired.outcome) == ("assertion.refused", "failure")
        assert expired.detail == {"issuer": job.rule.issuer, "reason": "The JWT has expired."}
        assert "issuer" not in unknown.detail
        assert (trusted.event, trusted.actor) == ("issuer.trusted", "operator")


class TestRefused:
    """What stands for nobody."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"sub": "repo:acme-evil/job"},
            {"sub": "repo:acme"},
            {"sub": "REPO:acme/x"},
            {"sub": None},
            {"sub": ["repo:acme/x"]},
            {"aud": "https://other.example"},
            {"aud": ["{issuer}", "https://other.example"]},
            {"aud": None},
            {"iss": "https://unknown.example"},
            {"iss": None},
            {"iss": "a\0b"},
            {"exp": None},
            {"exp": -60},
            {"exp": 90_000},
            {"exp": 3_600, "iat": -86_400},
            {"iat": 60},
            {"nbf": 60},
        ],
        ids=str,
    )
    async def test_claims(self, http: httpx.AsyncClient, job: Workload, changes: dict[str, Any]) -> None:
        """Numbers are seconds from now on."""
        changed = {
            name: value + int(time.time())
            if isinstance(value, int)
            else [item.replace("{issuer}", job.audience) for item in value]
            if isinstance(value, list)
            else value
            for name, value in changes.items()
        }
        token = job.signer.sign(job.claims(**changed), typ=None)
        assert_refused(await http.post("/token", data=job.form(token)))

    @pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "client-authentication+jwt", "logout+jwt"])
    async def test_another_kind_of_token(self, http: httpx.AsyncClient, job: Workload, typ: str) -> None:
        assert_refused(await http.post("/token", data=job.form(job.token({"typ": typ}))))

    async def test_strangers_learn_nothing(self, http: httpx.AsyncClient, job: Workload) -> None:
        """An unknown issuer, a bad signature, a subject or audience that is in no rule: the same bytes."""
        stranger = replace(job, signer=Signer.generate("ES256", job.signer.kid))
        tokens = [
            stranger.token(),
            stranger.token(exp=1),
            job.token(iss="https://unknown.example"),
            job.token({"kid": "unknown"}),
            job.token(sub="another"),
            job.token(aud="https://other.example"),
        ]
        answers = [await http.post("/token", data=job.form(token)) for token in tokens]
        assert len({(answer.status_code, answer.content) for answer in answers}) == 1
        malformed = [job.token(aud=7), job.token(aud=7, iss="https://unknown.example")]
        answers = [await http.post("/token", data=job.form(token)) for token in malformed]
        assert len({(answer.status_code, answer.content) for answer in answers}) == 1

    async def test_our_own_tokens_vouch_for_nobody(
        self, http: httpx.AsyncClient, service: Service, directory: Directories, job: Workload
    ) -> None:
        """Nor does a rule that got into the table by another way."""
        signer = Signer.generate("ES256")
        own = TrustedIssuer(service.url, job.client_id, "repo:acme/*", jwks=jwk_set(signer))
        await directory.store.trusted_issuers.add(own)
        forged = replace(job, rule=own, signer=signer)
        assert_refused(await http.post("/token", data=forged.form()))
        await directory.store.trusted_issuers.remove(service.url, None, None)
        real = await token_of_client(http, await builders.client(directory))
        assert_refused(await http.post("/token", data=job.form(real)))

    async def test_a_client_without_the_grant(
        self, http: httpx.AsyncClient, directory: Directories, job: Workload
    ) -> None:
        """As one that lost it after the rule was made."""
        other = (await builders.client(directory)).client
        rule = replace(job.rule, client_id=other.client_id, issuer=f"{job.rule.issuer}/other")
        await directory.store.trusted_issuers.add(rule)
        assert_refused(await http.post("/token", data=replace(job, rule=rule).form()), "unauthorized_client")

    async def test_an_issuer_that_is_trusted_no_more(
        self, http: httpx.AsyncClient, directory: Directories, job: Workload
    ) -> None:
        assert (await http.post("/token", data=job.form())).status_code == 200
        assert await directory.issuers.remove(job.rule.issuer, None, None, OPERATOR) == 1
        assert_refused(await http.post("/token", data=job.form()))

    async def test_one_token_for_two_clients_must_say_for_which(
        self, http: httpx.AsyncClient, service: Service, directory: Directories, job: Workload
    ) -> None:
        one = {"issuer": job.rule.issuer, "signer": job.signer, "subject": "repo:acme/job-7"}
        other = await workload(directory, service.url, **one)
        refused = await http.post("/token", data=job.form())
        assert_refused(refused)
        assert "client_id" in refused.json()["error_description"]
        for client_id in (job.client_id, other.client_id):
            answer = await http.post("/token", data=job.form(client_id=client_id))
            assert claims(answer.json()["access_token"])["sub"] == client_id

    async def test_it_is_no_client_authentication_for_anything_else(
        self, http: httpx.AsyncClient, job: Workload
    ) -> None:
        form = job.form(client_id=job.client_id, token="t")
        assert_refused(await http.post("/introspect", data=form), "unauthorized_client")
        credentials = form | {"grant_type": "client_credentials"}
        assert_refused(await http.post("/token", data=credentials), "unauthorized_client")
        without = {name: value for name, value in job.form().items() if name != "assertion"}
        assert_refused(await http.post("/token", data=without), "invalid_request")

    async def test_a_client_of_keys_needs_an_assertion_for_all_else(
        self, http: httpx.AsyncClient, service: Service, directory: Directories
    ) -> None:
        """The assertion that proves a client is not the one that is a grant, and the other way round."""
        keyed: KeyedClient = await keyed_client(directory, service.url, grant_types=GRANTS | {"client_credentials"})
        job = await workload(directory, service.url, client=keyed.client)
        assert (await http.post("/token", data=job.form() | keyed.form(grant_type=JWT_BEARER))).status_code == 200
        assert_refused(await http.post("/token", data=job.form(keyed.assertion())))
        assert_refused(await http.post("/token", data=keyed.form(job.token())), "invalid_client", 401)


class TestOnce:
    """`--single-use`."""

    async def test_each_token_is_good_once(
        self, http: httpx.AsyncClient, service: Service, directory: Directories
    ) -> None:
        job = await workload(directory, service.url, single_use=True)
        form = job.form(job.token(jti="1"))
        assert_refused(await http.post("/token", data=form | {"scope": "unknown"}), "invalid_scope")
        assert (await http.post("/token", data=form)).status_code == 200  # it was not spent in vain
        assert_refused(await http.post("/token", data=form))
        assert_refused(await http.post("/token", data=job.form(job.token())))  # without jti

    async def test_of_racers_on_two_instances_one_wins(self, database: str) -> None:
        async with instance(database) as one, instance(database) as other:
            job = await workload(one.directory, ISSUER, single_use=True)
            form = job.form(job.token(jti="1"))
            async with one.at("192.0.2.1") as first, other.at("192.0.2.1") as second:
                answers = await asyncio.gather(
                    *(http.post("/token", data=form) for _ in range(8) for http in (first, second))
                )
            assert sorted(answer.status_code for answer in answers) == [200] + [400] * 15

    async def test_none_is_spent_that_cannot_be_recorded(self, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The queue for the audit log has room for one event: it is the last of the request, not this."""
        async with instance(database) as one, one.at("192.0.2.1") as http:
            job = await workload(one.directory, ISSUER, single_use=True)
            form = job.form(job.token(jti="1"))
            with monkeypatch.context() as patch:
                patch.setattr(one.audit, "_bound", 1)
                assert_refused(await http.post("/token", data=form), "temporarily_unavailable", 503)
            assert (await http.post("/token", data=form)).status_code == 200
