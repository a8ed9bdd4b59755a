"""JWTs from outside, taken apart; and the decisions on what they claim."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol.assertion import (
    LONGEST_CLIENT_ASSERTION,
    LONGEST_OUTSIDE_TOKEN,
    check_client_assertion,
    check_outside_token,
)
from idp.protocol.signed_jwt import MAX_LENGTH, RefusedJwt, SignedJwt, read_jwt
from idp.protocol.trusted_issuer import TrustedIssuer, rule_problem

NOW, SKEW, ISSUER = 1_800_000_000.0, 30.0, "https://id.example.com"
CLAIMS = ("iss", "sub", "aud", "exp", "iat", "nbf", "jti")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def text_of(header: object, claims: object) -> str:
    return ".".join([*(base64url(json.dumps(part).encode()) for part in (header, claims)), "c2ln"])


def with_claims(octets: bytes) -> str:
    return f"e30.{base64url(octets)}.c2ln"


def jwt(**claims: object) -> SignedJwt:
    return read_jwt(text_of({"alg": "ES256"}, claims))


def test_what_is_signed_and_what_it_says() -> None:
    text = text_of({"alg": "ES256", "typ": "application/JWT"}, {"sub": "a", "aud": ["b"], "exp": 1.5})
    read = read_jwt(text)
    assert (read.typ, read.text("sub"), read.audience, read.instant("exp"), read.instant("iat")) == (
        *("jwt", "a", ("b",), 1.5, None),
    )
    assert (read.signing_input, read.signature) == (text.rpartition(".")[0].encode(), b"sig")
    assert jwt(aud="one").audience == ("one",)
    assert jwt().audience == ()
    assert "secret" not in repr(jwt(sub="secret"))


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "...", "e30.e30", "e30.e30.c2ln.x", "e30 .e30.c2ln", "e30=.e30.c2ln", "e30.e30.c2ln="),
        *("W10.e30.c2ln", "e30.W10.c2ln", "e30.bnVsbA.c2ln", "e31.e30.c2ln", "e30.e30.c2lo!", "e30.e30.c2\xe9n"),
        "e30.e30." + "A" * MAX_LENGTH,
        text_of({"crit": ["exp"]}, {}),
        with_claims(b'{"a":1,"a":2}'),
        with_claims(rb'{"a":"\ud800"}'),
        with_claims(b"\xff"),
        with_claims(b"[" * 9_000),
    ],
)
def test_what_is_no_jwt(text: str) -> None:
    with pytest.raises(RefusedJwt):
        read_jwt(text)


@given(
    st.text()
    | st.builds(text_of, json_values, json_values)
    | st.builds(text_of, st.just({}), st.dictionaries(st.sampled_from(CLAIMS), json_values))
)
def test_nothing_is_too_strange_to_be_refused(text: str) -> None:
    """Only our own exception comes out, whatever comes in, and its sentence fits RFC 6749 §5.2."""

    def judge() -> None:
        read = read_jwt(text)
        TrustedIssuer("iss", "client", "sub/*", {"a": "b"}).fits(read, ISSUER)
        check_outside_token(read, single_use=True, now=NOW, skew=SKEW)
        check_client_assertion(read, "client", ISSUER, now=NOW, skew=SKEW)

    with pytest.raises(RefusedJwt) as refused:
        judge()
    assert all(" " <= letter <= "~" and letter not in '"\\' for letter in str(refused.value))


@pytest.mark.parametrize("longest", [LONGEST_CLIENT_ASSERTION, LONGEST_OUTSIDE_TOKEN])
def test_the_time_at_its_edges(longest: int) -> None:
    def until(**claims: float) -> float:
        timed = jwt(iss="c", sub="c", aud=ISSUER, jti="1", **claims)
        if longest == LONGEST_CLIENT_ASSERTION:
            return check_client_assertion(timed, "c", ISSUER, now=NOW, skew=SKEW)
        return check_outside_token(timed, single_use=True, now=NOW, skew=SKEW)

    for good in (
        {"exp": NOW - SKEW + 1},
        {"exp": NOW + SKEW + longest},
        {"exp": NOW + longest, "iat": NOW},
        {"exp": NOW + longest + SKEW, "iat": NOW + SKEW},
        {"exp": NOW + 1, "nbf": NOW + SKEW},
    ):
        assert until(**good) > good["exp"] + SKEW  # its id is remembered for longer than it is accepted
    for bad in (
        {},
        {"exp": NOW - SKEW},
        {"exp": NOW + SKEW + longest + 1},
        {"exp": NOW + longest + 1, "iat": NOW},
        {"exp": NOW + 1, "iat": NOW + 1 - longest - 1},
        {"exp": NOW + 60, "iat": NOW + SKEW + 1},
        {"exp": NOW + 60, "nbf": NOW + SKEW + 1},
    ):
        with pytest.raises(RefusedJwt):
            until(**bad)


@pytest.mark.parametrize(
    ("subject", "sub", "fits"),
    [
        ("repo:acme/x", "repo:acme/x", True),
        ("repo:acme/x", "repo:acme/xy", False),
        ("repo:acme/*", "repo:acme/x", True),
        ("repo:acme/*", "repo:acme/x/y:z", True),
        ("repo:acme/*", "repo:acme/", True),
        ("repo:acme/*", "repo:acme", False),
        ("repo:acme/*", "repo:acme-evil/x", False),
        ("repo:acme/*", "xrepo:acme/x", False),
        ("a?c", "abc", False),
        ("a.c", "abc", False),
        ("[a]", "a", False),
    ],
)
def test_subjects(subject: str, sub: str, fits: bool) -> None:
    """A `*` at the end, and nothing else, is no letter like others."""
    rule = TrustedIssuer("https://ci.example", "client", subject)
    assert rule.fits(jwt(iss="https://ci.example", sub=sub, aud=ISSUER), ISSUER) is fits
    assert not rule.fits(jwt(iss="https://ci.example/", sub=sub, aud=ISSUER), ISSUER)
    assert not rule.fits(jwt(iss="https://ci.example", sub=sub, aud=[ISSUER, "b"]), ISSUER)
    assert not rule.fits(jwt(iss="https://ci.example", sub=sub), ISSUER)


def test_a_rule_with_claims_for_every_subject() -> None:
    rule = TrustedIssuer("ci", "client", "*", {"repository_id": "7"})
    assert rule_problem(rule, ISSUER) is None
    assert rule.fits(jwt(iss="ci", sub="x", aud=ISSUER, repository_id="7"), ISSUER)
    for other in (7, "8", ["7"], None, True):
        assert not rule.fits(jwt(iss="ci", sub="x", aud=ISSUER, repository_id=other), ISSUER)
