"""Opaque tokens: what we made is recognised, nothing else is, and what is sealed opens for one token alone."""

import base64
import string
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.opaque import SECRET_BYTES, OpaqueTokens, digest

SECRET = bytes(range(SECRET_BYTES))
TOKENS = OpaqueTokens(SECRET, "refresh")
ALPHABET = string.ascii_letters + string.digits + "-_"

secrets = st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES)


def raw(token: str) -> bytes:
    return base64.urlsafe_b64decode(token + "==")


@given(secrets, st.uuids())
def test_what_we_made_is_recognised(secret: bytes, owner: UUID) -> None:
    tokens = OpaqueTokens(secret, "refresh")
    assert tokens.owner(tokens.new(owner)) == owner


def test_each_has_256_random_bits_and_goes_into_a_form_as_it_is() -> None:
    owner = uuid4()
    made = [TOKENS.new(owner) for _ in range(200)]
    assert len({raw(token)[16:48] for token in made}) == 200
    assert {len(token) for token in made} == {86}
    assert set("".join(made)) <= set(ALPHABET)


@given(st.uuids(), st.integers(0, 64 * 8 - 1))
def test_any_bit_counts(owner: UUID, place: int) -> None:
    changed = bytearray(raw(TOKENS.new(owner)))
    changed[place // 8] ^= 1 << place % 8
    assert TOKENS.owner(base64.urlsafe_b64encode(changed).rstrip(b"=").decode()) is None


@given(st.uuids(), st.integers(0, 85), st.sampled_from([*ALPHABET, "", "=", " ", "\n", "\0", "+", "/", "ä", "\ud800"]))
def test_any_character_counts(owner: UUID, place: int, character: str) -> None:
    token = TOKENS.new(owner)
    changed = token[:place] + character + token[place + 1 :]
    assert (TOKENS.owner(changed) is None) == (changed != token)


@given(st.uuids(), st.integers(0, 86), st.text(min_size=1, max_size=8))
def test_nothing_can_be_put_in(owner: UUID, place: int, text: str) -> None:
    token = TOKENS.new(owner)
    assert TOKENS.owner(token[:place] + text + token[place:]) is None


def test_another_spelling_of_the_same_bytes_is_not_that_token() -> None:
    token = TOKENS.new(uuid4())
    others = [token[:-1] + character for character in ALPHABET if raw(token[:-1] + character) == raw(token)]
    assert len(others) == 16  # four bits of the last character mean nothing
    assert [other for other in others if TOKENS.owner(other)] == [token]
    assert TOKENS.owner(token + "==") is None


@given(st.one_of(st.text(), st.text(ALPHABET), st.binary().map(lambda b: base64.urlsafe_b64encode(b).decode())))
def test_what_we_did_not_make_is_nobodys(text: str) -> None:
    assert TOKENS.owner(text) is None


@given(secrets.filter(lambda secret: secret != SECRET), st.uuids())
def test_another_secret_or_kind_knows_nothing_of_it(secret: bytes, owner: UUID) -> None:
    token = TOKENS.new(owner)
    assert OpaqueTokens(secret, "refresh").owner(token) is None
    assert OpaqueTokens(SECRET, "other").owner(token) is None


@given(st.uuids(), st.text(st.characters(codec="utf-8"), max_size=200))
def test_what_is_sealed_opens_for_its_token(owner: UUID, successor: str) -> None:
    token = TOKENS.new(owner)
    assert TOKENS.open(token, TOKENS.seal(token, successor)) == successor


def test_what_is_sealed_opens_for_no_other() -> None:
    owner = uuid4()
    token, successor = TOKENS.new(owner), TOKENS.new(owner)
    sealed = TOKENS.seal(token, successor)
    assert TOKENS.open(successor, sealed) is None
    assert TOKENS.open(TOKENS.new(owner), sealed) is None
    assert OpaqueTokens(SECRET, "other").open(token, sealed) is None
    assert OpaqueTokens(bytes(SECRET_BYTES), "refresh").open(token, sealed) is None


@given(st.data())
def test_what_is_sealed_does_not_open_once_damaged(data: st.DataObject) -> None:
    token = TOKENS.new(uuid4())
    sealed = TOKENS.seal(token, "the successor")
    place = data.draw(st.integers(0, len(sealed) * 8 - 1))
    damaged = bytearray(sealed)
    damaged[place // 8] ^= 1 << place % 8
    assert TOKENS.open(token, bytes(damaged)) is None
    assert TOKENS.open(token, sealed[: place // 8]) is None


def test_racing_requests_seal_under_nonces_of_their_own() -> None:
    token = TOKENS.new(uuid4())
    assert len({TOKENS.seal(token, "the same")[:12] for _ in range(100)}) == 100


@pytest.mark.parametrize("shown", [repr(TOKENS), str(TOKENS)], ids=["repr", "str"])
def test_l1_the_secret_is_never_shown(shown: str) -> None:
    assert str(SECRET)[2:12] not in shown


def test_the_digest_is_of_the_token_alone() -> None:
    token = TOKENS.new(uuid4())
    assert digest(token) == digest(token) != digest(TOKENS.new(uuid4()))
    assert len(digest(token)) == 32
