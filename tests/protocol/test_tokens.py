"""The claims of an access token (RFC 9068 §2.2) and the answer that carries it (RFC 6749 §5.1)."""

from dataclasses import replace
from uuid import UUID

import pytest

from idp.protocol.authorization import Authentication, Authorization, Exchange, Origin, TokenRequest
from idp.protocol.client import Client
from idp.protocol.errors import InvalidRequestError
from idp.protocol.tokens import TokenResponse, access_token_claims, lifetime_of
from idp.protocol.user import User

CLIENT = Client("app", "An app", "none", frozenset())
ADA = User(UUID(int=7), "ada@example.com", "Ada", ("admin", "staff"))
MACHINE = Authorization(CLIENT, ("read", "write"), ("https://one.example",))
PERSON = replace(MACHINE, authentication=Authentication(ADA, 999.9, ("pwd",)))
EXCHANGE = Exchange("robot", "i", 1500.9, {"sub": "app"}, "urn:ietf:params:oauth:token-type:jwt")


def claims(authorization: Authorization) -> dict[str, object]:
    return access_token_claims(authorization, issuer="https://id.example", now=1000, lifetime=900, jti="j")


def test_the_claims_of_a_machine() -> None:
    assert claims(MACHINE) == {
        "iss": "https://id.example",
        "sub": "app",
        "aud": "https://one.example",
        "exp": 1900,
        "iat": 1000,
        "jti": "j",
        "client_id": "app",
        "scope": "read write",
    }


def test_the_claims_of_a_person() -> None:
    assert claims(PERSON) == claims(MACHINE) | {
        "sub": str(ADA.id),
        "auth_time": 999,
        "amr": ["pwd"],
        "username": "Ada",
        "roles": ["admin", "staff"],
    }


def test_what_there_is_not_is_not_claimed() -> None:
    nameless = replace(PERSON, authentication=Authentication(replace(ADA, username=None, roles=()), 1, ("pwd",)))
    assert "username" not in claims(nameless)
    assert claims(nameless)["roles"] == []
    assert "scope" not in claims(replace(MACHINE, scope=()))


def test_an_exchanged_token_is_the_subjects_and_names_the_actor() -> None:
    """RFC 8693 §4.1."""
    exchanged = replace(MACHINE, exchange=EXCHANGE)
    assert claims(exchanged) == claims(MACHINE) | {"sub": "robot", "act": {"sub": "app"}}
    assert "act" not in claims(replace(MACHINE, exchange=replace(EXCHANGE, act=None)))


@pytest.mark.parametrize(("now", "ttl", "lifetime"), [(1000, 900, 500), (1000, 300, 300), (1499, 300, 1)])
def test_an_exchanged_token_never_outlives_its_subject_token(now: int, ttl: int, lifetime: int) -> None:
    assert lifetime_of(replace(MACHINE, exchange=EXCHANGE), now=now, ttl=ttl) == lifetime
    assert lifetime_of(MACHINE, now=now, ttl=ttl) == ttl


@pytest.mark.parametrize("now", [1500, 1501, 2000])
def test_nothing_is_issued_for_a_subject_token_that_has_expired(now: int) -> None:
    with pytest.raises(InvalidRequestError, match="expired"):
        lifetime_of(replace(MACHINE, exchange=EXCHANGE), now=now, ttl=900)


def test_nothing_personal_beyond_the_contract_is_in_a_token() -> None:
    assert ADA.email not in str(claims(PERSON))


def test_several_audiences_are_a_list() -> None:
    assert claims(replace(MACHINE, audience=("a", "b")))["aud"] == ["a", "b"]


def test_the_answer() -> None:
    answer = TokenResponse("token", 900, ("read", "write"), "j", "k")
    assert answer.body() == {
        "access_token": "token",
        "token_type": "Bearer",
        "expires_in": 900,
        "scope": "read write",
    }
    assert "scope" not in replace(answer, scope=()).body()
    assert replace(answer, issued_token_type="t").body() == answer.body() | {"issued_token_type": "t"}
    assert "token'" not in repr(answer)


def test_a_request_names_what_it_lacks_and_shows_nothing() -> None:
    request = TokenRequest(CLIENT, {"password": "a password"}, (), Origin("192.0.2.1", "r"))
    assert request.required("password") == "a password"
    assert request.scope is None
    with pytest.raises(InvalidRequestError, match="username"):
        request.required("username")
    assert "a password" not in repr(request)


def test_only_an_active_administrator_is_one() -> None:
    assert ADA.is_administrator
    assert not replace(ADA, is_active=False).is_administrator
    assert not replace(ADA, roles=("Admin", "administrator")).is_administrator
