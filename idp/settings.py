"""The settings of the service: one frozen value, read once from the environment, all problems reported together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from idp import environment as env
from idp.protocol.refresh import RefreshPolicy
from idp.protocol.status import LIST_GRACE
from idp.protocol.tokens import LONGEST_ACCESS_TOKEN
from keys.keyring import Bounds
from keys.schedule import KeySettings, RotationPolicy
from keys.sealing import SealingKey

DAY = 86400
SAFE_PROPAGATION = 10
"""Seconds, ten looks at the key table: less than this is for tests that cannot wait."""
PATIENT_CACHES = 660
"""Seconds for which verifiers in the field keep a key set whatever max-age says (Envoy, jose: 600), and a minute."""
_NOTHING: Mapping[str, Any] = dict.fromkeys(["issuer", "database_url", "key_encryption_keys", "password_peppers"], "")


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
    refresh_token_ttl: int = 30 * DAY
    refresh_token_idle_ttl: int = 14 * DAY
    refresh_retry_window: int = 30
    key_rotation_period: int = 30 * DAY
    key_publish_ahead: int = DAY
    jwks_max_age: int = 300
    key_wait_for: tuple[str, ...] = ()
    shared_cache_ttl: int = 0
    clock_skew: int = 30
    key_propagation: int = SAFE_PROPAGATION
    """Within which every instance that reaches the database has read a new key: it looks once a second."""
    offline_signing: int = 60
    signing_algorithm: str = "RS256"
    signing_key_bits: int = 2048
    bcrypt_cost: int = 12
    password_min_length: int = 15
    hash_concurrency: int = field(default_factory=lambda: os.cpu_count() or 1)
    default_client_id: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    allow_private_jwks: tuple[str, ...] = ()
    """Networks that are not public and may all the same be asked for the keys of clients and outside issuers."""
    allow_http: bool = False
    status_list: bool = False
    log_format: str = "json"
    log_level: str = "INFO"

    @property
    def rotation_policy(self) -> RotationPolicy:
        """Retention covers the longest token, status lists too, and the skew of verifiers, so that no good token
        outlives its key."""
        return RotationPolicy(
            rotation_period=self.key_rotation_period,
            publish_ahead=self.key_publish_ahead,
            retention=self.status_list_lifetime + self.clock_skew + self.key_propagation,
            propagation=self.key_propagation,
        )

    @property
    def status_list_lifetime(self) -> int:
        """No shorter than that of the tokens in it. Where there are none any more, their lists are still served."""
        return self.access_token_ttl + (LIST_GRACE if self.status_list else 0)

    @property
    def refresh_policy(self) -> RefreshPolicy:
        return RefreshPolicy(self.refresh_token_ttl, self.refresh_token_idle_ttl, self.refresh_retry_window)

    @property
    def key_settings(self) -> KeySettings:
        return KeySettings(self.rotation_policy, self.signing_algorithm, self.signing_key_bits, self.key_wait_for)

    @property
    def keyring_bounds(self) -> Bounds:
        return Bounds(
            skew=self.clock_skew,
            offline=self.offline_signing,
            publish_ahead=self.key_publish_ahead,
            max_age=self.jwks_max_age,
            shared_cache=self.shared_cache_ttl,
        )

    @property
    def warnings(self) -> list[str]:
        """What works, and may still surprise."""
        warnings = []
        if self.key_publish_ahead < PATIENT_CACHES:
            warnings.append(
                f"IDP_KEY_PUBLISH_AHEAD is {self.key_publish_ahead} s: some verifiers (Envoy, jose) keep a key set "
                f"for 600 s and will reject tokens of a new key until then. Use {PATIENT_CACHES} or more."
            )
        if self.key_propagation < SAFE_PROPAGATION:
            warnings.append(
                f"IDP_KEY_PROPAGATION is {self.key_propagation} s: an instance that is stalled for longer can meet a "
                f"new key too late. Meant for tests; use {SAFE_PROPAGATION} or more."
            )
        if self.password_min_length < 15:
            warnings.append(
                f"IDP_PASSWORD_MIN_LENGTH is {self.password_min_length}: passwords below 15 characters are too short "
                "to be the only factor (NIST SP 800-63B-4)."
            )
        if self.allow_http:
            warnings.append("IDP_ALLOW_HTTP is set: passwords and tokens can be read on their way. Meant for tests.")
        if self.default_client_id:
            warnings.append(
                "IDP_DEFAULT_CLIENT_ID is set: anybody may try passwords at /token without naming a client. "
                "Meant for development and for clients that cannot name one."
            )
        return warnings


def from_environment(environment: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Reads the settings; also gives the names that look like settings and are none.

    Raises SettingsError with every problem found.
    """
    reader = env.Reader(environment)
    read = reader.read
    allow_http = bool(read("IDP_ALLOW_HTTP", env.flag, default=False))
    status_list = read("IDP_STATUS_LIST", env.one_of("off", "on"), "off") == "on"
    registration = read("IDP_REGISTRATION", env.one_of("closed", "open"), "closed")
    if registration == "open":
        reader.problems.append("IDP_REGISTRATION=open needs mail, which this version cannot send; leave it closed.")
    values: dict[str, Any] = {
        "issuer": read(
            "IDP_ISSUER",
            env.issuer(allow_http=allow_http),
            demand="It is the https URL by which everybody knows this service.",
        ),
        "database_url": read("IDP_DATABASE_URL", env.database_url, demand="It is the URL of a PostgreSQL database."),
        "key_encryption_keys": read(
            "IDP_KEY_ENCRYPTION_KEY",
            env.sealing_keys,
            demand="Make one with `openssl rand -base64 32` and keep it apart from the database.",
        ),
        "password_peppers": read(
            "IDP_PASSWORD_PEPPER",
            env.peppers,
            demand="Make one with `openssl rand -base64 48` and keep it apart from the database.",
        ),
        "access_token_ttl": read("IDP_ACCESS_TOKEN_TTL", env.whole_number(10, LONGEST_ACCESS_TOKEN)),
        "refresh_token_ttl": read("IDP_REFRESH_TOKEN_TTL", env.whole_number(60, 3660 * DAY)),
        "refresh_token_idle_ttl": read("IDP_REFRESH_TOKEN_IDLE_TTL", env.whole_number(60, 3660 * DAY)),
        "refresh_retry_window": read("IDP_REFRESH_RETRY_WINDOW", env.whole_number(0, 60)),
        "key_rotation_period": read("IDP_KEY_ROTATION_PERIOD", env.whole_number(1, 3660 * DAY)),
        "key_publish_ahead": read("IDP_KEY_PUBLISH_AHEAD", env.whole_number(1, 365 * DAY)),
        "key_wait_for": read("IDP_KEY_WAIT_FOR", env.names),
        "jwks_max_age": read("IDP_JWKS_MAX_AGE", env.whole_number(1, DAY)),
        "shared_cache_ttl": read("IDP_SHARED_CACHE_TTL", env.whole_number(0, 365 * DAY)),
        "clock_skew": read("IDP_CLOCK_SKEW", env.whole_number(0, 600)),
        "key_propagation": read("IDP_KEY_PROPAGATION", env.whole_number(2, 60)),
        "offline_signing": read("IDP_OFFLINE_SIGNING", env.whole_number(1, 3600)),
        "signing_algorithm": read("IDP_SIGNING_ALGORITHM", env.one_of("RS256", "PS256", "ES256", "EdDSA")),
        "signing_key_bits": read("IDP_SIGNING_KEY_BITS", env.key_bits),
        "bcrypt_cost": read("IDP_BCRYPT_COST", env.whole_number(4, 14)),
        "password_min_length": read("IDP_PASSWORD_MIN_LENGTH", env.whole_number(8, 64)),
        "hash_concurrency": read("IDP_HASH_CONCURRENCY", env.whole_number(1, 256)),
        "default_client_id": read("IDP_DEFAULT_CLIENT_ID", str),
        "trusted_proxies": read("IDP_TRUSTED_PROXIES", env.networks),
        "allow_private_jwks": read("IDP_ALLOW_PRIVATE_JWKS", env.networks),
        "log_format": read("IDP_LOG_FORMAT", env.one_of("json", "console")),
        "log_level": read("IDP_LOG_LEVEL", lambda text: env.one_of("DEBUG", "INFO", "WARNING", "ERROR")(text.upper())),
    }
    given = {name: value for name, value in values.items() if value is not None}
    settings = Settings(**{**_NOTHING, **given}, allow_http=allow_http, status_list=status_list)
    reader.problems.extend(_unsafe_rotation(settings))
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings, reader.unknown()


def _unsafe_rotation(settings: Settings) -> list[str]:
    """Settings under which a verifier that honours max-age could meet a key before it has fetched it."""
    needed = settings.jwks_max_age + settings.shared_cache_ttl + settings.clock_skew + settings.key_propagation
    problems = []
    if settings.key_publish_ahead < needed:
        problems.append(
            f"IDP_KEY_PUBLISH_AHEAD is {settings.key_publish_ahead} s but must be at least {needed} s: "
            f"max-age {settings.jwks_max_age} + shared cache {settings.shared_cache_ttl} + skew {settings.clock_skew} "
            f"+ propagation {settings.key_propagation}. Raise it, or lower IDP_JWKS_MAX_AGE."
        )
    if settings.key_rotation_period < settings.key_publish_ahead:
        problems.append(
            f"IDP_KEY_ROTATION_PERIOD is {settings.key_rotation_period} s but must be at least "
            f"IDP_KEY_PUBLISH_AHEAD, {settings.key_publish_ahead} s: the next key is published while this one signs."
        )
    return problems
