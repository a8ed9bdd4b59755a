"""Strict base64url and strict JSON: one text for one value, so that nothing can be read in two ways."""

import base64
import binascii
import json
import math
from typing import Any, NoReturn

try:
    import orjson
except ImportError:  # the extra `fast` is optional
    _HAS_ORJSON = False
else:
    _HAS_ORJSON = True

_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")  # "!" is in no alphabet: the standard one is refused
_PADDING = (b"", b"", b"==", b"=")
# What the last character may be, by the length modulo 4: 16 or 4 of the 64 have no unused bit set.
_FINAL = (None, b"", b"AQgw", b"AEIMQUYcgkosw048")


def decode_base64url(text: bytes) -> bytes:
    """The octets that `text` encodes (RFC 7515 §2: URL-safe alphabet, no padding, no white space).

    The unused bits of the last character must be zero (RFC 4648 §3.5): otherwise several texts would mean the
    same octets, and a token could be altered without its signature noticing. Raises ValueError.
    """
    remainder = len(text) % 4
    final = _FINAL[remainder]
    if final is not None and text[-1] not in final:
        raise ValueError("the base64url is not canonical")
    return binascii.a2b_base64(text.translate(_TO_STANDARD) + _PADDING[remainder], strict_mode=True)


def encode_base64url(octets: bytes) -> str:
    """The one text for `octets` (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def parse_object(text: bytes) -> dict[str, Any]:
    """The JSON object that `text` holds.

    Duplicate member names (RFC 8725 §2.4: parsers differ in which one wins), NaN, infinities, lone surrogates
    and anything but UTF-8 are refused. Raises ValueError.
    """
    value = _parse_exact(text) or _parse_strict(text)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one kind of error for one kind of fault
    return value


def _parse_exact(text: bytes) -> Any:
    """The value, if writing it again gives the very same bytes; None says nothing about the text.

    orjson is many times faster than the strict parser, but silently keeps the last of two equal names and
    turns large integers into floats. A text that survives the round trip held neither; compact JSON, as
    issuers write it, does survive.
    """
    if not _HAS_ORJSON:
        return None
    try:
        value = orjson.loads(text)
        return value if orjson.dumps(value) == text else None
    except (ValueError, TypeError):
        return None


def _parse_strict(text: bytes) -> Any:
    try:
        value = _DECODER.decode(text.decode("utf-8"))
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # finds lone surrogates
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    return value


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a JSON member name occurs twice")
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a JSON number is out of range")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_members, parse_float=_finite, parse_constant=_refuse_constant)
