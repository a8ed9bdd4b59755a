import base64
import hashlib
import hmac
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idp.passwords.hashing import (
    MAX_FOREIGN_COST,
    MalformedHash,
    PasswordHasher,
    Pepper,
    Peppers,
    StoredHashError,
    UnknownPepper,
    Verdict,
    parse_foreign,
)

OLD, NEW = b"old pepper " + b"o" * 32, b"new pepper " + b"n" * 32
WRONG, RIGHT, OUTDATED = Verdict(False, False), Verdict(True, False), Verdict(True, True)
PASSWORD = "correct horse battery"


def hasher(*secrets: bytes, cost: int = 4, highest_stored_cost: int = 0) -> PasswordHasher:
    return PasswordHasher(Peppers.of(secrets or (NEW,)), cost, highest_stored_cost)


def foreign(password: str | bytes, prefix: bytes = b"2b", cost: int = 4) -> str:
    raw = password.encode() if isinstance(password, str) else password
    made = bcrypt.hashpw(raw[:72], bcrypt.gensalt(cost, prefix=b"2b")).decode()
    return f"${prefix.decode()}${made[4:]}"


def rounds_spent(verify: Callable[[PasswordHasher], object], **options: int) -> int:
    """How many bcrypt rounds a verification takes: what its time consists of."""
    spent = 0

    def counting(key: bytes, setting: bytes) -> bytes:
        nonlocal spent
        spent += 2 ** int(setting.split(b"$")[2])
        return bcrypt.hashpw(key, setting)

    watched = PasswordHasher(Peppers.of([NEW, OLD]), hashpw=counting, **options)
    with suppress(StoredHashError):
        verify(watched)
    return spent


@settings(deadline=None, max_examples=20)
@given(st.text(max_size=100))
def test_p2_a_password_verifies_and_any_addition_does_not(password: str) -> None:
    stored = hasher().hash(password)
    assert hasher().verify(password, stored) == RIGHT
    assert hasher().verify(password + "x", stored) == WRONG
    assert hasher().verify(password + "\0", stored) == WRONG


@pytest.mark.parametrize("length", [0, 1, 71, 72, 73, 1024, 1_000_000])
def test_p2_every_character_counts_at_any_length(length: int) -> None:
    password = "é" * length
    stored = hasher().hash(password)
    assert hasher().verify(password, stored) == RIGHT
    assert hasher().verify(password + "é", stored) == WRONG
    assert hasher().verify(password[:-1] + "e", stored) == WRONG


@pytest.mark.parametrize("other", ["abc", "abc\0", "abc\0xyz", "abc\0def\0", "\0abc\0def", ""])
def test_p2_a_nul_changes_nothing(other: str) -> None:
    assert hasher().verify(other, hasher().hash("abc\0def")) == WRONG
    assert hasher().verify("abc\0def", hasher().hash(other)) == WRONG


def test_p2_halves_of_a_surrogate_pair_are_answered_with_no() -> None:
    for stored in (None, hasher().hash(PASSWORD), foreign(PASSWORD)):
        assert hasher().verify("\ud800", stored) == WRONG


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_p3_the_keyboard_does_not_matter(form: Literal["NFC", "NFD"]) -> None:
    typed = unicodedata.normalize(form, "Crème brûlée" * 80)
    assert hasher().verify(typed, hasher().hash("Crème brûlée" * 80)) == RIGHT
    assert hasher().verify(typed[:30], foreign(unicodedata.normalize("NFC", typed[:30]))) == OUTDATED


def test_the_stored_string_names_scheme_pepper_and_cost_and_is_salted() -> None:
    one, another = hasher().hash(PASSWORD), hasher().hash(PASSWORD)
    assert one.startswith(f"$hmac-sha256-bcrypt$p={Pepper.of(NEW).fingerprint}$2b$04$")
    assert one != another


def test_the_hash_is_what_it_says() -> None:
    """Recomputed with nothing of ours, so that stored hashes outlive this code."""
    stored = hasher().hash(PASSWORD)
    key = base64.b64encode(hmac.new(NEW, PASSWORD.encode(), hashlib.sha256).digest())
    assert bcrypt.checkpw(key, stored[stored.index("$2b$") :].encode())


def test_l1_a_pepper_shows_nowhere() -> None:
    shown = repr(hasher(NEW, OLD)) + str(hasher(NEW, OLD).peppers) + hasher().hash(PASSWORD)
    assert "pepper n" not in shown
    assert "nnn" not in shown
    assert NEW.hex()[:12] not in shown


@pytest.mark.parametrize("secrets", [[], [b"short"], [NEW, b""]])
def test_p2_there_must_be_peppers_of_some_length(secrets: list[bytes]) -> None:
    with pytest.raises(ValueError, match="pepper"):
        Peppers.of(secrets)


@pytest.mark.parametrize("cost", [0, 3, 17, 31])
def test_costs_out_of_reason_are_refused(cost: int) -> None:
    with pytest.raises(ValueError, match="cost"):
        hasher(cost=cost)


def test_p2_the_pepper_is_needed() -> None:
    stored = hasher(OLD).hash(PASSWORD).replace(Pepper.of(OLD).fingerprint, Pepper.of(NEW).fingerprint)
    assert hasher(NEW).verify(PASSWORD, stored) == WRONG


def test_hashes_of_an_older_pepper_verify_and_are_to_be_replaced() -> None:
    stored = hasher(OLD).hash(PASSWORD)
    assert hasher(NEW, OLD).verify(PASSWORD, stored) == OUTDATED
    assert hasher(OLD, NEW).verify(PASSWORD, stored) == RIGHT
    assert hasher(NEW, OLD).verify("wrong", stored) == WRONG


def test_a_pepper_that_is_gone_is_an_error_and_not_a_wrong_password() -> None:
    with pytest.raises(UnknownPepper, match=Pepper.of(OLD).fingerprint):
        hasher(NEW).verify(PASSWORD, hasher(OLD).hash(PASSWORD))


@pytest.mark.parametrize(("made_at", "verdict"), [(4, OUTDATED), (5, RIGHT), (6, OUTDATED)])
def test_hashes_of_another_cost_are_to_be_replaced(made_at: int, verdict: Verdict) -> None:
    assert hasher(cost=5).verify(PASSWORD, hasher(cost=made_at).hash(PASSWORD)) == verdict


@pytest.mark.parametrize("prefix", [b"2a", b"2b", b"2y"])
def test_foreign_hashes_verify_and_are_to_be_replaced(prefix: bytes) -> None:
    stored = foreign(PASSWORD, prefix)
    assert hasher().verify(PASSWORD, stored) == OUTDATED
    assert hasher().verify("wrong", stored) == WRONG


def test_foreign_hashes_follow_the_rules_of_the_other_system() -> None:
    assert hasher().verify("x" * 80, foreign("x" * 72)) == OUTDATED, "it saw 72 bytes"
    assert hasher().verify("x" * 71, foreign("x" * 72)) == WRONG
    decomposed = unicodedata.normalize("NFD", "Crème brûlée")
    assert hasher().verify(decomposed, foreign(decomposed)) == OUTDATED, "it saw the bytes as typed"
    assert hasher().verify("", foreign("")) == OUTDATED


@pytest.mark.parametrize("typed", ["abc\0xyz", "abc\0", "abc\0abc\0abd"])
def test_p2_a_nul_does_not_end_the_password_of_a_foreign_hash(typed: str) -> None:
    assert hasher().verify(typed, foreign("abc")) == WRONG


def test_known_vectors_of_other_implementations() -> None:
    """From the test suite of crypt_blowfish, which PHP, PostgreSQL and many more took over."""
    assert hasher().verify("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW") == OUTDATED
    assert hasher().verify("U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a") == OUTDATED
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    stored = "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"
    assert hasher().verify(alphabet + "chars after 72 are ignored", stored) == OUTDATED


OF_X = "$2b$04$EZOLWp3cWS9TzSga4yspoO/gAHDkds/aZ42KeiBcXp0axwwZws3D6"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "password",
        "$2b$04$short",
        OF_X + "x",
        OF_X + "\n",
        " " + OF_X,
        OF_X.replace("$2b$", "$2x$"),
        OF_X.replace("$2b$", "$2$"),
        OF_X.replace("$04$", "$+4$"),
        OF_X.replace("$04$", "$4$"),
        OF_X.replace("$04$", "$03$"),
        OF_X.replace("$04$", f"${MAX_FOREIGN_COST + 1}$"),
        OF_X.replace("$04$", "$31$"),
        OF_X[:-1] + "/",
        "$2b$04$" + "." * 21 + "z" + "." * 31,
        "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG",
        f"$hmac-sha256-bcrypt$p=a8985e2240e1{OF_X}",
    ],
)
def test_what_cannot_be_imported_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(MalformedHash, match=r"^[A-Z].*\.$") as refusal:
        parse_foreign(text)
    assert not text or text not in str(refusal.value)


def test_what_can_be_imported_tells_its_cost() -> None:
    assert parse_foreign(foreign("x", cost=5)).cost == 5
    assert parse_foreign(foreign("x").replace("$04$", f"${MAX_FOREIGN_COST}$")).cost == MAX_FOREIGN_COST


ACCOUNTS = {
    "unknown": None,
    "current": hasher(NEW, cost=7).hash(PASSWORD),
    "older pepper": hasher(OLD, cost=7).hash(PASSWORD),
    "lower cost": hasher(NEW, cost=4).hash(PASSWORD),
    "foreign": foreign(PASSWORD, cost=7),
    "foreign of lower cost": foreign(PASSWORD, b"2a", cost=5),
    "foreign, decomposed": foreign(unicodedata.normalize("NFD", "Crème brûlée"), cost=5),
    "lost pepper": hasher(b"lost pepper" + b"l" * 32).hash(PASSWORD),
    "corrupt": "$2b$12$corrupt",
}


@pytest.mark.parametrize("account", ACCOUNTS)
@pytest.mark.parametrize("typed", ["", PASSWORD, "x" * 72, "x" * 73, "a\0b", "x" * 1_000_000, "Crème", "\ud800"])
def test_p6_an_answer_takes_the_same_work_whatever_the_account(account: str, typed: str) -> None:
    assert rounds_spent(lambda hasher: hasher.verify(typed, ACCOUNTS[account]), cost=7) == 2**7


@pytest.mark.parametrize("account", ACCOUNTS)
def test_p6_a_password_with_two_spellings_takes_twice_the_work_whatever_the_account(account: str) -> None:
    typed = unicodedata.normalize("NFD", "Crème brûlée")
    assert rounds_spent(lambda hasher: hasher.verify(typed, ACCOUNTS[account]), cost=7) == 2 * 2**7


@pytest.mark.parametrize("account", ACCOUNTS)
def test_p6_the_costliest_hash_in_store_sets_the_pace_for_all(account: str) -> None:
    work = rounds_spent(lambda hasher: hasher.verify(PASSWORD, ACCOUNTS[account]), cost=5, highest_stored_cost=7)
    assert work == 2**7
