"""The settings of the service: one frozen value, read once from the environment, all problems reported together."""

import base64
import binascii
import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from idp.protocol.redirection import is_loopback_host
from keys.schedule import KeySettings, RotationPolicy
from keys.sealing import KEY_BYTES, SealingKey

T = TypeVar("T")

DAY = 86400
PROPAGATION = 10
"""Seconds within which every instance that reaches the database has read a new key: it looks once a second."""
PATIENT_CACHES = 660
"""Seconds for which verifiers in the field keep a key set whatever max-age says (Envoy, jose: 600), and a minute."""
MIN_PEPPER_BYTES = 32


class SettingsError(Exception):
    """Some settings are missing or wrong; `problems` has a sentence for each that says what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator can set. Durations are seconds."""

    issuer: str
    database_url: str = field(repr=False)
    key_encryption_keys: tuple[SealingKey, ...] = field(repr=False)
    password_peppers: tuple[bytes, ...] = field(repr=False)
    access_token_ttl: int = 900
    key_rotation_period: int = 30 * DAY
    key_publish_ahead: int = DAY
    jwks_max_age: int = 300
    key_wait_for: tuple[str, ...] = ()
    shared_cache_ttl: int = 0
    clock_skew: int = 30
    offline_signing: int = 60
    signing_algorithm: str = "RS256"
    signing_key_bits: int = 2048
    bcrypt_cost: int = 12
    password_min_length: int = 15
    hash_concurrency: int = field(default_factory=lambda: os.cpu_count() or 1)
    default_client_id: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    allow_http: bool = False
    log_format: str = "json"
    log_level: str = "INFO"

    @property
    def rotation_policy(self) -> RotationPolicy:
        """Retention covers the longest token and the skew of verifiers, so no good token outlives its key."""
        return RotationPolicy(
            rotation_period=self.key_rotation_period,
            publish_ahead=self.key_publish_ahead,
            retention=self.access_token_ttl + self.clock_skew + PROPAGATION,
            propagation=PROPAGATION,
        )

    @property
    def key_settings(self) -> KeySettings:
        return KeySettings(self.rotation_policy, self.signing_algorithm, self.signing_key_bits, self.key_wait_for)

    @property
    def warnings(self) -> list[str]:
        """What works, and may still surprise."""
        warnings = []
        if self.key_publish_ahead < PATIENT_CACHES:
            warnings.append(
                f"IDP_KEY_PUBLISH_AHEAD is {self.key_publish_ahead} s: some verifiers (Envoy, jose) keep a key set "
                f"for 600 s and will reject tokens of a new key until then. Use {PATIENT_CACHES} or more."
            )
        if self.password_min_length < 15:
            warnings.append(
                f"IDP_PASSWORD_MIN_LENGTH is {self.password_min_length}: passwords below 15 characters are too short "
                "to be the only factor (NIST SP 800-63B-4)."
            )
        if self.default_client_id:
            warnings.append(
                "IDP_DEFAULT_CLIENT_ID is set: anybody may try passwords at /token without naming a client. "
                "Meant for development and for clients that cannot name one."
            )
        return warnings


class _Reader:
    """Reads settings one by one and collects what is wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._seen: set[str] = set()
        self.problems: list[str] = []

    def text(self, name: str) -> str | None:
        """The value, from the variable or from the file that NAME_FILE names; None when neither is set."""
        self._seen |= {name, f"{name}_FILE"}
        value, path = self._environment.get(name), self._environment.get(f"{name}_FILE")
        if value and path:
            self.problems.append(f"{name} and {name}_FILE are both set; keep one of them.")
        if path and not value:
            try:
                value = Path(path).read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                self.problems.append(f"{name}_FILE cannot be read: {error}.")
        return value or None

    def read(self, name: str, parse: Callable[[str], T], default: T | None = None, *, demand: str = "") -> T | None:
        """The parsed value; a missing one is a problem when `demand` says how to get one."""
        text = self.text(name)
        if text is None:
            if demand:
                self.problems.append(f"{name} is not set. {demand}")
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.problems.append(f"{name} {error}")
            return default

    def unknown(self) -> list[str]:
        return sorted(name for name in self._environment if name.startswith("IDP_") and name not in self._seen)


def _seconds(at_least: int, at_most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not at_least <= int(text) <= at_most:
            raise ValueError(f"must be a whole number from {at_least} to {at_most}.")
        return int(text)

    return parse


def _one_of(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(f"must be one of: {', '.join(values)}.")
        return text

    return parse


def _issuer(*, allow_http: bool) -> Callable[[str], str]:
    def parse(text: str) -> str:
        parts = urlsplit(text)
        if (
            parts.scheme not in ("https", "http")
            or not parts.hostname
            or parts.query
            or parts.fragment
            or parts.username
        ):
            raise ValueError("must be an absolute https URL without query, fragment or user (RFC 8414 §2).")
        if parts.scheme == "http" and not allow_http and not is_loopback_host(parts.hostname):
            raise ValueError("must be https; for a test beyond this machine set IDP_ALLOW_HTTP=true.")
        if text.endswith("/"):
            raise ValueError("must not end with a slash: it is compared letter by letter.")
        return text

    return parse


def _database_url(text: str) -> str:
    if urlsplit(text).scheme not in ("postgresql", "postgres"):
        raise ValueError("must be a URL like postgresql://user:password@host:5432/name?sslmode=verify-full.")
    return text


def parse_sealing_keys(text: str) -> tuple[SealingKey, ...]:
    """Key-encryption keys, comma-separated, as base64 or base64url. Raises ValueError, without showing any."""
    return tuple(map(_sealing_key, text.split(",")))


def _sealing_key(text: str) -> SealingKey:
    text = text.strip().rstrip("=").replace("+", "-").replace("/", "_")
    try:
        return SealingKey(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        raise ValueError(f"must be {KEY_BYTES} bytes in base64; make one with `openssl rand -base64 32`.") from None


def parse_peppers(text: str) -> tuple[bytes, ...]:
    """Peppers, comma-separated. Raises ValueError, without showing any."""
    peppers = tuple(part.strip().encode() for part in text.split(","))
    if any(len(pepper) < MIN_PEPPER_BYTES for pepper in peppers):
        raise ValueError(f"must have at least {MIN_PEPPER_BYTES} bytes; make one with `openssl rand -base64 48`.")
    return peppers


def _networks(text: str) -> tuple[str, ...]:
    networks = [part.strip() for part in text.split(",")]
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ValueError(
                f"must be addresses or networks such as 10.0.0.0/8, comma-separated; '{network}' is not."
            ) from None
    return tuple(networks)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _flag(text: str) -> bool:
    return _one_of("true", "false", "1", "0")(text.lower()) in ("true", "1")


def from_environment(environment: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Reads the settings; also gives the names that look like settings and are none.

    Raises SettingsError with every problem found.
    """
    reader = _Reader(environment)
    read = reader.read
    allow_http = bool(read("IDP_ALLOW_HTTP", _flag, default=False))
    registration = read("IDP_REGISTRATION", _one_of("closed", "open"), "closed")
    if registration == "open":
        reader.problems.append("IDP_REGISTRATION=open needs mail, which this version cannot send; leave it closed.")
    values: dict[str, Any] = {
        "issuer": read(
            "IDP_ISSUER",
            _issuer(allow_http=allow_http),
            demand="It is the https URL by which everybody knows this service.",
        ),
        "database_url": read("IDP_DATABASE_URL", _database_url, demand="It is the URL of a PostgreSQL database."),
        "key_encryption_keys": read(
            "IDP_KEY_ENCRYPTION_KEY",
            parse_sealing_keys,
            demand="Make one with `openssl rand -base64 32` and keep it apart from the database.",
        ),
        "password_peppers": read(
            "IDP_PASSWORD_PEPPER",
            parse_peppers,
            demand="Make one with `openssl rand -base64 48` and keep it apart from the database.",
        ),
        "access_token_ttl": read("IDP_ACCESS_TOKEN_TTL", _seconds(10, DAY)),
        "key_rotation_period": read("IDP_KEY_ROTATION_PERIOD", _seconds(10, 3660 * DAY)),
        "key_publish_ahead": read("IDP_KEY_PUBLISH_AHEAD", _seconds(1, 365 * DAY)),
        "key_wait_for": read("IDP_KEY_WAIT_FOR", _names),
        "jwks_max_age": read("IDP_JWKS_MAX_AGE", _seconds(1, DAY)),
        "shared_cache_ttl": read("IDP_SHARED_CACHE_TTL", _seconds(0, 365 * DAY)),
        "clock_skew": read("IDP_CLOCK_SKEW", _seconds(0, 600)),
        "offline_signing": read("IDP_OFFLINE_SIGNING", _seconds(1, 3600)),
        "signing_algorithm": read("IDP_SIGNING_ALGORITHM", _one_of("RS256", "PS256", "ES256", "EdDSA")),
        "signing_key_bits": read("IDP_SIGNING_KEY_BITS", _key_bits),
        "bcrypt_cost": read("IDP_BCRYPT_COST", _seconds(4, 14)),
        "password_min_length": read("IDP_PASSWORD_MIN_LENGTH", _seconds(8, 64)),
        "hash_concurrency": read("IDP_HASH_CONCURRENCY", _seconds(1, 256)),
        "default_client_id": read("IDP_DEFAULT_CLIENT_ID", str),
        "trusted_proxies": read("IDP_TRUSTED_PROXIES", _networks),
        "log_format": read("IDP_LOG_FORMAT", _one_of("json", "console")),
        "log_level": read("IDP_LOG_LEVEL", lambda text: _one_of("DEBUG", "INFO", "WARNING", "ERROR")(text.upper())),
    }
    given = {name: value for name, value in values.items() if value is not None}
    if not reader.problems:
        settings = Settings(**given, allow_http=allow_http)
        reader.problems.extend(_unsafe_rotation(settings))
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings, reader.unknown()


def _key_bits(text: str) -> int:
    return int(_one_of("2048", "3072", "4096")(text))


def _unsafe_rotation(settings: Settings) -> list[str]:
    """Settings under which a verifier that honours max-age could meet a key before it has fetched it."""
    needed = settings.jwks_max_age + settings.shared_cache_ttl + settings.clock_skew + PROPAGATION
    problems = []
    if settings.key_publish_ahead < needed:
        problems.append(
            f"IDP_KEY_PUBLISH_AHEAD is {settings.key_publish_ahead} s but must be at least {needed} s: "
            f"max-age {settings.jwks_max_age} + shared cache {settings.shared_cache_ttl} + skew {settings.clock_skew} "
            f"+ propagation {PROPAGATION}. Raise it, or lower IDP_JWKS_MAX_AGE."
        )
    if settings.key_rotation_period < settings.key_publish_ahead:
        problems.append(
            f"IDP_KEY_ROTATION_PERIOD is {settings.key_rotation_period} s but must be at least "
            f"IDP_KEY_PUBLISH_AHEAD, {settings.key_publish_ahead} s: the next key is published while this one signs."
        )
    return problems
