# ruff: noqa: RUF001 - spellings that look alike are what is tested here
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol.identity import InvalidIdentity, login_key, parse_email, parse_username

FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}

LOCAL_PARTS = st.text("abcXYZ019._+-éÉßıİſΣςÅ", min_size=1, max_size=20)
DOMAINS = st.sampled_from(
    [
        "example.com",
        "EXAMPLE.org",
        "localhost",
        "bücher.example",
        "Faß.de",
        "παράδειγμα.test",
        "例え.テスト",
        "a.b.c",
    ]
)


def spellings(text: str) -> list[str]:
    """What people may type for the same thing."""
    return [
        text,
        f" {text}\n",
        text.lower(),
        text.translate(FULL_WIDTH),
        unicodedata.normalize("NFD", text),
        unicodedata.normalize("NFKC", text),
    ]


@given(LOCAL_PARTS, DOMAINS)
def test_every_alias_of_an_address_logs_in_to_the_same_account(local: str, domain: str) -> None:
    try:
        email = parse_email(f"{local}@{domain}")
    except InvalidIdentity:
        return
    for typed in spellings(f"{local}@{domain}"):
        assert login_key(typed) == email.key
        assert parse_email(typed).key == email.key
    assert parse_email(email.display) == email
    assert login_key(email.key) == email.key


@given(st.text("abcXYZ019._-éÉßΣςÅǰ", min_size=1, max_size=20))
def test_every_alias_of_a_username_logs_in_to_the_same_account(name: str) -> None:
    try:
        username = parse_username(name)
    except InvalidIdentity:
        return
    for typed in spellings(name):
        assert login_key(typed) == username.key
        assert parse_username(typed).key == username.key
    assert parse_username(username.display) == username
    assert unicodedata.is_normalized("NFKC", username.key)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("Mike@Example.COM", "mike@example.com"),
        ("ｍｉｋｅ＠ｅｘａｍｐｌｅ．com", "mike@example.com"),
        ("jose\u0301@example.com", "jos\u00e9@example.com"),
        ("m@BÜCHER.example", "m@xn--bcher-kva.example"),
        ("m@XN--BCHER-KVA.example", "m@bu\u0308cher.example"),
        ("m@example。com", "m@example.com"),
    ],
)
def test_two_spellings_of_one_address_cannot_become_two_accounts(one: str, another: str) -> None:
    assert parse_email(one).key == parse_email(another).key == login_key(one) == login_key(another)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("mıke@example.com", "mike@example.com"),
        ("MİKE@example.com", "mike@example.com"),
        ("mike+work@example.com", "mike@example.com"),
        ("m.ike@example.com", "mike@example.com"),
        ("m\u0456ke@example.com", "mike@example.com"),
        ("mike@faß.de", "mike@fass.de"),
        ("mike@exampıe.com", "mike@exampie.com"),
    ],
)
def test_addresses_that_only_look_alike_stay_two_accounts(one: str, another: str) -> None:
    assert parse_email(one).key != parse_email(another).key
    assert login_key(one) != login_key(another)


@pytest.mark.parametrize(
    "text", ["admin@localhost", "admin@example.com", "a@shop.test", "a@printer.local", "a+b@example.com"]
)
def test_addresses_on_private_and_reserved_domains_are_fine(text: str) -> None:
    email = parse_email(text)
    assert (email.display, email.key) == (text, text)


def test_the_display_of_an_address_keeps_the_case_of_the_mailbox_only() -> None:
    assert parse_email("Mike@XN--Bcher-kva.Example").display == "Mike@bücher.example"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "mike",
        "@example.com",
        "mike@",
        "a@b@example.com",
        "a b@example.com",
        '"a b"@example.com',
        "Mike <mike@example.com>",
        "mike@[127.0.0.1]",
        "mike@example.com.",
        "mike@exa_mple.com",
        "mike\0@example.com",
        "mike\r\nBcc: eve@example.com",
        "mi\u200bke@example.com",
        "mi\u115fke@example.com",
        "mi\ufe0fke@example.com",
        "mi\ufffdke@example.com",
        "mike@\ud800.com",
        "m" * 250 + "@example.com",
        "m" * 1_000_000 + "@example.com",
        "m" + "\u0301\u0316" * 100_000 + "@example.com",
    ],
)
def test_what_is_no_address_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InvalidIdentity, match=r"^[A-Z].*\.$"):
        parse_email(text)


@pytest.mark.parametrize(
    ("text", "display", "key"),
    [
        ("Alice", "Alice", "alice"),
        ("a.l_i-c3", "a.l_i-c3", "a.l_i-c3"),
        ("7of9", "7of9", "7of9"),
        ("Ａｌｉｃｅ", "Alice", "alice"),
        ("STRASSE", "STRASSE", "strasse"),
        ("Straße", "Straße", "strasse"),
        ("Пётр", "Пётр", "пётр"),
        ("नमस्ते", "नमस्ते", "नमस्ते"),
        ("東京タワーの人", "東京タワーの人", "東京タワーの人"),
        ("한국漢字", "한국漢字", "한국漢字"),
        ("x" * 64, "x" * 64, "x" * 64),
    ],
)
def test_usernames_of_any_script(text: str, display: str, key: str) -> None:
    username = parse_username(text)
    assert (username.display, username.key) == (display, key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 65,
        "x" * 1_000_000,
        "a@b",
        "a＠b",
        "a b",
        "a\u00a0b",
        "a\tb",
        "a\0b",
        "a/b",
        "<script>",
        ".alice",
        "-alice",
        "_alice",
        "\u0301alice",
        "al\u200dice",
        "al\u00adice",
        "al\u202eice",
        "al\u115fice",
        "al\u034fice",
        "al\ufe0fice",
        "al\U000e0100ice",
        "al\ud800ice",
        "alice\U0001f600",
    ],
)
def test_what_is_no_username_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InvalidIdentity, match=r"^[A-Z].*\.$"):
        parse_username(text)


@pytest.mark.parametrize("text", ["\u0430dmin", "adm\u0456n", "admi\u03bd", "admin\u0663", "タwワー", "한국カ"])
def test_usernames_that_mix_scripts_to_look_like_another_are_refused(text: str) -> None:
    with pytest.raises(InvalidIdentity, match="one script"):
        parse_username(text)


@given(st.text())
def test_a_login_key_exists_for_everything_that_can_be_typed_and_can_be_stored(text: str) -> None:
    key = login_key(text)
    assert "\0" not in key
    key.encode("utf-8")


@pytest.mark.parametrize(
    "text",
    ["\ud800", "a\0b", "a@\ud800", "a@" + "ü" * 100_000, "a" + "\u0301\u0316" * 500_000, "@" * 100_000],
)
def test_a_login_key_is_small_whatever_is_typed(text: str) -> None:
    key = login_key(text)
    assert len(key) < 20_000
    key.encode("utf-8")


def test_too_long_a_text_names_nobody_rather_than_whom_its_start_names() -> None:
    alice = parse_email("alice@example.com").key
    assert login_key("alice@example.com" + " " * 2000 + "x") != alice
    assert login_key("alice@example.com" + "\0" * 2000) != alice
    assert login_key("x" * 2000 + "alice@example.com") != alice
