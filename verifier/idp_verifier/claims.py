"""Claims (RFC 7519 §4, RFC 9068 §2.2): what a token must say, and a typed view of what it says."""

import copy
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeGuard

from idp_verifier.errors import ExpiredToken, InvalidClaims, NotYetValid, WrongAudience, WrongIssuer

_REQUIRED = frozenset({"iss", "aud", "exp"})
_REQUIRED_OF = {
    # RFC 9068 §2.2: REQUIRED of an access token
    "at+jwt": _REQUIRED | {"sub", "client_id", "iat", "jti"},
    # OpenID Connect Core §2: REQUIRED of an id token
    "jwt": _REQUIRED | {"sub", "iat"},
    # OpenID Connect Back-Channel Logout §2.4
    "logout+jwt": _REQUIRED | {"iat", "jti", "events"},
}
# The last second of the year 9999. Beyond it dates do not convert, and milliseconds taken for seconds begin.
_LAST_INSTANT = 253_402_300_799


class Claims(Mapping[str, Any]):
    """The claims of a verified token, as an immutable mapping with typed properties.

    Where the token's type does not require a claim (RFC 9068 §2.2), its property may be empty or None.
    Lists and objects are handed out as copies: the same Claims may serve several requests.
    """

    __slots__ = ("_members", "_scopes")

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members
        self._scopes: frozenset[str] | None = None

    def __getitem__(self, name: str) -> Any:
        value = self._members[name]
        return copy.deepcopy(value) if isinstance(value, list | dict) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"<Claims sub={self.sub!r} client_id={self.client_id!r}>"  # not all of them: they end up in logs

    @property
    def issuer(self) -> str:
        return str(self._members["iss"])

    @property
    def sub(self) -> str:
        """The user's id, or the client_id where a client acts for itself."""
        return self._members.get("sub", "")  # type: ignore[no-any-return]

    @property
    def client_id(self) -> str:
        return self._members.get("client_id", "")  # type: ignore[no-any-return]

    @property
    def audience(self) -> tuple[str, ...]:
        """`aud`, always as a tuple."""
        aud = self._members["aud"]
        return (aud,) if isinstance(aud, str) else tuple(aud)

    @property
    def scopes(self) -> frozenset[str]:
        """The words of `scope` (RFC 6749 §3.3)."""
        if self._scopes is None:  # asked for with each request, of the same Claims where a token is known
            self._scopes = frozenset(self._members.get("scope", "").split(" ")) - {""}
        return self._scopes

    @property
    def roles(self) -> tuple[str, ...]:
        """`roles` (RFC 9068 §2.2.3.1); empty for a client that acts for itself."""
        return tuple(self._members.get("roles", ()))

    @property
    def username(self) -> str | None:
        return self._members.get("username")

    @property
    def jti(self) -> str:
        return self._members.get("jti", "")  # type: ignore[no-any-return]

    @property
    def exp(self) -> float:
        """When the token expires, in POSIX seconds."""
        return self._members["exp"]  # type: ignore[no-any-return]

    @property
    def iat(self) -> float:
        """When the token was issued, in POSIX seconds; 0 if it does not say."""
        return self._members.get("iat", 0)  # type: ignore[no-any-return]


def check(members: Mapping[str, Any], *, issuer: str, audience: Collection[str], typ: str) -> None:
    """Checks what time does not change about the claims of a token of the type `typ`.

    Raises InvalidClaims or one of its kinds.
    """
    _demand_presence(members, typ)
    _demand_types(members)
    if members["iss"] != issuer:
        raise WrongIssuer("the token was issued by another issuer")
    aud = members["aud"]
    if not (aud in audience if isinstance(aud, str) else any(name in audience for name in aud)):
        raise WrongAudience("the token is for another audience")


def demand_time(exp: float, not_before: float, now: float, leeway: float) -> None:
    """Raises ExpiredToken or NotYetValid.

    Instants are in POSIX seconds; `leeway`, in seconds, is how far the issuer's clock may differ from `now`.
    """
    if now - leeway >= exp:
        raise ExpiredToken("the token has expired")
    # A token from the future was made by a wrong clock, and its lifetime is not what the issuer meant.
    if not_before > now + leeway:
        raise NotYetValid("the token is not valid yet")


def not_before(members: Mapping[str, Any]) -> float:
    """The instant from which the claims hold: the later of `nbf` and `iat`."""
    nbf: float = members.get("nbf", 0)
    iat: float = members.get("iat", 0)
    return max(iat, nbf)


def _demand_presence(members: Mapping[str, Any], typ: str) -> None:
    required = _REQUIRED_OF.get(typ, _REQUIRED)
    if not required <= members.keys():
        raise InvalidClaims(f"the token has no {min(required - members.keys())}")


def _demand_types(members: Mapping[str, Any]) -> None:
    # Refused even where the claim is optional: misunderstandings begin with `"roles": "admin"` read as a list
    # of letters, or `"scope": ["a"]` as no scope.
    for name, value in members.items():
        if name in _TEXTS and value.__class__ is str and value:  # most claims: no call needed
            continue
        is_sound = _SOUND.get(name)
        if is_sound is not None and not is_sound(value):
            raise InvalidClaims(f"the {name} of the token has the wrong type or value")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    if not isinstance(value, list):
        return False
    for item in value:  # noqa: SIM110 - all() and a generator would take several times as long, for every token
        if not isinstance(item, str) or not item:
            return False
    return True


def _is_audience(value: object) -> bool:
    return _is_text(value) or _is_texts(value)


def is_instant(value: object) -> TypeGuard[float]:
    """Whether `value` is a NumericDate (RFC 7519 §2) that a clock could show."""
    # bool is a kind of int in Python, but not in JSON; NaN compares with nothing and would never expire
    if type(value) is int:
        return 0 <= value <= _LAST_INSTANT
    return type(value) is float and math.isfinite(value) and 0 <= value <= _LAST_INSTANT


_SOUND: dict[str, Callable[[object], bool]] = {
    "iss": _is_text,
    "sub": _is_text,
    "aud": _is_audience,
    "exp": is_instant,
    "iat": is_instant,
    "nbf": is_instant,
    "jti": _is_text,
    "client_id": _is_text,
    "scope": _is_string,
    "roles": _is_texts,
    "auth_time": is_instant,
    "amr": _is_texts,
    "username": _is_string,
}
_TEXTS = frozenset(name for name, is_sound in _SOUND.items() if is_sound("text"))
