"""L2: every security event is in the audit log, with who, what, from where, the outcome and the request's id."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from idp.protocol.assertion import JWT_BEARER
from idp.protocol.throttle import ACCOUNT
from idp.protocol.token_exchange import MOST_ACTORS
from tests import builders
from tests.builders import PASSWORD
from tests.conftest import CreateDatabase
from tests.contract.asking import ADMIN_CLIENT, admin_token, bearer, claims, token
from tests.contract.exchanging import BILLING, ORDERS, STOCK, api, shop
from tests.contract.test_jwt_bearer import workload
from tests.contract.test_users import GOOD_PASSWORD
from tests.dpop.proving import Prover
from tests.security.instance import ISSUER, Instance, instance
from tests.service import DEFAULT_CLIENT

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOURCE = "192.0.2.44"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def idp(create_database: CreateDatabase, migrated: str) -> AsyncIterator[Instance]:
    with create_database(migrated) as dsn:
        async with instance(dsn) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(idp: Instance) -> AsyncIterator[httpx.AsyncClient]:
    async with idp.at(SOURCE) as client:
        yield client


async def recorded(idp: Instance, answer: httpx.Response) -> list[dict[str, Any]]:
    """What the audit log has of the request that was answered."""
    await idp.audit.flush()
    rows = await idp.store.executor.fetch_all(
        """select event, outcome, actor, subject, client_id, source from audit_log
           where request_id = $1 order by id""",
        answer.headers["x-request-id"],
    )
    events = [dict(row) for row in rows]
    assert all(event.pop("source") == SOURCE for event in events)
    return events


async def details(idp: Instance, answer: httpx.Response) -> dict[str, str]:
    """What the one event of the request says beyond that."""
    records = await idp.store.audit.page(limit=20)
    (written,) = [record for record in records if record.request_id == answer.headers["x-request-id"]]
    return dict(written.detail)


def event(
    name: str, outcome: str, actor: object = None, subject: object = None, client_id: str | None = None
) -> dict[str, Any]:
    texts = (None if value is None else str(value) for value in (actor, subject))
    return dict(
        zip(("event", "outcome", "actor", "subject", "client_id"), (name, outcome, *texts, client_id), strict=True)
    )


async def test_login(idp: Instance, http: httpx.AsyncClient) -> None:
    user = await builders.user(idp.directory)
    answer = await http.post("/token", data={"username": user.email, "password": PASSWORD})
    assert await recorded(idp, answer) == [
        event("login.succeeded", "success", user.id, user.id, DEFAULT_CLIENT),
        event("token.issued", "success", DEFAULT_CLIENT, user.id, DEFAULT_CLIENT),
    ]


async def test_failed_login(idp: Instance, http: httpx.AsyncClient) -> None:
    user = await builders.user(idp.directory)
    answer = await http.post("/token", data={"username": user.email, "password": "wrong"})
    assert await recorded(idp, answer) == [event("login.failed", "failure", user.id, user.id, DEFAULT_CLIENT)]
    answer = await http.post("/token", data={"username": "perhaps a password", "password": "wrong"})
    assert await recorded(idp, answer) == [event("login.failed", "failure", client_id=DEFAULT_CLIENT)]


async def test_throttled_login(idp: Instance, http: httpx.AsyncClient) -> None:
    user = await builders.user(idp.directory)
    for _ in range(ACCOUNT.free):
        await http.post("/token", data={"username": user.email, "password": "wrong"})
    await idp.stop_time()
    answer = await http.post("/token", data={"username": user.email, "password": "wrong"})
    assert answer.status_code == 429
    assert await recorded(idp, answer) == [event("login.throttled", "refused", user.id, user.id, DEFAULT_CLIENT)]


async def test_clients(idp: Instance, http: httpx.AsyncClient) -> None:
    client = await builders.client(idp.directory, scopes=("read",))
    name = client.client.client_id
    form = {"grant_type": "client_credentials"}
    issued = await http.post("/token", data=form, auth=client.auth)
    assert await recorded(idp, issued) == [event("token.issued", "success", name, name, name)]
    wrong = await http.post("/token", data=form, auth=(name, "x" * 43))
    assert await recorded(idp, wrong) == [event("client.authentication_failed", "failure", name, name, name)]
    unknown = await http.post("/token", data=form, auth=("perhaps a secret", "x"))
    malformed = await http.post("/token", data=form, headers={"authorization": "Basic ???"})
    for answer in (unknown, malformed):
        assert await recorded(idp, answer) == [event("client.authentication_failed", "failure")]


async def test_token_exchange(idp: Instance, http: httpx.AsyncClient) -> None:
    """Who follows `subject_jti` finds what came of a token; and whose token was tried by the wrong client."""
    at = await shop(http, idp.directory)
    orders, person = at.orders.client.client_id, at.user.id
    subject_token = await at.subject_token()
    answer = await at.exchange(subject_token)
    assert await recorded(idp, answer) == [event("token.issued", "success", orders, person, orders)]
    jti = claims(subject_token)["jti"]
    assert (await details(idp, answer))["subject_jti"] == jti

    stranger = await api(idp.directory, BILLING, STOCK)
    name = stranger.client.client_id
    answer = await at.exchange(subject_token, stranger)
    assert await recorded(idp, answer) == [event("exchange.refused", "refused", name, person, name)]
    assert await details(idp, answer) == {"reason": "the token was not sent to this client", "subject_jti": jti}
    answer = await at.exchange("a.b.c", stranger)
    assert await recorded(idp, answer) == [event("exchange.refused", "refused", name, None, name)]
    answer = await at.exchange(subject_token, audience=ORDERS)
    assert await recorded(idp, answer) == [event("token.refused", "refused", orders, orders, orders)]


async def test_apis_that_call_each_other_without_end(idp: Instance, http: httpx.AsyncClient) -> None:
    at, echo = await shop(http, idp.directory), await api(idp.directory, ORDERS, ORDERS)
    subject_token = await at.subject_token()
    for _ in range(MOST_ACTORS):
        subject_token = await at.exchanged_token(subject_token, echo)
    name, answer = echo.client.client_id, await at.exchange(subject_token, echo)
    assert answer.status_code == 400
    assert await recorded(idp, answer) == [event("token.refused", "refused", name, name, name)]
    assert await details(idp, answer) == {"error": "invalid_request"}


async def test_an_outside_token(idp: Instance, http: httpx.AsyncClient) -> None:
    """Of a refused one, the client that is known to ask: by its own credentials, or by a token that was good once."""
    job = await workload(idp.directory, ISSUER, single_use=True)
    name, form = job.client_id, job.form(job.token(jti="1"))
    accepted = await recorded(idp, await http.post("/token", data=form))
    assert accepted[0] == event("assertion.accepted", "success", name, name, name)
    again = await http.post("/token", data=form)
    assert await recorded(idp, again) == [event("assertion.refused", "failure", name, name, name)]
    stranger = await builders.client(idp.directory, grant_types=frozenset({JWT_BEARER}))
    name = stranger.client.client_id
    stolen = await http.post("/token", data=job.form(), auth=stranger.auth)
    assert await recorded(idp, stolen) == [event("assertion.refused", "failure", name, name, name)]
    named = await http.post("/token", data=job.form(client_id="somebody"))
    assert await recorded(idp, named) == [event("assertion.refused", "failure")]


async def test_a_bound_token_without_its_key(idp: Instance, http: httpx.AsyncClient) -> None:
    """Whoever has it may have stolen it: as a bearer token, without a proof, with the proof of another key."""
    user, client = await builders.user(idp.directory), await builders.client(idp.directory, **ADMIN_CLIENT)
    owner, thief = Prover(http, ISSUER), Prover(http, ISSUER)
    bound = await owner.token(client, grant_type="password", username=user.email, password=PASSWORD)
    name = client.client.client_id
    for refused in (
        await http.get("/users/me", headers=bearer(bound)),
        await http.get("/users/me", headers={"Authorization": f"DPoP {bound}"}),
        await thief.send("/users/me", "GET", access_token=bound),
    ):
        assert refused.status_code == 401
        assert await recorded(idp, refused) == [event("dpop.unproved", "refused", name, user.id, name)]


async def test_a_client_that_must_prove_a_key_and_does_not(idp: Instance, http: httpx.AsyncClient) -> None:
    client = await builders.client(idp.directory, dpop_bound_access_tokens=True)
    refused = await http.post("/token", data={"grant_type": "client_credentials"}, auth=client.auth)
    name = client.client.client_id
    assert await recorded(idp, refused) == [event("dpop.unproved", "refused", name, None, name)]


@pytest.mark.parametrize(
    "excess",
    [
        {"scope": "idp:admin"},
        {"resource": "https://other.example.com"},
        {"grant_type": "password", "username": "a", "password": "b"},
    ],
    ids=str,
)
async def test_a_client_that_asks_for_more_than_it_may(
    idp: Instance, http: httpx.AsyncClient, excess: dict[str, str]
) -> None:
    client = await builders.client(idp.directory)
    name = client.client.client_id
    answer = await http.post("/token", data={"grant_type": "client_credentials"} | excess, auth=client.auth)
    assert answer.status_code == 400
    assert await recorded(idp, answer) == [event("token.refused", "refused", name, name, name)]


async def test_a_person_who_asks_for_administration(idp: Instance, http: httpx.AsyncClient) -> None:
    user, client = await builders.user(idp.directory), await builders.client(idp.directory, **ADMIN_CLIENT)
    form = {"grant_type": "password", "username": user.email, "password": PASSWORD, "scope": "idp:admin"}
    answer = await http.post("/token", data=form, auth=client.auth)
    name = client.client.client_id
    assert await recorded(idp, answer) == [
        event("login.succeeded", "success", user.id, user.id, name),
        event("token.refused", "refused", name, name, name),
    ]


async def test_administration(idp: Instance, http: httpx.AsyncClient) -> None:
    issued = await admin_token(http, idp.directory)
    headers, admin = bearer(issued), claims(issued)["sub"]

    made = await http.post("/users", json={"email": "new@example.com", "password": GOOD_PASSWORD}, headers=headers)
    user_id = made.json()["id"]
    assert await recorded(idp, made) == [event("user.created", "success", admin, user_id)]

    change = {"password": PASSWORD, "roles": ["editor"], "is_active": False}
    changed = await http.patch(f"/admin/users/{user_id}", json=change, headers=headers)
    assert await recorded(idp, changed) == [
        event("user.password_changed", "success", admin, user_id),
        event("user.roles_changed", "success", admin, user_id),
        event("user.disabled", "success", admin, user_id),
    ]
    enabled = await http.patch(f"/admin/users/{user_id}", json={"is_active": True}, headers=headers)
    assert await recorded(idp, enabled) == [event("user.enabled", "success", admin, user_id)]

    added = await http.post("/admin/clients", json={"client_id": "audited"}, headers=headers)
    rotated = await http.post("/admin/clients/audited/secret", headers=headers)
    removed = await http.delete("/admin/clients/audited", headers=headers)
    for answer, name in (
        (added, "client.created"),
        (rotated, "client.secret_rotated"),
        (removed, "client.removed"),
    ):
        assert await recorded(idp, answer) == [event(name, "success", admin, "audited", "audited")]


async def test_administration_that_is_refused(idp: Instance, http: httpx.AsyncClient) -> None:
    user, client = await builders.user(idp.directory), await builders.client(idp.directory)
    everyday = (await http.post("/token", data={"username": user.email, "password": PASSWORD})).json()
    refused = await http.get("/admin/users", headers=bearer(everyday["access_token"]))
    assert refused.status_code == 403
    assert await recorded(idp, refused) == [event("admin.refused", "refused", user.id, None, DEFAULT_CLIENT)]
    refused = await http.post("/admin/clients", headers=bearer(await token(http, client)))
    name = client.client.client_id
    assert await recorded(idp, refused) == [event("admin.refused", "refused", name, None, name)]
