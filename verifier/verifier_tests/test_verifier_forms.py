"""The one form that a token has, from its octets to its JSON: J2, J7."""

import json
import math
import string
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from verifier_tests.signed import ES256, SIGNERS, claims, verify

from idp_verifier import (
    InvalidSignature,
    MalformedToken,
    VerificationError,
    encoding,
)
from idp_verifier.jws import MAX_TOKEN_OCTETS
from idp_verifier.testing import base64url

# J2: any change, and any other form


@pytest.mark.parametrize("alg", SIGNERS)
def test_j2_no_byte_of_a_token_can_be_changed(alg: str) -> None:
    token = SIGNERS[alg].sign(claims())
    assert verify(token)
    for position, original in enumerate(token):
        for replacement in {chr(ord(original) ^ 1), "A", "-", "+", "=", "."} - {original}:
            with pytest.raises(VerificationError):
                verify(token[:position] + replacement + token[position + 1 :])


@pytest.mark.parametrize("alg", SIGNERS)
def test_j2_the_last_character_has_one_spelling(alg: str) -> None:
    """Its unused bits would otherwise allow up to 16 tokens with the same signature."""
    token = SIGNERS[alg].sign(claims())
    for letter in string.ascii_letters + string.digits + "-_":
        if letter != token[-1]:
            with pytest.raises((MalformedToken, InvalidSignature)):
                verify(token[:-1] + letter)


@pytest.mark.parametrize("junk", ["=", "==", "\n", "\r\n", " ", "\t", "\0", ".", "A", "%3D", "é", "\u200b"])
def test_j2_nothing_can_be_added(junk: str) -> None:
    token = ES256.sign(claims())
    places = {0, len(token), *(i for i, letter in enumerate(token) if letter == ".")}
    for place in sorted(places | {place + 1 for place in places}):
        with pytest.raises(VerificationError):
            verify(token[:place] + junk + token[place:])


def test_j2_every_truncation_is_refused() -> None:
    token = ES256.sign(claims())
    for length in range(len(token)):
        with pytest.raises(VerificationError):
            verify(token[:length])


def test_j2_base64url_has_one_text_for_each_value() -> None:
    alphabet = (string.ascii_letters + string.digits + "-_").encode()
    texts = [bytes([a, b]) for a in alphabet for b in alphabet]
    accepted = [octets for text in texts if (octets := _decoded(text)) is not None]
    assert len(accepted) == len(set(accepted)) == 256


def _decoded(text: bytes) -> bytes | None:
    try:
        return encoding.decode_base64url(text)
    except ValueError:
        return None


@given(st.binary(max_size=64))
def test_j2_base64url_round_trips(octets: bytes) -> None:
    assert encoding.decode_base64url(base64url(octets).encode()) == octets


@given(st.binary(max_size=12) | st.text("AQgw=+/-_ \n", max_size=9).map(str.encode))
@example(b"A")
@example(b"AA==")
def test_j2_what_base64url_accepts_is_what_it_writes(text: bytes) -> None:
    octets = _decoded(text)
    assert octets is None or base64url(octets).encode() == text


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "e30.e30.e30",
        "e30.e30.e30.e30.e30",  # JWE
        "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AA.AA.AA.AA",  # JWE: RSA-OAEP, A256GCM
        '{"payload":"e30","signatures":[]}',  # JSON serialization
        '{"protected":"e30","payload":"e30","signature":"AA"}',
        "Bearer e30.e30.e30",
        None,
        7,
        [],
        b"\xff.\xff.\xff",
    ],
    ids=repr,
)
def test_j2_j7_other_forms_are_refused(token: object) -> None:
    with pytest.raises(VerificationError):
        verify(token)


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize("name", ["sub", "exp", "aud", "extra"])
def test_j2_a_member_name_that_occurs_twice_is_refused(name: str) -> None:
    members = json.dumps(claims(extra={"a": 1}), separators=(",", ":"))
    value = json.dumps(claims(extra={"a": 1})[name], separators=(",", ":"))
    with pytest.raises(MalformedToken):
        verify(ES256.sign(f'{members[:-1]},"{name}":{value}}}'.encode()))


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{}x",
        b'{"a":{"b":1,"b":1}}',
        b'{"a":1,"\\u0061":1}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"{'a':1}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
    ids=lambda payload: repr(payload[:24]),
)
def test_json_that_can_be_read_in_two_ways_is_no_json(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        encoding.parse_object(payload)


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(max_size=3),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
            max_leaves=4,
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_json_means_the_same_with_either_parser(value: dict[str, Any], compact: bool) -> None:
    text = json.dumps(value, ensure_ascii=not compact, separators=(",", ":") if compact else None).encode()
    parsed = encoding.parse_object(text)
    assert parsed == value
    assert json.dumps(parsed) == json.dumps(value)  # 1, 1.0 and True are equal, but not the same


# The size of a token


def test_j7_a_token_above_the_cap_is_refused_before_it_is_decoded() -> None:
    roomy = ES256.sign(claims(extra="x" * 11_000))
    assert len(roomy) <= MAX_TOKEN_OCTETS
    assert verify(roomy)
    for large in (ES256.sign(claims(extra="x" * 13_000)), "." * 10_000_000, "A" * 10_000_000):
        with pytest.raises(MalformedToken, match="larger"):
            verify(large)


# Only our errors


@given(st.text() | st.binary() | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}", fullmatch=True))
def test_only_verification_errors_are_raised_for_arbitrary_text(token: str | bytes) -> None:
    with pytest.raises(VerificationError):
        verify(token)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "roles", "client_id", "amr"])


@given(st.dictionaries(NAMES, JSON, max_size=3))
def test_only_verification_errors_are_raised_for_arbitrary_claims(changes: dict[str, Any]) -> None:
    try:
        verified = verify(ES256.sign(claims(**changes)))
    except VerificationError:
        return
    assert all(isinstance(scope, str) for scope in verified.scopes)
    assert all(isinstance(role, str) for role in verified.roles)
    assert math.isfinite(verified.exp)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "zip", "enc", "b64", "x"]), JSON, max_size=3))
def test_only_verification_errors_are_raised_for_arbitrary_headers(header: dict[str, Any]) -> None:
    try:
        verify(ES256.sign(claims(), **header))
    except VerificationError as error:
        sentence = str(error)
    else:
        return
    assert sentence.isprintable()
    assert '"' not in sentence  # it goes into a quoted string of WWW-Authenticate
