"""The issuer's keys in a file: so that a service that starts while the issuer is out of reach can still verify.

Whoever can write the file chooses the keys, so one that others could have written is not used. A file that cannot
be used, or not be written, is logged and ignored: having one is never worse than having none.
"""

import json
import logging
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idp_verifier.claims import is_instant
from idp_verifier.encoding import parse_object
from idp_verifier.fetch import MAX_BODY_OCTETS

_log = logging.getLogger("idp_verifier")

_MAX_FILE_OCTETS = 2 * MAX_BODY_OCTETS
"""Room for the largest JWK Set that is ever fetched, its quotation marks escaped, and the rest."""

_CAUTION = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # no link, and no pipe to wait for


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A JWK Set as it was confirmed at `at` (POSIX seconds), fresh for `max_age` seconds."""

    jwks: bytes
    etag: str | None
    at: float
    max_age: float


class KeyFile:
    """The file at `path` for the keys of `issuer`, found at `jwks_uri` or, if that is None, by its metadata."""

    def __init__(self, path: str | os.PathLike[str], issuer: str, jwks_uri: str | None) -> None:
        self._path = Path(path)
        self._origin = {"issuer": issuer, "jwks_uri": jwks_uri}

    def read(self) -> KeyRecord | None:
        """What was written last, by this process or an earlier one; None if there is nothing to be used."""
        try:
            return self._record_of(parse_object(_read(self._path)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as problem:
            _log.warning("the keys in %s are not used: %s", self._path, problem)
            return None

    def write(self, record: KeyRecord) -> None:
        """Replaces the file as a whole: nobody ever reads a half of it."""
        members = {
            **self._origin,
            "at": record.at,
            "max_age": record.max_age,
            "etag": record.etag,
            "jwks": record.jwks.decode(),
        }
        try:
            _replace(self._path, json.dumps(members).encode())
        except OSError as problem:
            _log.warning("the keys could not be written to %s: %s", self._path, problem)

    def _record_of(self, members: dict[str, Any]) -> KeyRecord:
        if any(members.get(name) != value for name, value in self._origin.items()):
            raise ValueError("they are those of another issuer, or from another place")
        match members:
            case {"jwks": str(jwks), "etag": str() | None as etag, "at": at, "max_age": max_age}:
                if is_instant(at) and is_instant(max_age):
                    return KeyRecord(jwks.encode(), etag, at, max_age)
        raise ValueError("the file is not one of ours")


def _read(path: Path) -> bytes:
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _CAUTION)) as file:
        status = os.fstat(file.fileno())
        if status.st_size > _MAX_FILE_OCTETS:
            raise ValueError("it is too large")
        if hasattr(os, "geteuid") and (status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
            raise ValueError("others could have written it")
        return file.read(_MAX_FILE_OCTETS)


def _replace(path: Path, octets: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # its mode is 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink()
        raise
