"""What makes a password acceptable: long enough, hard to guess, and more than the account's own words.

There are no composition rules and no expiry (NIST SP 800-63B-4 §3.1.1.2): length and a blocklist do more, and
people do not work around them. The blocklist is zxcvbn: frequency lists of leaked passwords, names and words,
and the patterns in which people vary them, all of it offline (`guessing.py`).

This is work for the processor, tens of milliseconds at worst: run it in the `HashPool`.
"""

import re
import unicodedata
from collections.abc import Iterable

MIN_LENGTH = 8
"""The least that any setting may ask for, in characters (NIST SP 800-63B-4 §3.1.1.2)."""

MAX_LENGTH = 1024
"""Most characters of a password: far above the 64 that must be possible, so no passphrase and no generator
meets it, and low enough that normalising it, which takes quadratic time at worst, costs a millisecond."""

_GUESSES = 10**8  # zxcvbn's score 3: withstands unlimited guessing at a login form
_OWN_WORD_LENGTH = 4  # shorter words are in too many innocent passwords
_SURROGATE = re.compile("[\ud800-\udfff]")


class WeakPassword(ValueError):  # noqa: N818 - an answer rather than an error
    """The password is refused. The message is one sentence for whoever chose it."""


def normalise(password: str) -> str:
    """The form that counts (NFC), so that a password does not depend on the keyboard it is typed on.

    What is too long to be equal to any password stays as it is, so that the time it takes stays bounded.
    """
    longest = 4 * MAX_LENGTH  # decomposed, a password may take four times its characters
    return password if len(password) > longest else unicodedata.normalize("NFC", password)


def check(password: str, *, own_words: Iterable[str], min_length: int) -> str:
    """The password in the form to be hashed, if it may be one.

    `own_words` are what anybody knows of the account: its e-mail address, its username, its name, the name of
    the service. `min_length` counts characters.

    Raises WeakPassword.
    """
    from idp.passwords.guessing import guesses  # slow to import, and no login needs it

    chosen = normalise(password)
    if _SURROGATE.search(chosen):
        raise WeakPassword("The password is not valid Unicode text.")
    if len(chosen) < min_length:
        raise WeakPassword(f"The password needs at least {min_length} characters.")
    if len(chosen) > MAX_LENGTH:
        raise WeakPassword(f"The password can have at most {MAX_LENGTH} characters.")
    # Compatibility forms are judged by what they stand for: full-width letters make no word harder to guess.
    readable = unicodedata.normalize("NFKC", chosen)
    words = _with_parts(own_words)
    if len(chosen) - _length_in_own_words(readable, words) < min_length:
        raise WeakPassword("The password is mostly made of your own name or address: please choose other words.")
    if guesses(readable, words) < _GUESSES:
        raise WeakPassword("The password is too easy to guess: please choose a less common one.")
    return chosen


def _with_parts(own_words: Iterable[str]) -> frozenset[str]:
    """Each word and its parts, in lower case: an e-mail address has a mailbox, a domain and labels."""
    whole = [unicodedata.normalize("NFKC", word).lower() for word in own_words]
    parts = [part for word in whole for part in (*word.split("@"), *re.split(r"[\W_]+", word))]
    return frozenset(filter(None, (*whole, *parts)))


def _length_in_own_words(text: str, words: Iterable[str]) -> int:
    """How many of the characters belong to own words, written forwards or backwards."""
    telling = {spelling for word in words if len(word) >= _OWN_WORD_LENGTH for spelling in (word, word[::-1])}
    # The longest first, because the first alternative that matches is taken.
    pattern = "|".join(map(re.escape, sorted(telling, key=len, reverse=True)))
    return sum(len(found) for found in re.findall(pattern, text, re.IGNORECASE)) if pattern else 0
