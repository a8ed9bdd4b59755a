"""Settings: read once, refused all together, and never shown."""

import base64
from pathlib import Path
from typing import Any

import pytest

from idp.settings import Settings, SettingsError, from_environment
from keys.keyring import Bounds

KEY = base64.b64encode(bytes(range(222, 254))).decode()
PEPPER = "a pepper of thirty-two bytes at least"
DSN = "postgresql://idp:the-password@db.example/idp"
NEEDED = {
    "IDP_ISSUER": "https://id.example",
    "IDP_DATABASE_URL": DSN,
    "IDP_KEY_ENCRYPTION_KEY": KEY,
    "IDP_PASSWORD_PEPPER": PEPPER,
}
NUMBERS = [
    "IDP_ACCESS_TOKEN_TTL", "IDP_KEY_ROTATION_PERIOD", "IDP_KEY_PUBLISH_AHEAD", "IDP_JWKS_MAX_AGE",
    "IDP_SHARED_CACHE_TTL", "IDP_CLOCK_SKEW", "IDP_OFFLINE_SIGNING", "IDP_BCRYPT_COST", "IDP_PASSWORD_MIN_LENGTH",
    "IDP_HASH_CONCURRENCY",
]  # fmt: skip
NO_NUMBERS = ["-1", "1.5", "1e3", "5m", " 60", "\u0663", "9" * 5000, "999999999999"]
SECRETS = ("the-password", KEY, PEPPER)


def settings(**changes: str) -> Settings:
    return from_environment({**NEEDED, **changes})[0]


def problems(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        from_environment(environment)
    assert str(refused.value) == "\n".join(refused.value.problems)
    return refused.value.problems


def problem(**changes: str) -> str:
    (only,) = problems({**NEEDED, **changes})
    return only


def test_four_are_needed_and_missed_together() -> None:
    assert [text.split()[0] for text in problems({})] == list(NEEDED)


def test_the_defaults_are_those_of_the_contract() -> None:
    plain = settings()
    assert (plain.access_token_ttl, plain.key_rotation_period, plain.key_publish_ahead) == (900, 30 * 86400, 86400)
    assert (plain.jwks_max_age, plain.shared_cache_ttl, plain.clock_skew, plain.offline_signing) == (300, 0, 30, 60)
    assert (plain.signing_algorithm, plain.signing_key_bits, plain.bcrypt_cost) == ("RS256", 2048, 12)
    assert (plain.password_min_length, plain.default_client_id, plain.trusted_proxies) == (15, None, ())
    assert (plain.allow_http, plain.status_list) == (False, False)
    assert (plain.log_format, plain.log_level) == ("json", "INFO")
    assert plain.hash_concurrency >= 1
    assert plain.warnings == []


def test_whatever_bounds_the_keyring_reaches_it() -> None:
    """Among them what a cache in between may add: an instance that lost the database would serve old keys too long."""
    given = {
        "IDP_CLOCK_SKEW": "31",
        "IDP_OFFLINE_SIGNING": "61",
        "IDP_KEY_PUBLISH_AHEAD": "1000",
        "IDP_JWKS_MAX_AGE": "301",
        "IDP_SHARED_CACHE_TTL": "11",
    }
    assert settings(**given).keyring_bounds == Bounds(
        skew=31, offline=61, publish_ahead=1000, max_age=301, shared_cache=11
    )


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("IDP_ISSUER", "https://id.example:8443/tenant", "issuer", "https://id.example:8443/tenant"),
        ("IDP_ISSUER", "http://localhost:8000", "issuer", "http://localhost:8000"),
        ("IDP_ISSUER", "http://[::1]:8000", "issuer", "http://[::1]:8000"),
        ("IDP_DATABASE_URL", "postgres://h1:5432,h2:5433/idp", "database_url", "postgres://h1:5432,h2:5433/idp"),
        ("IDP_DATABASE_URL", "postgresql://u@/d?host=/run/x", "database_url", "postgresql://u@/d?host=/run/x"),
        ("IDP_PASSWORD_PEPPER", f"{PEPPER}, {PEPPER}2", "password_peppers", (PEPPER.encode(), f"{PEPPER}2".encode())),
        ("IDP_ACCESS_TOKEN_TTL", "60", "access_token_ttl", 60),
        ("IDP_KEY_ROTATION_PERIOD", "86400", "key_rotation_period", 86400),
        ("IDP_KEY_PUBLISH_AHEAD", "340", "key_publish_ahead", 340),
        ("IDP_JWKS_MAX_AGE", "60", "jwks_max_age", 60),
        ("IDP_SHARED_CACHE_TTL", "600", "shared_cache_ttl", 600),
        ("IDP_CLOCK_SKEW", "0", "clock_skew", 0),
        ("IDP_OFFLINE_SIGNING", "5", "offline_signing", 5),
        ("IDP_SIGNING_KEY_BITS", "4096", "signing_key_bits", 4096),
        ("IDP_BCRYPT_COST", "10", "bcrypt_cost", 10),
        ("IDP_PASSWORD_MIN_LENGTH", "8", "password_min_length", 8),
        ("IDP_HASH_CONCURRENCY", "3", "hash_concurrency", 3),
        ("IDP_DEFAULT_CLIENT_ID", "web", "default_client_id", "web"),
        ("IDP_ALLOW_PRIVATE_JWKS", "10.20.0.0/16,::1", "allow_private_jwks", ("10.20.0.0/16", "::1")),
        ("IDP_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::1", "trusted_proxies", ("10.0.0.0/8", "2001:db8::1")),
        ("IDP_ALLOW_HTTP", "TRUE", "allow_http", True),
        ("IDP_ALLOW_HTTP", "0", "allow_http", False),
        ("IDP_STATUS_LIST", "on", "status_list", True),
        ("IDP_STATUS_LIST", "off", "status_list", False),
        ("IDP_LOG_FORMAT", "console", "log_format", "console"),
        ("IDP_LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("IDP_ACCESS_TOKEN_TTL", "", "access_token_ttl", 900),
    ],
)
def test_a_good_value(name: str, text: str, field: str, value: Any) -> None:
    assert getattr(settings(**{name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text", "because"),
    [
        *(("IDP_ISSUER", text, "absolute https URL") for text in [
            "id.example", "https://", "https:id.example", "ftp://id.example", "https://u@id.example", "https://@id.example",
            "https://id.example?", "https://id.example?x=1", "https://id.example#", "https://id.example#x",
            "https://id.example:port", "https://id.example:99999", "https://[::1", "https://id example", "https://bücher.example",
            "https://id.example\\x", "https://id.example\n",
        ]),
        ("IDP_ISSUER", "http://id.example", "must be https"),
        ("IDP_ISSUER", "http://localhost.evil.example", "must be https"),
        ("IDP_ISSUER", "https://id.example/", "slash"),
        *(("IDP_DATABASE_URL", text, "URL like postgresql://") for text in [
            "mysql://db", "db.example", "postgresql+asyncpg://db/idp", "postgresql://u:the-p\u2100ssword@db/idp",
            "postgresql://[u:the-password@db/idp",
        ]),
        *(("IDP_DATABASE_URL", text, "percent-encoded") for text in [
            "postgresql://u:the-pass#word@db/idp", "postgresql://u:the-pass/word@db/idp",
            "postgresql://u:the-password?x@db/idp", "postgresql://u:12?the-password@db/idp", "postgresql://u:x@db:port/idp",
            "postgresql://u:x@db:99999/idp", "postgresql://u:x@a:5432,b:5432x/idp",
        ]),
        *(("IDP_KEY_ENCRYPTION_KEY", text, "32 bytes in base64") for text in [
            KEY[:-4], f"{KEY}AAAA", f"{KEY},", f'"{KEY}"', "the-password", "é", f"{KEY},{KEY[:-8]}",
            KEY.replace("/", "!"),
        ]),
        *(("IDP_PASSWORD_PEPPER", text, "at least 32 bytes") for text in ["short", f"{PEPPER},", f"{PEPPER},short"]),
        *((name, text, "whole number") for text in NO_NUMBERS for name in NUMBERS),
        ("IDP_BCRYPT_COST", "3", "from 4 to 14"),
        ("IDP_PASSWORD_MIN_LENGTH", "7", "from 8 to 64"),
        ("IDP_SIGNING_KEY_BITS", "1024", "one of: 2048"),
        ("IDP_SIGNING_ALGORITHM", "none", "one of: RS256"),
        ("IDP_SIGNING_ALGORITHM", "HS256", "one of: RS256"),
        ("IDP_ALLOW_PRIVATE_JWKS", "ci.example.com", "addresses or networks"),
        ("IDP_TRUSTED_PROXIES", "*", "addresses or networks"),
        ("IDP_TRUSTED_PROXIES", "10.0.0.1/8", "addresses or networks"),
        ("IDP_TRUSTED_PROXIES", "10.0.0.1,", "addresses or networks"),
        ("IDP_ALLOW_HTTP", "yes", "one of: true"),
        ("IDP_STATUS_LIST", "true", "one of: off"),
        ("IDP_LOG_FORMAT", "xml", "one of: json"),
        ("IDP_LOG_LEVEL", "LOUD", "one of: DEBUG"),
        ("IDP_REGISTRATION", "open", "needs mail"),
        ("IDP_REGISTRATION", "ajar", "one of: closed"),
    ],
)  # fmt: skip
def test_a_bad_value(name: str, text: str, because: str) -> None:
    said = problem(**{name: text})
    assert said.startswith(name)
    assert because in said


def test_all_problems_are_told_together() -> None:
    wrong = {
        "IDP_DATABASE_URL": "mysql://",
        "IDP_PASSWORD_PEPPER": "short",
        "IDP_BCRYPT_COST": "99",
        "IDP_LOG_LEVEL": "LOUD",
        "IDP_KEY_PUBLISH_AHEAD": "10",
    }
    assert {text.split()[0] for text in problems(wrong)} == {*wrong, "IDP_ISSUER", "IDP_KEY_ENCRYPTION_KEY"}


@pytest.mark.parametrize("name", NEEDED)
def test_any_value_may_come_from_a_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "value").write_text(NEEDED[name] + "\n")
    environment = {other: value for other, value in NEEDED.items() if other != name}
    assert from_environment(environment | {f"{name}_FILE": str(tmp_path / "value")}) == (settings(), [])


@pytest.mark.parametrize(
    ("content", "because"),
    [
        (None, "IDP_PASSWORD_PEPPER_FILE cannot be read"),
        (b" \n", "IDP_PASSWORD_PEPPER_FILE names an empty file"),
        (b"\xff\xfe", "IDP_PASSWORD_PEPPER_FILE does not name a text file"),
        (b"short", "IDP_PASSWORD_PEPPER must have at least"),
    ],
)
def test_a_bad_file(content: bytes | None, because: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "value").write_bytes(content)
    assert problem(IDP_PASSWORD_PEPPER="", IDP_PASSWORD_PEPPER_FILE=str(tmp_path / "value")).startswith(because)


def test_a_value_and_a_file_are_one_too_many() -> None:
    assert "both set" in problem(IDP_PASSWORD_PEPPER_FILE="/nowhere")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "cannot be read" in problem(IDP_PASSWORD_PEPPER="", IDP_PASSWORD_PEPPER_FILE=str(tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"IDP_ISSUER": "x"},
        {"IDP_KEY_ENCRYPTION_KEY": f"{KEY}, {KEY}x"},
        {"IDP_PASSWORD_PEPPER": f"{PEPPER},x"},
        {"IDP_DATABASE_URL": DSN.replace("postgresql", "mysql")},
        {"IDP_DATABASE_URL": DSN.replace("idp:", "idp:\u2100")},
        {"IDP_DATABASE_URL": DSN.replace("@", "#@")},
        {"IDP_PASSWORD_PEPPER": "", "IDP_PASSWORD_PEPPER_FILE": PEPPER},  # the value in the wrong variable
        {"IDP_DATABASE_URL": "", "IDP_DATABASE_URL_FILE": DSN},
        {"IDP_KEY_ENCRYPTION_KEY": "", "IDP_KEY_ENCRYPTION_KEY_FILE": KEY},
    ],
)
def test_l1_no_problem_shows_a_secret(changes: dict[str, str]) -> None:
    said = problem(**changes)
    assert not any(secret in said for secret in SECRETS)


def test_l1_no_settings_show_a_secret() -> None:
    assert not any(secret in repr(settings()) + str(settings().key_encryption_keys) for secret in SECRETS)
    assert str(bytes(range(222, 254))) not in repr(settings())


@pytest.mark.parametrize(
    "changes",
    [
        {"IDP_KEY_PUBLISH_AHEAD": "339"},
        {"IDP_JWKS_MAX_AGE": "86400"},
        {"IDP_SHARED_CACHE_TTL": "86400"},
        {"IDP_KEY_PUBLISH_AHEAD": "340", "IDP_CLOCK_SKEW": "31"},
        {"IDP_KEY_ROTATION_PERIOD": "86399"},
    ],
)
def test_a_rotation_that_could_reject_good_tokens_is_refused(changes: dict[str, str]) -> None:
    assert "must be at least" in problem(**changes)


def test_a_key_outlives_its_tokens() -> None:
    long = settings(IDP_ACCESS_TOKEN_TTL="86400", IDP_CLOCK_SKEW="600")
    assert long.rotation_policy.retention >= 86400 + 600
    listed = settings(IDP_STATUS_LIST="on")
    assert listed.status_list_lifetime > listed.access_token_ttl
    assert listed.rotation_policy.retention >= listed.status_list_lifetime + listed.clock_skew


@pytest.mark.parametrize(
    "changes",
    [
        {"IDP_KEY_PUBLISH_AHEAD": "659"},
        {"IDP_PASSWORD_MIN_LENGTH": "14"},
        {"IDP_DEFAULT_CLIENT_ID": "web"},
        {"IDP_ALLOW_HTTP": "true"},
    ],
)
def test_what_may_surprise_is_said(changes: dict[str, str]) -> None:
    (warning,) = settings(**changes).warnings
    assert warning.startswith(next(iter(changes)))


def test_names_that_are_none_are_told() -> None:
    _, unknown = from_environment(
        {**NEEDED, "IDP_ISSUR": "x", "IDP_REFRESH_TOKEN_TTLS": "1", "PATH": "/bin", "IDP_": ""}
    )
    assert unknown == ["IDP_", "IDP_ISSUR", "IDP_REFRESH_TOKEN_TTLS"]
