"""Reading settings from an environment: names and files, and what each kind of value looks like.

A parser raises ValueError with the rest of a sentence that begins with the name, and never repeats a secret.
"""

import base64
import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from idp.protocol.redirection import is_loopback_host
from keys.sealing import KEY_BYTES, SealingKey

T = TypeVar("T")

MIN_PEPPER_BYTES = 32


class Reader:
    """Reads settings one by one and collects what is wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._seen: set[str] = set()
        self.problems: list[str] = []

    def text(self, name: str) -> str | None:
        """The value, from the variable or from the file that NAME_FILE names; None when neither is set."""
        self._seen |= {name, f"{name}_FILE"}
        value, path = self._environment.get(name), self._environment.get(f"{name}_FILE")
        if not path:
            return value or None
        if value:
            self.problems.append(f"{name} and {name}_FILE are both set; keep one of them.")
            return value
        try:
            value = Path(path).read_text().strip()
        except OSError as error:  # its text would repeat the path, which may be the secret in the wrong variable
            self.problems.append(f"{name}_FILE cannot be read: {error.strerror}.")
        except ValueError:
            self.problems.append(f"{name}_FILE does not name a text file.")
        else:
            if not value:
                self.problems.append(f"{name}_FILE names an empty file.")
        return value or None

    def read(self, name: str, parse: Callable[[str], T], default: T | None = None, *, demand: str = "") -> T | None:
        """The parsed value; a missing one is a problem when `demand` says how to get one."""
        before = len(self.problems)
        text = self.text(name)
        if text is None:
            if demand and len(self.problems) == before:
                self.problems.append(f"{name} is not set. {demand}")
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.problems.append(f"{name} {error}")
            return default

    def unknown(self) -> list[str]:
        """The names that look like settings and were not asked for."""
        return sorted(name for name in self._environment if name.startswith("IDP_") and name not in self._seen)


def whole_number(at_least: int, at_most: int) -> Callable[[str], int]:
    """A number in ASCII digits, within bounds."""

    def parse(text: str) -> int:
        plain = text.isascii() and text.isdigit() and len(text) <= len(str(at_most))
        if not plain or not at_least <= int(text) <= at_most:
            raise ValueError(f"must be a whole number from {at_least} to {at_most}.")
        return int(text)

    return parse


def one_of(*values: str) -> Callable[[str], str]:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(f"must be one of: {', '.join(values)}.")
        return text

    return parse


def issuer(*, allow_http: bool) -> Callable[[str], str]:
    """An issuer identifier (RFC 8414 §2)."""

    def parse(text: str) -> str:
        parts = _split(text)
        if parts is None or parts.scheme not in ("https", "http") or not parts.hostname or set(text) & set("?#@\\ "):
            raise ValueError("must be an absolute https URL without query, fragment or user (RFC 8414 §2).")
        if parts.scheme == "http" and not allow_http and not is_loopback_host(parts.hostname):
            raise ValueError("must be https; for a test beyond this machine set IDP_ALLOW_HTTP=true.")
        if text.endswith("/"):
            raise ValueError("must not end with a slash: it is compared letter by letter.")
        return text

    return parse


def _split(text: str) -> SplitResult | None:
    """The parts of a URL in visible ASCII, None when it is none."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        return None
    return parts if text.isascii() and text.isprintable() else None


def database_url(text: str) -> str:
    """A DSN. What is in it is asyncpg's to judge, but for what would let a part of the password pass as a host."""
    try:
        parts = urlsplit(text)
    except ValueError:  # its text would repeat the password
        parts = SplitResult("", "", "", "", "")
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("must be a URL like postgresql://user:password@host:5432/name?sslmode=verify-full.")
    if parts.fragment or "@" in parts.path or not _is_well_formed(parts):
        raise ValueError(
            "has a port that is no number, or special characters in its password: write these percent-encoded, such as "
            "%23 for #."
        )
    return text


def _is_well_formed(parts: SplitResult) -> bool:
    """Whether the ports of its hosts are ports, and its query is made of pairs: asyncpg repeats what is neither."""
    hosts = parts.netloc.rpartition("@")[2].split(",")
    ports = [port for _, colon, port in (host.rpartition("]")[2].partition(":") for host in hosts) if colon]
    pairs = parts.query.split("&") if parts.query else ()
    return all(port.isdecimal() and int(port) < 65536 for port in ports) and all("=" in pair for pair in pairs)


def sealing_keys(text: str) -> tuple[SealingKey, ...]:
    """Key-encryption keys, comma-separated, as base64 or base64url. Raises ValueError, without showing any."""
    return tuple(map(_sealing_key, text.split(",")))


def _sealing_key(text: str) -> SealingKey:
    text = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return SealingKey(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except ValueError:
        raise ValueError(f"must be {KEY_BYTES} bytes in base64; make one with `openssl rand -base64 32`.") from None


def peppers(text: str) -> tuple[bytes, ...]:
    """Peppers, comma-separated. Raises ValueError, without showing any."""
    values = tuple(part.strip().encode() for part in text.split(","))
    if any(len(value) < MIN_PEPPER_BYTES for value in values):
        raise ValueError(f"must have at least {MIN_PEPPER_BYTES} bytes; make one with `openssl rand -base64 48`.")
    return values


def networks(text: str) -> tuple[str, ...]:
    """Addresses and networks, comma-separated."""
    parts = tuple(part.strip() for part in text.split(","))
    for part in parts:
        try:
            ipaddress.ip_network(part)
        except ValueError:
            raise ValueError(
                f"must be addresses or networks such as 10.0.0.0/8, comma-separated; {part!a} is not."
            ) from None
    return parts


def names(text: str) -> tuple[str, ...]:
    """Names, comma-separated."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def flag(text: str) -> bool:
    """Yes or no."""
    return one_of("true", "false", "1", "0")(text.lower()) in ("true", "1")


def key_bits(text: str) -> int:
    """The length of an RSA modulus."""
    return int(one_of("2048", "3072", "4096")(text))
