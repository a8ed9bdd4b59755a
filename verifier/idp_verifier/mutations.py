"""Tokens that are nearly good, for the tests of whatever verifies tokens.

    mutations = Mutations([issuer.signer], access_token_claims(issuer.url, now), random.Random(1))
    token = mutations.token()

Some of them still are good: a claim that nobody knows, another order. Which ones, only a second verifier can say.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from idp_verifier.encoding import decode_base64url
from idp_verifier.testing import Signer, base64url

_ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 1.5, 10**12, 10**30, 1e300, "", " ", "none", "None", "HS256", "RS256", "at+jwt"),
    *([], [None], [[]], {}, {"a": {}}, ["exp"], "é", "\0", "a.b.c"),
]
_RAW: list[Callable[[str], str]] = [
    lambda text: text + " ",
    lambda text: "\ufeff" + text,
    lambda text: text[:-1],
    lambda text: text[:-1] + ",}",
    lambda text: text[:-1] + ',"exp":1}',
    lambda text: text[:-1] + ',"alg":"none"}',
    lambda text: '{"exp":1,' + text[1:],
    lambda text: '{"alg":"none","kid":"x",' + text[1:],
    lambda text: text.replace(":", ": "),
    lambda text: text.replace("e", "\\u0065"),
    lambda text: text.replace("1", "1e0", 1),
    lambda text: text.replace("1", "NaN", 1),
    lambda text: text + "\0",
    lambda text: "[" + text + "]",
    lambda text: text.replace('"', "'"),
]
_LETTERS = "ABCgwxyz019-_.=+/ \n\0é%"


class Mutations:
    """Tokens with `claims`, each changed as `dice` fall: in its text, in its parts, or in what is then signed.

    `signers` sign them, one as often as it is named; one time in five another does, or a stranger with the kid of
    the first.
    """

    def __init__(self, signers: Sequence[Signer], claims: Mapping[str, Any], dice: random.Random) -> None:
        self._dice = dice
        self._good = [(signer.sign(claims), signer) for signer in signers]
        stranger = Signer.generate("ES256", kid=signers[0].kid)
        self._others = [stranger, *{signer.kid: signer for signer in signers}.values()]
        # Keys in the header are to be ignored, whatever they are. Some ignore them too, but insist on their form.
        self._foreign: dict[str, list[Any]] = {
            "jwk": [dict(stranger.jwk)],
            "jku": ["https://evil.example.com/jwks.json"],
            "x5u": ["https://evil.example.com/chain.pem"],
        }
        iss, aud, now = claims["iss"], claims["aud"], claims["iat"]
        instants = [now - 1_000, now + 1_000, now - 1_000.5, now + 1_000.5, str(now + 1_000)]
        self._odd = [*_ODD, iss, [iss], aud, [aud, "x"], *instants]

    def token(self) -> str:
        """One more."""
        token, signer = self._dice.choice(self._good)
        header, payload = (json.loads(decode_base64url(part.encode())) for part in token.split(".")[:2])
        match self._dice.randrange(5):
            case 0:
                return self._changed_text(token)
            case 1:
                return self._shuffled(token)
            case 2:
                header = self._changed(header, ["alg", "kid", "typ", "crit", "zip", "b64", *self._foreign, "x"])
            case 3:
                payload = self._changed(payload, [*payload, "nbf", "scope", "roles", "x"])
            case 4:
                part = self._dice.randrange(2)
                raw = [_compact(header), _compact(payload)]
                raw[part] = self._dice.choice(_RAW)(raw[part])
                return self._signed(signer, *raw)
        return self._signed(signer, _compact(header), _compact(payload))

    def _changed_text(self, token: str) -> str:
        dice = self._dice
        at = dice.choice([dice.randrange(len(token)), len(token) - 1, token.index("."), token.rindex(".")])
        letter = dice.choice(_LETTERS)
        return dice.choice(
            [
                token[:at] + letter + token[at + 1 :],
                token[:at] + letter + token[at:],
                token[:at] + token[at + 1 :],
                token[:at],
                token + letter,
                letter + token,
                token[:at] + token[at:].swapcase(),
            ]
        )

    def _shuffled(self, token: str) -> str:
        parts = [*token.split("."), "", "e30", base64url(b'{"alg":"none"}')]
        return ".".join(self._dice.choices(parts, k=self._dice.choice([1, 2, 3, 3, 3, 4, 5])))

    def _changed(self, members: dict[str, Any], names: list[str]) -> dict[str, Any]:
        changed = dict(members)
        for name in self._dice.sample(names, self._dice.choice([1, 1, 2])):
            if self._dice.random() < 0.2:
                changed.pop(name, None)
            else:
                changed[name] = self._dice.choice(self._foreign.get(name, self._odd))
        return changed

    def _signed(self, signer: Signer, header: str, payload: str) -> str:
        signing_input = f"{base64url(header.encode())}.{base64url(payload.encode())}"
        by = signer if self._dice.random() < 0.8 else self._dice.choice(self._others)
        return f"{signing_input}.{base64url(by.sign_octets(signing_input.encode()))}"


def _compact(members: Mapping[str, Any]) -> str:
    return json.dumps(members, separators=(",", ":"))
