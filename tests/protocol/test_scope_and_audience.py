"""R12, R15: the least scope, and whom a token is for (RFC 6749 §3.3, RFC 8707, RFC 9068 §3)."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol.audience import granted_audience, is_resource_uri
from idp.protocol.client import ADMIN_SCOPE, Client
from idp.protocol.errors import InvalidScopeError, InvalidTargetError
from idp.protocol.scope import granted_scope, is_scope_token

ISSUER = "https://id.example"
ONE, TWO = "https://one.example", "https://two.example/api"


def client(*, scopes: Sequence[str] = (), audiences: Sequence[str] = ()) -> Client:
    return Client("app", "An app", "none", frozenset(), scopes=tuple(scopes), audiences=tuple(audiences))


WIDE = client(scopes=["read", "write", "openid", ADMIN_SCOPE])


@pytest.mark.parametrize(
    ("requested", "granted"),
    [
        (None, ("read", "write", "openid")),
        ("read", ("read",)),
        ("write read", ("write", "read")),
        ("read read", ("read",)),
        (ADMIN_SCOPE, (ADMIN_SCOPE,)),
        (f"read {ADMIN_SCOPE}", ("read", ADMIN_SCOPE)),
    ],
)
def test_scope_is_what_was_asked_for(requested: str | None, granted: tuple[str, ...]) -> None:
    assert granted_scope(requested, WIDE) == granted


@pytest.mark.parametrize(
    "requested",
    ["", " ", "read ", " read", "read  write", "read\twrite", "read\nwrite", 'r"ead', "re\\ad", "réad", "read\0",
     "READ", "rea", "reads", "read,write", "read+write", "delete", "read delete", "idp:admi", "*"],
)  # fmt: skip
def test_what_is_malformed_or_not_registered_is_refused(requested: str) -> None:
    with pytest.raises(InvalidScopeError):
        granted_scope(requested, WIDE)


def test_the_admin_scope_is_nobodys_by_default() -> None:
    assert granted_scope(None, client(scopes=[ADMIN_SCOPE])) == ()
    with pytest.raises(InvalidScopeError):
        granted_scope(ADMIN_SCOPE, client(scopes=["read"]))


@given(st.text(), st.lists(st.text(min_size=1)))
def test_nothing_is_granted_that_was_not_both_asked_and_registered(requested: str, scopes: list[str]) -> None:
    try:
        granted = granted_scope(requested, client(scopes=scopes))
    except InvalidScopeError as refusal:
        description = str(refusal.description)  # §5.2 allows these characters only
        assert all(0x20 <= ord(character) <= 0x7E and character not in '"\\' for character in description)
    else:
        assert set(granted) <= set(requested.split(" ")) & set(scopes)


@given(st.text())
def test_a_scope_token_is_what_the_grammar_says(text: str) -> None:
    grammar = {0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F)}
    assert is_scope_token(text) == (text != "" and {ord(character) for character in text} <= grammar)


@pytest.mark.parametrize(
    ("resources", "scope", "audiences", "granted"),
    [
        ([], [], [], (ISSUER,)),
        ([], ["openid"], [], (ISSUER,)),
        ([], [], [ONE, TWO], (ONE,)),
        ([], ["openid"], [ONE, TWO], (ONE, ISSUER)),
        ([], ["openid"], [ISSUER, ONE], (ISSUER,)),
        ([TWO], [], [ONE, TWO], (TWO,)),
        ([TWO], ["openid"], [ONE, TWO], (TWO,)),
        ([TWO, ONE, TWO], [], [ONE, TWO], (TWO, ONE)),
        ([ISSUER], [], [ONE], (ISSUER,)),
        ([ISSUER], [], [], (ISSUER,)),
    ],
)
def test_r15_the_audience(
    resources: list[str], scope: list[str], audiences: list[str], granted: tuple[str, ...]
) -> None:
    assert granted_audience(resources, scope, client(audiences=audiences), ISSUER) == granted


@pytest.mark.parametrize(
    "resource",
    ["", "one.example", "//one.example", "/", f"{ONE}/", f"{ONE}?x", f"{ONE}#", f"{ONE}#x", ONE.upper(), f" {ONE}",
     f"{ONE}\n", "https://one.example.evil.example", "https://two.example", f"{TWO}/", f"{TWO}/..", "https://u@one.example",
     "https://one.example:443", "http://one.example", f"{ISSUER}/", "https://[::1", "https://id.example.evil.example"],
)  # fmt: skip
def test_r15_any_other_resource_is_an_invalid_target(resource: str) -> None:
    for resources in ([resource], [ONE, resource], [resource, ONE]):
        with pytest.raises(InvalidTargetError):
            granted_audience(resources, [], client(audiences=[ONE, TWO]), ISSUER)


@pytest.mark.parametrize("uri", [ONE, TWO, "urn:example:api", "https://one.example/?q=1", "api://one"])
def test_these_are_resource_uris(uri: str) -> None:
    assert is_resource_uri(uri)


@given(st.text())
def test_no_text_is_too_strange_to_be_judged(text: str) -> None:
    assert is_resource_uri(text) in (True, False)
