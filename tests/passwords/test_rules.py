# ruff: noqa: RUF001 - spellings that look alike are part of what is tested here
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zxcvbn import matching

from idp.passwords.rules import MAX_LENGTH, WeakPassword, check, normalise

ALICE = ("alice.cooper@mail.example.com", "alice", "Acme Identity")


def accepted(password: str, *own_words: str, min_length: int = 15) -> bool:
    try:
        check(password, own_words=own_words or ALICE, min_length=min_length)
    except WeakPassword:
        return False
    return True


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "пятнадцать зелёных котов",
        "正しい馬の電池ホチキスが走る夜に",
        "🐎🔋📎🌙🎻🍋🚲🧲🪁🧭🦉🌵🎲🪐🫖",
        "tr0ub4dor & 3 more words \t and a tab",
        "sixteen\0characters and a nul",
        "x7#Kp" * 3 + "random tail of words " * 40,
        "".join(chr(0x4E00 + 37 * i) for i in range(64)),
    ],
)
def test_p1_passwords_of_any_script_up_to_the_cap_are_accepted(password: str) -> None:
    assert check(password, own_words=ALICE, min_length=15) == unicodedata.normalize("NFC", password)


def test_p1_64_characters_are_possible_and_so_is_the_cap_but_not_more() -> None:
    text = "the quick onyx goblin jumps over a lazy dwarf; " * 30
    assert accepted(text[:64])
    assert accepted(text[:MAX_LENGTH])
    assert not accepted(text[: MAX_LENGTH + 1])
    assert not accepted(text * 1000)


@pytest.mark.parametrize("min_length", [8, 15])
def test_p1_the_minimum_is_counted_in_characters(min_length: int) -> None:
    text = "хвз мъдрец крие фъстъци"
    assert accepted(text[:min_length], min_length=min_length)
    assert not accepted(text[: min_length - 1], min_length=min_length)


def test_p1_a_decomposed_password_is_as_long_as_it_looks() -> None:
    assert not accepted(unicodedata.normalize("NFD", "éàüôñçîëâùïöäê"))


@pytest.mark.parametrize("password", ["alllowercaseletters go here", "1850 7264 9913 0482", "ONLY UPPER CASE YODEL"])
def test_p3_nothing_is_asked_of_the_composition(password: str) -> None:
    assert accepted(password)


@given(st.text(min_size=15, max_size=40))
def test_p3_p1_whatever_the_text_the_answer_is_its_nfc_form_or_a_refusal(password: str) -> None:
    with suppress(WeakPassword):
        assert check(password, own_words=ALICE, min_length=15) == unicodedata.normalize("NFC", password)


def test_p3_the_keyboard_does_not_matter() -> None:
    composed = "Crème brûlée à volonté"
    decomposed = unicodedata.normalize("NFD", composed)
    assert check(decomposed, own_words=(), min_length=15) == check(composed, own_words=(), min_length=15) == composed


def test_halves_of_a_surrogate_pair_are_refused() -> None:
    assert not accepted("correct horse \ud800 battery staple")


@pytest.mark.parametrize(
    "password",
    [
        "MyPassword12345",
        "passwordpassword",
        "password12345678",
        "P@ssw0rdP@ssw0rd",
        "qwertyuiopasdfgh",
        "1qaz2wsx3edc4rfv",
        "123456789012345",
        "aaaaaaaaaaaaaaaaaaaa",
        "abababababababab",
        "abcdefghijklmnop",
        "iloveyouiloveyou",
        "letmeinletmein1",
        "administrator12",
        "trustno1trustno1",
        "drowssapdrowssap",
        "ｐａｓｓｗｏｒｄ１２３４５６７８",
        "password" * 128,
    ],
)
def test_p4_common_passwords_and_their_variations_are_refused(password: str) -> None:
    assert not accepted(password)


@pytest.mark.parametrize(
    "password",
    [
        "alice.cooper@mail.example.com",
        "ALICE.COOPER@mail.example.com!",
        "alicealicealicealice",
        "AliceCooperExample42",
        "alice-cooper-example-acme",
        "moc.elpmaxe.liam@repooc.ecila x7#Kp w9",
        "ａｌｉｃｅ．ｃｏｏｐｅｒ＠ｍａｉｌ．ｅｘａｍｐｌｅ．ｃｏｍ",
        "acme identity 7#kX",
    ],
)
def test_p4_the_accounts_own_words_do_not_count(password: str) -> None:
    assert not accepted(password)
    assert password.startswith(("acme", "alicealice")) or accepted(password, "bob@else.where")


def test_p4_own_words_are_no_taboo_in_a_password_that_is_long_without_them() -> None:
    assert accepted("alice walks eleven badgers at dawn")


def test_p4_short_own_words_are_in_too_many_passwords_to_count() -> None:
    assert accepted("bow to fluffy kit", "bo@x.to", "it")


def test_p4_one_accounts_words_are_no_concern_of_another_even_at_the_same_time() -> None:
    """zxcvbn itself keeps the words of its latest caller, for all threads."""

    def refused(own_word: str) -> int:
        variation = own_word.replace("a", "4").replace("o", "0")
        return sum(not accepted(variation * 2, own_word, min_length=8) for _ in range(20))

    own_words = ["zaqxobkw", "wkalmzot", "jhgaqzxo"]
    with ThreadPoolExecutor(len(own_words)) as threads:
        assert list(threads.map(refused, own_words)) == [20, 20, 20]
    assert accepted("z4qx0bkw" * 2, min_length=8)


L33T = "4@8({[<3691!|70$5+%2"


@pytest.mark.parametrize(
    "password",
    [
        L33T * 50,
        "p4$$w0rd6|7+%2(8{[<3@!19" * 40,
        "password" * 5 + L33T,
        "a" * 1024,
        "1.1.2001" * 128,
        "\ufdfa" * 1024,
    ],
    ids=["l33t", "l33t words", "l33t at the end", "repeats", "dates", "expanding"],
)
def test_p4_hostile_passwords_take_bounded_work(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the bound the first of these takes seconds, with millions of looks into dictionaries."""
    looked_up = 0
    dictionary_match = matching.dictionary_match

    def counted(text: str, _ranked_dictionaries: dict[str, dict[str, int]]) -> object:
        nonlocal looked_up
        looked_up += len(text) ** 2 // 2 * len(_ranked_dictionaries)
        return dictionary_match(text, _ranked_dictionaries)

    monkeypatch.setattr(matching, "dictionary_match", counted)
    accepted(password)
    assert 0 < looked_up < 1_000_000


def test_normalising_leaves_alone_what_is_too_long_for_a_password() -> None:
    hostile = "a" + "\u0301\u0316" * 500_000
    assert normalise(hostile) is hostile
    longest = "é" * MAX_LENGTH
    assert normalise(unicodedata.normalize("NFD", longest)) == longest
